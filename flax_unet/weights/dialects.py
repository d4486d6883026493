"""All dialects: which one a state dict is written in, and in which a network is written."""

import pathlib
from collections.abc import Mapping
from typing import Any

from flax_unet import errors
from flax_unet.models import base
from flax_unet.weights import (
  huggingface_resnet,
  milesial,
  mmsegmentation,
  smp,
  torch_files,
  torchvision_resnet,
  torchvision_vgg,
)
from flax_unet.weights.dialect import Dialect

READ = (milesial, mmsegmentation, smp, torchvision_resnet, torchvision_vgg, huggingface_resnet)
WRITTEN = (milesial, mmsegmentation, smp)
# What trainers put in front of all names: nn.DataParallel, Lightning, others.
_PREFIXES = ("module.", "model.", "net.", "_orig_mod.")


def read(path: pathlib.Path) -> tuple[Dialect, dict[str, Any]]:
  """Reads a file of weights.

  Returns:
    Its dialect, and `params` and `batch_stats`.

  Raises:
    UserError: it cannot be read, or is of no dialect.
  """
  state_dict = without_prefixes(torch_files.read(path))
  try:
    dialect = recognize(state_dict)
    return dialect, dialect.variables(state_dict)
  except ValueError as error:
    raise errors.UserError(f"{path}: {error}") from error


def without_prefixes(state_dict: Mapping[str, Any]) -> dict[str, Any]:
  """Takes off what all names begin with, if it is one of the trainers' prefixes."""
  names = dict(state_dict)
  while names:
    prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in names)), None)
    if prefix is None:
      break
    names = {name.removeprefix(prefix): value for name, value in names.items()}
  return names


def recognize(state_dict: Mapping[str, Any]) -> Dialect:
  """Finds the dialect whose names a state dict has, or most of them.

  Raises:
    ValueError: it has no name of any dialect.
  """
  found = [dialect for module in READ for dialect in module.candidates(state_dict)]
  best = max(found, key=lambda dialect: dialect.match(state_dict))
  if not best.match(state_dict)[0]:
    raise ValueError(
      f"its {len(state_dict)} tensors, such as '{next(iter(state_dict), '')}', have names of no "
      "known program: docs/weights.md lists those that can be read"
    )
  return best


def for_model(model: base.Network) -> Dialect:
  """Finds the dialect that a network is written in.

  Raises:
    ValueError: there is none, or it does not have such a network; the message says why.
  """
  for module in WRITTEN:
    if dialect := module.for_model(model):
      dialect.check_to_write(model)
      return dialect
  raise ValueError(
    f"{type(model).__name__} has no published names in PyTorch: written are unet, unet_s5, "
    "unet_resnet.. and unet_vgg16"
  )
