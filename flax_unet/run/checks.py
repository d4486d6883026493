"""Validates the settings before anything is built."""

import math
from typing import NamedTuple

import ml_collections

from flax_unet import base_config, errors, nested
from flax_unet.data import mixture
from flax_unet.data.label_space import LabelSpace
from flax_unet.losses import class_weights

_DATA = ("input.data.", "input.extra_data.")
_MAY_BE_NONE = (
  "total_steps",
  "total_epochs",
  "plan.memory_gib",
  "plan.hours",
  "input.cache_dir",
  "class_weights",
  "grad_clip_norm",
  "ema_decay",
)


def check(config: ml_collections.ConfigDict, num_devices: int) -> None:
  """Checks the values of settings.

  Args:
    config: the configuration.
    num_devices: the number of devices, over all processes.

  Raises:
    UserError: one line that names the key, its value and the values it may have.
  """
  _check_keys(config)
  _check_present(config)
  _check_length(config)
  _check_ranges(config)
  if not config.evals:
    raise errors.UserError("config.evals is empty: a run needs at least one evaluation")
  for key, choices in (("on_bad_example", ("raise", "skip")), ("cache", ("none", "disk"))):
    if config.input[key] not in choices:
      raise errors.unknown(f"choice in config.input.{key}", config.input[key], choices)
  _check_batch_size("input", config.input.batch_size, num_devices)
  if config.total_epochs and not mixture.batch_numbers(config.input)[mixture.MAIN]:
    raise errors.UserError(
      f"config.total_epochs = {config.total_epochs}: epochs are those of config.input.data, which "
      "has no share of a batch; give config.total_steps"
    )
  _check_accumulation(config, num_devices)
  for name, eval_config in config.evals.items():
    _check_batch_size(f"evals.{name}", eval_config.batch_size, num_devices)


def check_classes(config: ml_collections.ConfigDict, label_space: LabelSpace) -> None:
  """Checks the settings that depend on the classes.

  Raises:
    UserError: see `check`.
  """
  if label_space.num_classes == 1:
    raise errors.UserError(
      f"config.label_space = '{config.label_space}' has one class, but the background counts as a "
      "class too. Use num_classes=2, with 0 and 1 in the masks; for masks of 0 and 255, use "
      "classes=FILE.csv with the lines name,r,g,b,id and background,0,0,0,0 and "
      "object,255,255,255,255"
    )
  _check_class_weights(config, label_space)


def _check_keys(config: ml_collections.ConfigDict) -> None:
  """Refuses missing and unknown settings.

  `base_config` and the command line do so too, except in groups that a configuration replaces.
  """
  base, evaluation = base_config.get_config(), base_config.evaluation()
  groups = {"": base} | {f"{name}.": base[name] for name in ("input", "plan", "schedule")}
  for name in config.evals:
    groups[f"evals.{name}."] = evaluation
  for prefix, expected in groups.items():
    given = config
    for part in prefix.split(".")[:-1]:
      given = given[part]
    for key in expected:
      if key not in given:
        raise errors.UserError(
          f"config.{prefix}{key} is missing: start from flax_unet.base_config, which has a default"
        )
    for key in given:
      if key not in expected:
        raise errors.unknown(f"setting in config.{prefix.rstrip('.')}", key, expected)


def _check_present(config: ml_collections.ConfigDict) -> None:
  for key, value in nested.flatten(config.to_dict()).items():
    if value is None and key not in _MAY_BE_NONE and not key.startswith(_DATA):
      raise errors.UserError(f"config.{key} = None: it needs a value")


def _check_length(config: ml_collections.ConfigDict) -> None:
  if (config.total_steps is None) == (config.total_epochs is None):
    raise errors.UserError(
      f"config.total_steps = {config.total_steps} and config.total_epochs = "
      f"{config.total_epochs}: one of them must be a number and the other None, such as "
      "--config.total_steps=1000 --config.total_epochs=None"
    )


class _Range(NamedTuple):
  """The range of a setting: from `low` (exclusive if `above`) to below `high`; whole or any."""

  whole: bool
  low: float
  high: float = math.inf
  above: bool = False

  def describe(self) -> str:
    """The range in words."""
    words = f"{'a whole number' if self.whole else 'a number'}, "
    words += f"{'above' if self.above else 'at least'} {self.low:g}"
    return words if self.high == math.inf else f"{words} and below {self.high:,.0f}"


_RANGES = {
  "seed": _Range(True, 0, 2**32),
  "total_steps": _Range(True, 1),
  "total_epochs": _Range(True, 1),
  "accumulate_steps": _Range(True, 1),
  "log_training_steps": _Range(True, 1),
  "ckpt_steps": _Range(True, 1),
  "profile_steps": _Range(True, 0),
  "skip_nonfinite": _Range(True, 0),
  "early_stopping": _Range(True, 0),
  "plan.memory_gib": _Range(False, 0, above=True),
  "plan.hours": _Range(False, 0, above=True),
  "input.workers": _Range(True, 0),
  "input.prefetch": _Range(True, 1),
  "input.prefetch_to_device": _Range(True, 0),
  "input.timeout": _Range(True, 1),
  "grad_clip_norm": _Range(False, 0, above=True),
  "ema_decay": _Range(False, 0, 1),
  "wd": _Range(False, 0),
  "model.dropout": _Range(False, 0, 1),
}
_EVAL_RANGES = {"log_steps": _Range(True, 1), "num_pictures": _Range(True, 0)}


def _check_ranges(config: ml_collections.ConfigDict) -> None:
  values = nested.flatten(config.to_dict())
  ranges = _RANGES | {
    f"evals.{name}.{key}": allowed for name in config.evals for key, allowed in _EVAL_RANGES.items()
  }
  for key, allowed in ranges.items():
    value = values.get(key)
    if value is None:  # `_check_present` refuses None where a value is needed
      continue
    fits = isinstance(value, int if allowed.whole else int | float) and not isinstance(value, bool)
    if (
      not fits
      or not allowed.low <= value < allowed.high
      or (allowed.above and value == allowed.low)
    ):
      raise errors.UserError(f"config.{key} = {value}: it must be {allowed.describe()}")


def _check_class_weights(config: ml_collections.ConfigDict, label_space: LabelSpace) -> None:
  weights = config.class_weights
  if not weights:
    return
  if isinstance(weights, str):
    if weights not in class_weights.RULES:
      raise errors.unknown("rule in config.class_weights", weights, class_weights.RULES)
    return
  if not isinstance(weights, tuple | list):
    raise errors.UserError(
      f"config.class_weights = {weights}: give one number per class, such as (1.0, 5.0), or one of "
      f"{', '.join(class_weights.RULES)}"
    )
  if len(weights) != label_space.num_classes:
    raise errors.UserError(
      f"config.class_weights has {len(weights)} values; '{label_space.name}' has "
      f"{label_space.num_classes} classes: give one for each, or () for none"
    )
  numbers = all(isinstance(weight, int | float) for weight in weights)
  if not numbers or not all(0 <= weight < math.inf for weight in weights) or not any(weights):
    raise errors.UserError(
      f"config.class_weights = {tuple(weights)}: give finite numbers, at least 0 and not all of "
      "them 0, such as (1.0, 5.0)"
    )


def _check_batch_size(where: str, batch_size: int, devices: int) -> None:
  if batch_size < 1 or batch_size % devices:
    below = batch_size // devices * devices
    near = f"{below} or {below + devices}" if below > 0 else f"{devices}"
    raise errors.UserError(
      f"config.{where}.batch_size = {batch_size} cannot be divided among {devices} "
      f"device{'s' * (devices > 1)}: use {near}"
    )


def _check_accumulation(config: ml_collections.ConfigDict, devices: int) -> None:
  parts, per_device = config.accumulate_steps, config.input.batch_size // devices
  if per_device % parts:
    raise errors.UserError(
      f"config.accumulate_steps = {parts} does not divide the {per_device} images a batch has on "
      "each device"
    )
