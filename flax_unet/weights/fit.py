"""Whether the variables of a checkpoint are those of a network."""

from collections.abc import Mapping
from typing import Any

import flax

from flax_unet.errors import UserError
from flax_unet.models import base


def check_variables(model: base.Network, variables: Mapping[str, Any], where: str) -> None:
  """Refuses variables that are not the network's.

  Args:
    model: the network.
    variables: `params` and, where it has such, `batch_stats`, nested, of arrays or their shapes.
    where: they come from, for the message.

  Raises:
    UserError: arrays are missing, left over, or of another shape. The message names the first of
      each kind, and how many there are.
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
      "was trained with (in config.model, norm, width, depth and upsample decide about arrays)"
    )


def _flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
  # Without BatchNorm there are no statistics: an empty collection is none.
  return flax.traverse_util.flatten_dict(dict(tree), sep="/")
