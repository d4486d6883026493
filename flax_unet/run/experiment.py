"""Combines the parts of a configuration with its opened data."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import optax
from absl import logging

from flax_unet import caches, errors, terminal
from flax_unet.data import cache, channel_stats, class_pixels, datasets, mixture, order
from flax_unet.data.image_format import ImageFormat
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.evaluation import Evaluation
from flax_unet.losses import class_weights
from flax_unet.models.base import MEAN, STDDEV, Network
from flax_unet.run import rehearsal
from flax_unet.run.parts import Parts
from flax_unet.training import flops, schedules, state


@dataclasses.dataclass(frozen=True)
class Experiment:
  """An experiment with its data open, made by `open_data`.

  Attributes:
    parts: the parts built from the configuration.
    dataset: the data set.
    sources: the training split of each data set by name, the main one first.
    shares: how many examples of a batch come from each, by name.
    image_size: height and width of a training image, in pixels.
    evaluations: by name, in the order of `parts.evals`; prediction uses the options of the first.
    total_steps: the length of the run.
    schedule: the learning rate by step.
    class_weights: the weights that the rule in `config.class_weights` gives, or None.
    focus: chooses examples by the classes in them, if `config.input.pp` has a `balanced_crop`.
  """

  parts: Parts
  dataset: datasets.Dataset
  sources: Mapping[str, datasets.Source]
  shares: Mapping[str, int]
  image_size: tuple[int, int]
  evaluations: Mapping[str, Evaluation]
  total_steps: int
  schedule: optax.Schedule
  class_weights: tuple[float, ...] | None = None
  focus: order.Focus | None = None

  @property
  def config(self) -> ml_collections.ConfigDict:
    """The configuration."""
    return self.parts.config

  @property
  def label_space(self) -> LabelSpace:
    """Names and colours of the classes."""
    return self.parts.label_space

  def init_state(self) -> state.TrainState:
    """The state before the first step."""
    return self.parts.init_state(self.image_size, self.total_steps)

  @property
  def source(self) -> datasets.Source:
    """The training split of the main data set."""
    return self.sources[mixture.MAIN]

  @property
  def parts_of_source(self) -> list[tuple[int, int]]:
    """The length of each training split, and how many examples of a batch come from it."""
    return [(len(source), self.shares[name]) for name, source in self.sources.items()]

  def train_source(self) -> datasets.Source:
    """The training splits; decoded only once if `config.input.cache` is "disk".

    Raises:
      UserError: the disk does not have enough room.
    """
    sources = [self._cached(name) for name in self.sources]
    return sources[0] if len(sources) == 1 else mixture.Concatenated(sources)

  def _cached(self, name: str) -> datasets.Source:
    """The training split of a data set."""
    config, label_space = self.config.input, self.label_space
    if config.cache == "none":
      return self.sources[name]
    folder = config.cache_dir or caches.folder("flax_unet_decoded")
    if folder is None:
      raise errors.UserError(
        "config.input.cache = 'disk': no cache folder is writable; choose one with "
        "--config.input.cache_dir=DIR"
      )
    data = config.data if name == mixture.MAIN else config.extra_data[name]
    facts = identity(_facts_of(self.dataset, name), data.split)
    if not self.parts.image_format.is_rgb8:
      facts["images"] = self.parts.image_format.identity
    facts["label_space"] = [label_space.name, sorted(label_space.color_to_id.items())]
    return cache.on_disk(self.sources[name], pathlib.Path(folder), facts)

  def summary(self, train_state: state.TrainState) -> dict[str, str]:
    """A summary of the run for the terminal, before it starts."""
    config, devices, label_space = self.config, jax.devices(), self.label_space
    batch_size, (height, width) = config.input.batch_size, self.image_size
    epochs = self.total_steps * self.shares[mixture.MAIN] / len(self.source)
    more = "".join(
      f" ({self.shares[mixture.MAIN]} of a batch), {terminal.counted(len(source), 'image')} of "
      f"{name} ({self.shares[name]})"
      for name, source in list(self.sources.items())[1:]
    )
    weights = {}
    if self.class_weights:
      pairs = zip(label_space.class_names, self.class_weights, strict=True)
      weights["class weights"] = ", ".join(f"{name} {weight:.3g}" for name, weight in pairs)
    return {
      "data": f"{config.input.data.name}, "
      f"{terminal.counted(len(self.source), 'image')} to train on{more}",
      **_described(self.parts.image_format, self.parts.model),
      "label space": f"{label_space.name}, {label_space.num_classes} classes",
      "model": f"{config.model_name}, {state.num_params(train_state):,} parameters, "
      f"computes in {config.model.get('dtype', 'float32')}",
      "devices": f"{len(devices)} x {devices[0].device_kind}, {jax.process_count()} process(es)",
      "batch": f"{batch_size} of {height} x {width} pixels, "
      f"{batch_size // len(devices)} per device",
      "steps": f"{self.total_steps:,}, {epochs:.3g} epochs",
      **weights,
    }

  def steps_of(self, epochs: int) -> int:
    """Converts epochs to steps."""
    return _steps_of(epochs, len(self.source), self.shares[mixture.MAIN])

  def due_evals(self, step: int) -> list[str]:
    """The names of the evaluations due after a step; none at step 0."""
    return [
      name
      for name in self.evaluations
      if step and (step % self.config.evals[name].log_steps == 0 or step == self.total_steps)
    ]

  def eval_digest(self, name: str) -> str:
    """A digest of the settings of an evaluation; only scores with equal digests are comparable."""
    config = self.config.evals[name]
    decisive = [config.split, config.pp, sorted(config.inference.items()), config.type]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]

  def flops_per_step(self, train_state: state.TrainState) -> float | None:
    """Floating-point operations of a train step, by XLA's count.

    None with several processes, or if counting fails: a run must not fail because of it.
    """
    if jax.process_count() > 1:  # pmap lowers shapes for the devices of one process only
      return None
    config = self.config
    batch = flops.batch_shapes(config.input.batch_size, self.image_size, 1, self.parts.image_format)
    try:
      train_step = self.parts.map_train_step(jax.local_devices()[:1])
      return flops.count(train_step, train_state, batch, config.accumulate_steps)
    except Exception as error:  # from XLA, when it compiles for another platform
      reason = (str(error).splitlines() or [type(error).__name__])[0]
      logging.warning("Could not count the FLOPs of a step: %s", reason)
      return None


def open_data(parts: Parts) -> Experiment:
  """Opens the data, preparing them on first use.

  Raises:
    UserError: the data are missing or do not fit the configuration.
  """
  config, label_space = parts.config, parts.label_space
  logging.info("Opening %s", config.input.data.name)
  skip_bad_examples = config.input.on_bad_example == "skip"
  shares = mixture.batch_numbers(config.input)
  dataset, sources = mixture.open_dataset(
    config.input, label_space, skip_bad_examples, parts.image_format
  )
  source = sources[mixture.MAIN]
  if not parts.model.mean or not parts.model.stddev:
    facts = identity(_facts_of(dataset, mixture.MAIN), config.input.data.split)
    stats = channel_stats.counted_once(source, parts.image_format, facts, skip_bad_examples)
    parts = parts.with_normalization(*stats)
    config = parts.config
  image_size = parts.train_op.output_size(None)
  if image_size is None:
    image_size = source[0]["image"].shape[:2]
    rehearsal.network(parts.model, image_size)
  total_steps = config.total_steps
  if total_steps is None:
    total_steps = _steps_of(config.total_epochs, len(source), shares[mixture.MAIN])
  warmup_steps = schedules.warmup_length(config.schedule.warmup_steps, total_steps)
  if warmup_steps != config.schedule.warmup_steps:
    logging.info(
      "A warm-up of %d steps (config.schedule.warmup_steps) is longer than the run: taking %d",
      config.schedule.warmup_steps,
      warmup_steps,
    )
  rule = config.class_weights if isinstance(config.class_weights, str) else None
  weights = focus = None
  if rule or parts.train_op.focused_share:
    facts = identity(_facts_of(dataset, mixture.MAIN), config.input.data.split)
    pixels = class_pixels.counted_once(source, label_space, facts, skip_bad_examples)
    focus = order.Focus(pixels, parts.train_op.focused_share)
    if rule:
      weights = class_weights.compute(rule, pixels, label_space.class_names)
      parts = parts.with_class_weights(weights)
  return Experiment(
    parts=parts,
    dataset=dataset,
    sources=sources,
    shares=shares,
    image_size=image_size,
    evaluations={
      name: Evaluation(
        dataset.split(config.evals[name].split),
        part.op,
        parts.model,
        label_space,
        batch_size=config.evals[name].batch_size,
        evaluator=part.evaluator,
        loss=parts.loss,
        workers=config.input.workers,
        num_pictures=config.evals[name].num_pictures,
        options=part.options,
        skip_bad_examples=skip_bad_examples,
        timeout=config.input.timeout,
      )
      for name, part in parts.evals.items()
    },
    total_steps=total_steps,
    schedule=schedules.make(config, total_steps),
    class_weights=weights,
    focus=focus if parts.train_op.focused_share else None,
  )


def _described(image_format: ImageFormat, model: Network) -> dict[str, str]:
  """The lines of a summary that images other than 8-bit RGB have."""
  if image_format.is_rgb8 and (model.mean, model.stddev) == (MEAN, STDDEV):
    return {}
  pairs = zip(model.mean, model.stddev, strict=True)
  normalization = ", ".join(f"{mean:.4g} ± {stddev:.4g}" for mean, stddev in pairs)
  return {"images": f"{image_format.describe()}, normalised by {normalization}"}


def _facts_of(dataset: datasets.Dataset, name: str) -> dict[str, Any]:
  """The fingerprint of one of the data sets."""
  data = dataset.fingerprint()
  return data if name == mixture.MAIN else data["extra"][name]


def identity(data: Mapping[str, Any], split: str) -> dict[str, Any]:
  """What the examples of a split depend on.

  Args:
    data: the fingerprint of the data set.
    split: the name of the split.
  """
  return {
    "name": data["name"],
    "split": split,  # may be part of a split, or several splits
    "splits": {name: facts for name, facts in data["splits"].items() if name in split},
  }


def _steps_of(epochs: int, num_examples: int, batch_size: int) -> int:
  """Rounds up: the last step may take some images from the following epoch."""
  return -(-epochs * num_examples // batch_size)
