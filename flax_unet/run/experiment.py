"""From a configuration to the parts of a run."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from absl import logging

from flax_unet import caches, errors, terminal
from flax_unet.data import cache, datasets, label_spaces, op_spec
from flax_unet.data.label_spaces import LabelSpace
from flax_unet.evaluation.evaluator import Evaluator
from flax_unet.evaluation.inference import passes
from flax_unet.losses import spec as loss_spec
from flax_unet.losses.base import Loss
from flax_unet.models import base, registry
from flax_unet.training import optimizer, schedules, state, steps


@dataclasses.dataclass(frozen=True)
class Experiment:
  """The parts of a run, made from its configuration by `build`.

  Attributes:
    config: the configuration.
    label_space: names and colours of the classes.
    dataset: the data set.
    source: the training split.
    train_op: preprocessing of training examples.
    image_size: height and width of a training picture, in pixels.
    model: the network.
    evaluators: by name; the first decides which checkpoint is best, and predictions follow it.
    total_steps: the length of the run.
    schedule: the learning rate by step.
  """

  config: ml_collections.ConfigDict
  label_space: LabelSpace
  dataset: datasets.Dataset
  source: datasets.Source
  train_op: op_spec.Chain
  image_size: tuple[int, int]
  model: base.Network
  evaluators: Mapping[str, Evaluator]
  total_steps: int
  schedule: optax.Schedule

  def init_state(self) -> state.TrainState:
    """The state before the first step."""
    return init_state(self.config, self.model, self.image_size, self.total_steps)

  def train_source(self) -> datasets.Source:
    """The training split, decoded once only where `config.input.cache` is "disk".

    Raises:
      UserError: the disk has not enough room.
    """
    config = self.config.input
    if config.cache == "none":
      return self.source
    data = self.dataset.fingerprint()
    folder = config.cache_dir or caches.folder("flax_unet_decoded")
    if folder is None:
      raise errors.UserError(
        "config.input.cache = 'disk' finds no cache folder that it can write: name a folder with "
        "--config.input.cache_dir=DIR"
      )
    facts = {
      "name": data["name"],
      "split": config.data.split,  # may be a part of one, or several
      "splits": {
        name: data["splits"][name] for name in data["splits"] if name in config.data.split
      },
      "label_space": [self.label_space.name, sorted(self.label_space.color_to_id.items())],
    }
    return cache.on_disk(self.source, pathlib.Path(folder), facts)

  def summary(self, train_state: state.TrainState) -> dict[str, str]:
    """What is about to be done, for the terminal."""
    config, devices = self.config, jax.devices()
    batch_size, (height, width) = config.input.batch_size, self.image_size
    epochs = self.total_steps * batch_size / len(self.source)
    return {
      "data": f"{config.input.data.name}, "
      f"{terminal.counted(len(self.source), 'picture')} to train on",
      "label space": f"{self.label_space.name}, {self.label_space.num_classes} classes",
      "model": f"{config.model_name}, {state.num_params(train_state):,} parameters, "
      f"computes in {config.model.get('dtype', 'float32')}",
      "devices": f"{len(devices)} x {devices[0].device_kind}, {jax.process_count()} process(es)",
      "batch": f"{batch_size} of {height} x {width} pixels, {batch_size // len(devices)} a device",
      "steps": f"{self.total_steps:,}, {epochs:.3g} epochs",
    }

  def due_evals(self, step: int) -> list[str]:
    """The names of the evaluations that are due after a step; none before the first."""
    return [
      name
      for name, eval_config in ordered_evals(self.config).items()
      if step and (step % eval_config.log_steps == 0 or step == self.total_steps)
    ]

  def eval_digest(self, name: str) -> str:
    """What tells one way to evaluate from others whose scores cannot be compared with its own."""
    eval_config = self.config.evals[name]
    decisive = [eval_config.split, eval_config.pp, sorted(eval_config.inference.items())]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]

  def flops_per_step(self, train_state: state.TrainState) -> float | None:
    """Floating-point operations of a train step, by XLA's count.

    None with several processes, and where they cannot be counted: no run is lost for that.
    """
    if jax.process_count() > 1:  # pmap lowers shapes for the devices of one process only
      return None
    try:
      return count_flops(self.config, train_state, self.config.input.batch_size, self.image_size)
    except Exception as error:  # XLA's, of a compiler for another platform
      reason = (str(error).splitlines() or [type(error).__name__])[0]
      logging.warning("The FLOPs of a step could not be counted: %s", reason)
      return None


def build(config: ml_collections.ConfigDict, label_space: LabelSpace | None = None) -> Experiment:
  """Opens the data, which is prepared on first use, and builds the parts of a run.

  Args:
    config: one that `checks.check` has passed.
    label_space: that of a run; None: the one that the configuration names.

  Raises:
    UserError: the data are missing, or do not fit the configuration.
  """
  logging.info("Opening %s", config.input.data.name)
  label_space = label_space or label_spaces.get(config.label_space)
  skip_bad_examples = config.input.on_bad_example == "skip"
  dataset = datasets.open_dataset(config.input.data, label_space, skip_bad_examples)
  source = dataset.split(config.input.data.split)
  train_op = make_op("input", config.input.pp, label_space)
  model = make_model(config, label_space)
  image_size = train_op.output_size(None) or source[0]["image"].shape[:2]
  check_image_size(model, image_size)
  total_steps = config.total_steps
  if total_steps is None:  # the last step of an epoch may take its last pictures from the next
    total_steps = -(-config.total_epochs * len(source) // config.input.batch_size)
  return Experiment(
    config=config,
    label_space=label_space,
    dataset=dataset,
    source=source,
    train_op=train_op,
    image_size=image_size,
    model=model,
    evaluators={
      name: Evaluator(
        dataset.split(eval_config.split),
        make_op(f"evals.{name}", eval_config.pp, label_space),
        model,
        label_space,
        batch_size=eval_config.batch_size,
        workers=config.input.workers,
        num_pictures=eval_config.num_pictures,
        options=make_inference(config, name, model.geometry),
        skip_bad_examples=skip_bad_examples,
        timeout=config.input.timeout,
      )
      for name, eval_config in ordered_evals(config).items()
    },
    total_steps=total_steps,
    schedule=schedules.make(config, total_steps),
  )


def ordered_evals(config: ml_collections.ConfigDict) -> dict[str, ml_collections.ConfigDict]:
  """`config.evals` by name, those called test.. last: no test split decides what is best."""
  names = sorted(config.evals, key=lambda name: (name.startswith("test"), name))
  return {name: config.evals[name] for name in names}


def make_op(where: str, spec: str, label_space: LabelSpace) -> op_spec.Chain:
  """Parses the preprocessing of `config.<where>.pp`.

  Raises:
    UserError: it is malformed; the message names the key.
  """
  try:
    return op_spec.parse(spec, label_space)
  except errors.UserError as error:
    raise errors.UserError(f"config.{where}.pp: {error}") from error


def make_inference(
  config: ml_collections.ConfigDict, name: str, geometry: base.Geometry
) -> passes.Options:
  """Reads `config.evals.<name>.inference`: how to predict.

  Raises:
    UserError: a value is out of range, or a key unknown; the message names the key.
  """
  values = dict(config.evals[name].inference)
  known = [field.name for field in dataclasses.fields(passes.Options)]
  for key in values:
    if key not in known:
      raise errors.unknown(f"key in config.evals.{name}.inference", key, known)
  options = passes.Options(**values)
  try:
    options.check(geometry)
  except ValueError as error:
    raise errors.UserError(f"config.evals.{name}.inference.{error}") from error
  if options.mode == "tiles" and geometry.context is None:
    logging.warning(
      "config.evals.%s.inference.mode = 'tiles': each pixel of %s depends on the whole image, so "
      "the scores of tiles are not those of whole pictures",
      name,
      geometry.name,
    )
  return options


def make_model(config: ml_collections.ConfigDict, label_space: LabelSpace) -> base.Network:
  """Builds the network.

  Raises:
    UserError: `model_name` or an argument in `config.model` is unknown.
  """
  return registry.build(config.model_name, config.model, label_space.num_classes)


def init_state(
  config: ml_collections.ConfigDict,
  model: base.Network,
  image_size: tuple[int, int],
  total_steps: int,
) -> state.TrainState:
  """The state before the first step, see `state.create`."""
  return state.create(
    model,
    optimizer.make(config, total_steps),
    image_size=image_size,
    seed=config.seed,
    ema=config.ema_decay is not None,
  )


def batch_shapes(
  batch_size: int, image_size: tuple[int, int], num_devices: int, channels: int = 3
) -> dict[str, jax.ShapeDtypeStruct]:
  """The shapes of a training batch, as the train step on the devices of one process takes it."""
  batch = (num_devices, batch_size // num_devices, *image_size)
  return {
    "image": jax.ShapeDtypeStruct((*batch, channels), jnp.uint8),
    "label": jax.ShapeDtypeStruct(batch, jnp.uint8),
  }


def count_flops(
  config: ml_collections.ConfigDict,
  train_state: state.TrainState,
  batch_size: int,
  image_size: tuple[int, int],
) -> float:
  """Floating-point operations of a train step, by XLA's count of the program for GPUs.

  That program has plain convolutions. Others may have loops instead, whose body XLA counts once.

  Args:
    config: the configuration.
    train_state: the state, or its shapes.
    batch_size: number of pictures.
    image_size: their height and width, in pixels.
  """
  step = jax.jit(map_train_step(config, jax.local_devices()[:1]))
  shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), train_state)
  traced = step.trace(shapes, batch_shapes(batch_size, image_size, num_devices=1))
  lowered = traced.lower(lowering_platforms=("cuda",))
  return lowered.cost_analysis()["flops"] * config.accumulate_steps  # which is a loop as well


def check_image_size(model: base.Network, size: tuple[int, int]) -> None:
  """Refuses a network whose arguments are out of range, or training pictures that do not fit it.

  Raises:
    UserError: the message holds the value, and the nearest sizes that fit.
  """
  try:
    base.variable_shapes(model, size)
  except ValueError as error:
    raise errors.UserError(
      f"config.model with training pictures of {size[0]} x {size[1]} pixels: {error}"
    ) from error


def map_train_step(
  config: ml_collections.ConfigDict, devices: Sequence[jax.Device] | None = None
) -> Any:
  """The train step of a configuration, mapped over devices: see `steps.map_train_step`."""
  return steps.map_train_step(
    make_loss(config),
    accumulate_steps=config.accumulate_steps,
    ema_decay=config.ema_decay,
    skip_nonfinite=config.skip_nonfinite > 0,
    keep_frozen=optimizer.Multipliers(config.get("lr_mult") or ()).keep_frozen,
    devices=devices,
  )


def make_loss(config: ml_collections.ConfigDict) -> Loss:
  """Builds the loss.

  Raises:
    UserError: `loss` is malformed or unknown, or cannot be accumulated in parts.
  """
  loss = loss_spec.parse(config.loss, tuple(config.class_weights or ()) or None)
  if loss.gathers and config.accumulate_steps > 1:
    raise errors.UserError(
      f"config.accumulate_steps = {config.accumulate_steps} with config.loss = '{config.loss}': it "
      "needs the logits of the whole batch at once, which parts do not have"
    )
  return loss
