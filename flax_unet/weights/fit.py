"""Checks whether the variables of a checkpoint fit a network."""

from collections.abc import Mapping
from typing import Any

import flax

from flax_unet.errors import UserError
from flax_unet.models import base


def check_variables(model: base.Network, variables: Mapping[str, Any], where: str) -> None:
  """Refuses variables that do not fit the network.

  Args:
    model: the network.
    variables: nested `params` and, if it has any, `batch_stats`: arrays or their shapes.
    where: the origin of the variables, for the message.

  Raises:
    UserError: arrays are missing, left over, or have another shape. The message names the first of
      each kind and their number.
  """
  shapes = base.variable_shapes(model)
  needed, given = (
    {name: tuple(leaf.shape) for name, leaf in _flatten(tree).items()}
    for tree in (shapes, variables)
  )
  found = {
    "missing": [name for name in needed if name not in given],
    "left over": [name for name in given if name not in needed],
    "of another shape": [
      f"{name} {list(given[name])} instead of {list(shape)}"
      for name, shape in needed.items()
      if given.get(name, shape) != shape
    ],
  }
  parts = [f"{len(names)} {kind} ({names[0]})" for kind, names in found.items() if names]
  if parts:
    raise UserError(
      f"{where}: its arrays do not fit config.model: {', '.join(parts)}. Give the --config that it "
      "was trained with (in config.model, the arrays depend on norm, width, depth and upsample)"
    )


def _flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
  # Without BatchNorm there are no statistics: an empty collection counts as none.
  return flax.traverse_util.flatten_dict(dict(tree), sep="/")
