"""From `config.model_name` to a network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from flax_unet import errors, plugins
from flax_unet.models import base

_NETWORKS = {
  "unet": "flax_unet.models.unet.UNet",
}
_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def build(name: str, arguments: Mapping[str, Any], num_classes: int) -> base.Network:
  """Builds a network.

  Args:
    name: `config.model_name`: of the table above, or `package.module.Name` of a `base.Network`.
    arguments: `config.model`, its attributes.
    num_classes: how many logits a pixel has.

  Raises:
    UserError: there is no such network, or it does not take these arguments.
  """
  network = plugins.resolve("model in config.model_name", name, _NETWORKS)
  if not (isinstance(network, type) and issubclass(network, base.Network)):
    raise errors.UserError(
      f"config.model_name = '{name}': is not a network: it does not inherit from "
      "flax_unet.models.base.Network"
    )
  arguments = dict(arguments)
  known = {field.name for field in dataclasses.fields(network)} - {"parent", "name", "num_classes"}
  for key in arguments:
    if key not in known:
      raise errors.unknown(f"argument of '{name}' in config.model", key, known)
  for key in ("mean", "stddev"):  # JSON has lists
    if key in arguments:
      arguments[key] = tuple(arguments[key])
  if "dtype" in arguments:
    dtype = arguments["dtype"]
    if dtype not in _DTYPES:
      raise errors.unknown("type in config.model.dtype", dtype, _DTYPES)
    arguments["dtype"] = _DTYPES[dtype]
  arguments = {"axis_name": "batch", **arguments, "num_classes": num_classes}
  return plugins.build("config.model", network, arguments)
