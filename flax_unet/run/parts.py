"""Builds the parts that a configuration names, before any data are opened.

Building is also the check: a part that cannot be built is refused here, in one line that names the
key. `checks` refuses values that are out of range before that.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
from absl import logging

from flax_unet import errors
from flax_unet.data import label_spaces, op_spec, ops, padding
from flax_unet.data.image_format import ImageFormat
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.evaluators import spec as evaluator_spec
from flax_unet.evaluation.evaluators.base import Evaluator
from flax_unet.evaluation.inference import passes
from flax_unet.evaluation.metrics.score import LOSS, Score
from flax_unet.losses import spec as loss_spec
from flax_unet.losses.base import Loss
from flax_unet.models import base, registry
from flax_unet.run import checks, image_settings, rehearsal
from flax_unet.training import optimizer, state, steps


@dataclasses.dataclass(frozen=True)
class EvalParts:
  """The parts of an evaluation, `config.evals.<name>`.

  Attributes:
    op: preprocessing of its examples.
    options: how to predict.
    evaluator: computes the scores.
  """

  op: op_spec.Chain
  options: passes.Options
  evaluator: Evaluator

  @property
  def multiple(self) -> int:
    """Images are mirrored up to a multiple of this many pixels."""
    return padding.multiple_of(self.op.ops)

  @property
  def resize(self) -> tuple[int, int] | None:
    """Height and width to which images are resized, or None."""
    resizes = [op for op in self.op.ops if isinstance(op, ops.Resize | ops.ResizeImage)]
    return (resizes[-1].height, resizes[-1].width) if resizes else None


@dataclasses.dataclass(frozen=True)
class Parts:
  """The parts of an experiment that need no data.

  Attributes:
    config: the configuration.
    label_space: names and colours of the classes.
    image_format: that of the images.
    train_op: preprocessing of training examples.
    model: the network.
    loss: the loss.
    evals: the evaluations by name; first the one that decides which checkpoint is the best.
  """

  config: ml_collections.ConfigDict
  label_space: LabelSpace
  image_format: ImageFormat
  train_op: op_spec.Chain
  model: base.Network
  loss: Loss
  evals: Mapping[str, EvalParts]

  def with_normalization(self, mean: tuple[float, ...], stddev: tuple[float, ...]) -> "Parts":
    """Returns the parts with computed means and deviations where the configuration has none."""
    config = self.config.copy_and_resolve_references()
    config.model.mean = config.model.mean or mean
    config.model.stddev = config.model.stddev or stddev
    return _make(config, self.label_space)

  def with_class_weights(self, weights: tuple[float, ...]) -> "Parts":
    """Returns the parts with the weights that a rule in `config.class_weights` gives."""
    return dataclasses.replace(self, loss=_make_loss(self.config, weights))

  @property
  def best(self) -> tuple[str, Score]:
    """`config.best`: the evaluation and its score that decide which checkpoint is the best.

    Raises:
      UserError: there is no such evaluation or score.
    """
    name, _, score = self.config.best.partition("/")
    if name not in self.evals or not score:
      example = f"{next(iter(self.config.evals))}/mean_iou"
      raise errors.UserError(
        f"config.best = '{self.config.best}': give EVALUATION/SCORE, such as {example}; the "
        f"evaluations are {', '.join(self.config.evals)}"
      )
    table = {item.name: item for item in (*self.evals[name].evaluator.table, LOSS)}
    if score not in table:
      kind = self.config.evals[name].type
      raise errors.UserError(
        f"config.best = '{self.config.best}': config.evals.{name}.type = '{kind}' has no score "
        f"'{score}'; set --config.best={name}/SCORE, with one of {', '.join(table)}"
      )
    return name, table[score]

  def init_state(self, image_size: tuple[int, int], total_steps: int) -> state.TrainState:
    """The state before the first step, see `state.create`."""
    return state.create(
      self.model,
      optimizer.make(self.config, total_steps),
      image_size=image_size,
      seed=self.config.seed,
      ema=self.config.ema_decay is not None,
    )

  def map_train_step(self, devices: Sequence[jax.Device] | None = None) -> Any:
    """The train step, mapped over devices: see `steps.map_train_step`."""
    return steps.map_train_step(
      self.loss,
      aux_weight=getattr(self.model, "aux_weight", 0.0),
      accumulate_steps=self.config.accumulate_steps,
      ema_decay=self.config.ema_decay,
      skip_nonfinite=self.config.skip_nonfinite > 0,
      keep_frozen=optimizer.Multipliers(self.config.lr_mult).keep_frozen,
      devices=devices,
    )


def build(
  config: ml_collections.ConfigDict,
  num_devices: int | None = None,
  label_space: LabelSpace | None = None,
) -> Parts:
  """Builds the parts of an experiment.

  Args:
    config: the configuration.
    num_devices: the number of devices over all processes; None: all that are present.
    label_space: the label space of a run; None: the one that the configuration names.

  Raises:
    UserError: one line that names the key, its value and the values it may have.
  """
  checks.check(config, num_devices or jax.device_count())
  label_space = label_space or label_spaces.get(config.label_space)
  checks.check_classes(config, label_space)
  parts = _make(config, label_space)
  model = parts.model
  _ = parts.best
  # How many steps epochs have is not known without the data, and does not matter here.
  optimizer.make(config, config.total_steps or sys.maxsize)
  rehearsal.network(model, parts.train_op.output_size(None))
  rehearsal.loss(parts.loss, f"config.loss = '{config.loss}'", label_space.num_classes)
  for name, evaluation in parts.evals.items():
    where = f"config.evals.{name}.type = '{config.evals[name].type}'"
    rehearsal.evaluator(evaluation.evaluator, where, label_space, parts.image_format)
  multipliers = optimizer.Multipliers(config.lr_mult)
  if multipliers.pairs:
    multipliers.check(base.variable_shapes(model)["params"])
  return parts


def _make(config: ml_collections.ConfigDict, label_space: LabelSpace) -> Parts:
  model = make_model(config, label_space)
  return Parts(
    config=config,
    label_space=label_space,
    image_format=model.image_format,
    train_op=make_op("input", config.input.pp, label_space, model.image_format),
    model=model,
    loss=_make_loss(config, _class_weights(config, label_space)),
    evals={name: make_eval(config, name, model, label_space) for name in ordered_evals(config)},
  )


def ordered_evals(config: ml_collections.ConfigDict) -> list[str]:
  """The names in `config.evals`: first the one in `config.best`, last those named test..."""
  best = config.best.partition("/")[0]
  return sorted(config.evals, key=lambda name: (name != best, name.startswith("test"), name))


def make_model(config: ml_collections.ConfigDict, label_space: LabelSpace) -> base.Network:
  """Builds the network.

  Raises:
    UserError: `model_name` or an argument in `config.model` is unknown.
  """
  return registry.build(
    config.model_name, config.model, label_space.num_classes, image_settings.image_format(config)
  )


def make_eval(
  config: ml_collections.ConfigDict, name: str, model: base.Network, label_space: LabelSpace
) -> EvalParts:
  """Builds the parts of `config.evals.<name>`.

  Raises:
    UserError: a part cannot be built; the message names the key.
  """
  return EvalParts(
    op=make_op(f"evals.{name}", config.evals[name].pp, label_space, model.image_format),
    options=_make_options(config, name, model.geometry),
    evaluator=evaluator_spec.parse(f"config.evals.{name}.type", config.evals[name].type),
  )


def make_op(
  where: str, spec: str, label_space: LabelSpace, image_format: ImageFormat
) -> op_spec.Chain:
  """Parses the preprocessing of `config.<where>.pp`.

  Raises:
    UserError: the spec is malformed; the message names the key.
  """
  try:
    return op_spec.parse(spec, label_space, image_format)
  except errors.UserError as error:
    raise errors.UserError(f"config.{where}.pp: {error}") from error


def _make_options(
  config: ml_collections.ConfigDict, name: str, geometry: base.Geometry
) -> passes.Options:
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
      "scores from tiles differ from those of whole images",
      name,
      geometry.name,
    )
  return options


def _class_weights(
  config: ml_collections.ConfigDict, label_space: LabelSpace
) -> tuple[float, ...] | None:
  """The weights of the classes; 1 each where a rule will compute them from the data."""
  if isinstance(config.class_weights, str):
    return (1.0,) * label_space.num_classes
  return tuple(config.class_weights or ()) or None


def _make_loss(config: ml_collections.ConfigDict, weights: tuple[float, ...] | None) -> Loss:
  loss = loss_spec.parse(config.loss, weights)
  if loss.gathers and config.accumulate_steps > 1:
    raise errors.UserError(
      f"config.accumulate_steps = {config.accumulate_steps} with config.loss = '{config.loss}': "
      "this loss needs the logits of the whole batch at once; use config.accumulate_steps=1"
    )
  return loss
