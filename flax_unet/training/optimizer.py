"""Builds the optimizer from the configuration."""

import functools
import inspect
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax

from flax_unet import errors, plugins
from flax_unet.training import schedules

_NO_OPTIMIZERS = ("lbfgs", "polyak_sgd")  # they need the loss value or a line search
_NO_PREFIXES = ("_", "scale_by_")  # building blocks: `scale_by_rprop` would ascend the gradient


def decayed(params: optax.Params) -> optax.Params:
  """A mask over parameters: True for kernels, False for biases and normalisation scales."""
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def make(config: ml_collections.ConfigDict, total_steps: int) -> optax.GradientTransformation:
  """Builds the optimizer.

  Args:
    config: `optax_name`, the name of any optimizer in optax, or `package.module.function` of your
      own; `optax`, its arguments; `wd`, weight decay: decoupled if the optimizer has its own, such
      as "adamw", otherwise added to the gradient, as in PyTorch's SGD; `wd_on`, "kernels" or "all"
      parameters; `grad_clip_norm`, the largest global norm of the gradient, or None; `lr_mult`, see
      `Multipliers`; and what `schedules.make` reads.
    total_steps: the length of the run.

  Raises:
    UserError: an unknown optimizer, or an argument that it does not take.
  """
  multipliers = Multipliers(config.get("lr_mult") or ())
  # An identity if there is no clipping keeps the state's structure, so a run may change this.
  norm = config.grad_clip_norm
  clip = optax.identity() if norm is None else optax.clip_by_global_norm(norm)
  parts = [clip, *_rule(config, total_steps)]
  if multipliers.pairs:
    # Frozen parameters must not count in the gradient norm either.
    parts = [multipliers.zero_frozen(), *parts, multipliers.scale()]
  return optax.chain(*parts)


def _rule(
  config: ml_collections.ConfigDict, total_steps: int
) -> Sequence[optax.GradientTransformation]:
  name = config.optax_name
  function = plugins.resolve("optimizer in config.optax_name", name, optimizers())
  known = inspect.signature(function).parameters
  arguments = {"learning_rate": schedules.make(config, total_steps), **config.optax}
  for key in config.optax:
    if key not in known:
      raise errors.unknown(f"argument of '{name}' in config.optax", key, known)
  choices = {"kernels": decayed, "all": None}
  where = config.get("wd_on", "kernels")
  if where not in choices:
    raise errors.unknown("choice in config.wd_on", where, choices)
  before = []
  if "weight_decay" in known and "mask" in known:
    arguments |= {"weight_decay": config.wd, "mask": choices[where]}
  else:
    before = [optax.add_decayed_weights(config.wd, mask=choices[where])]
  return [*before, plugins.build("config.optax", function, arguments)]


@functools.cache
def optimizers() -> dict[str, Any]:
  """The optimizers of the installed optax."""
  found = {}
  for name, function in vars(optax).items():
    if inspect.isclass(function) or not callable(function):
      continue
    if name in _NO_OPTIMIZERS or name.startswith(_NO_PREFIXES):
      continue
    try:
      first = next(iter(inspect.signature(function).parameters), None)
    except ValueError:  # from types used in annotations, which have no signature
      continue
    if first == "learning_rate":
      found[name] = function
  return found


class Multipliers:
  """Learning-rate factors by patterns of parameter paths: `config.lr_mult`.

  Attributes:
    pairs: regular expressions and factors. The first pattern that matches the whole path of a
      parameter, such as `encoder_0/conv_1/kernel`, counts; without a match the factor is 1. A
      factor of 0 freezes the parameter and the normalisation statistics of its layer.
  """

  def __init__(self, pairs: Sequence[Sequence[Any]]):
    """Reads the setting.

    Raises:
      UserError: the setting is malformed.
    """
    example = 'such as (("encoder_0.*", 0.0), ("encoder_.*", 0.1))'
    for pair in pairs:
      if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], int | float):
        raise errors.UserError(f"config.lr_mult = {pairs}: give patterns and factors, {example}")
      try:
        re.compile(pair[0])
      except re.error as error:
        raise errors.UserError(
          f"config.lr_mult: '{pair[0]}' is not a valid pattern ({error})"
        ) from error
      if not 0 <= pair[1] < float("inf"):
        raise errors.UserError(f"config.lr_mult: the factor {pair[1]} must be at least 0")
    self.pairs = tuple(tuple(pair) for pair in pairs)

  def of(self, path: Any) -> float:
    """The factor for a path, as `jax.tree.map_with_path` gives it."""
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    return next((factor for pattern, factor in self.pairs if re.fullmatch(pattern, name)), 1.0)

  def check(self, params: optax.Params) -> None:
    """Refuses patterns that match no parameter of a network."""
    names = [
      jax.tree_util.keystr(path, simple=True, separator="/")
      for path, _ in jax.tree.leaves_with_path(params)
    ]
    for pattern, _ in self.pairs:
      if not any(re.fullmatch(pattern, name) for name in names):
        raise errors.UserError(
          f"config.lr_mult: '{pattern}' matches no parameter; there are {names[0]}, .., {names[-1]}"
        )

  def keep_frozen(self, new: Any, old: Any) -> Any:
    """Returns a tree of statistics: the old ones for frozen layers, the new ones for others."""
    return jax.tree.map_with_path(lambda path, x, y: x if self.of(path) else y, new, old)

  def zero_frozen(self) -> optax.GradientTransformation:
    """Sets the gradient of frozen parameters to 0, even if it is not finite."""
    return self._by_path(lambda factor, x: x if factor else jnp.zeros_like(x))

  def scale(self) -> optax.GradientTransformation:
    """Multiplies the updates of parameters by their factors."""
    return self._by_path(
      lambda factor, x: x if factor == 1 else factor * x if factor else jnp.zeros_like(x)
    )

  def _by_path(self, function: Any) -> optax.GradientTransformation:
    return optax.stateless(
      lambda updates, _: jax.tree.map_with_path(lambda path, x: function(self.of(path), x), updates)
    )
