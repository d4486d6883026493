"""From `config.model_name` to a network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from flax_unet import errors, plugins
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.models import base

NETWORKS = {
  "unet": "flax_unet.models.unet.UNet",
  "unet_s5": "flax_unet.models.unet_s5.UNetS5",
  "attention_unet": "flax_unet.models.attention_unet.AttentionUNet",
  "ma_unet": "flax_unet.models.ma_unet.MAUNet",
  "fcn": "flax_unet.models.fcn.FCN",
  "segnet": "flax_unet.models.segnet.SegNet",
  "segnet_basic": "flax_unet.models.segnet_basic.SegNetBasic",
  "unet_resnet18": "flax_unet.models.unet_resnet.UNetResNet18",
  "unet_resnet34": "flax_unet.models.unet_resnet.UNetResNet34",
  "unet_resnet50": "flax_unet.models.unet_resnet.UNetResNet50",
  "unet_resnet101": "flax_unet.models.unet_resnet.UNetResNet101",
  "unet_vgg16": "flax_unet.models.unet_vgg16.UNetVGG16",
}
_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
_SET_BY_PROGRAM = ("parent", "name", "num_classes", "axis_name", "image_format")


def attributes(name: str) -> dict[str, Any]:
  """The attributes of a network with their defaults, as `config.model` has them.

  Args:
    name: see `build`.

  Raises:
    UserError: there is no such network.
  """
  found = {
    field.name: field.default
    for field in _fields(_resolve(name))
    if field.default is not dataclasses.MISSING
  }
  return {key: _dtype_name(value) if key == "dtype" else value for key, value in found.items()}


def _fields(network: type[base.Network]) -> list[dataclasses.Field]:
  return [field for field in dataclasses.fields(network) if field.name not in _SET_BY_PROGRAM]


def _dtype_name(dtype: Any) -> str:
  return next(name for name, known in _DTYPES.items() if known == dtype)


def _resolve(name: str) -> type[base.Network]:
  network = plugins.resolve("model in config.model_name", name, NETWORKS, base.Network)
  if not (isinstance(network, type) and issubclass(network, base.Network)):
    raise errors.UserError(
      f"config.model_name = '{name}': is not a network: it does not inherit from "
      "flax_unet.models.base.Network"
    )
  return network


def build(
  name: str, arguments: Mapping[str, Any], num_classes: int, image_format: ImageFormat = RGB
) -> base.Network:
  """Builds a network.

  Args:
    name: `config.model_name`: of the table above, or `package.module.Name` of a `base.Network`.
    arguments: `config.model`, its attributes.
    num_classes: how many logits a pixel has.
    image_format: that of the images.

  Raises:
    UserError: there is no such network, or it does not take these arguments.
  """
  network = _resolve(name)
  arguments = dict(arguments)
  known = [field.name for field in _fields(network)]
  for key in arguments:
    if key not in (*known, "axis_name"):
      unknown = errors.unknown(f"argument of '{name}' in config.model", key, known)
      raise errors.UserError(
        f"{unknown}; to change the network, and config.model with it, write model=NAME after the "
        "colon of --config, or call base_config.set_network in the configuration"
      )
  for key, value in arguments.items():
    if isinstance(value, list):  # JSON has no tuples
      arguments[key] = tuple(value)
  if "dtype" in arguments:
    dtype = arguments["dtype"]
    if dtype not in _DTYPES:
      raise errors.unknown("type in config.model.dtype", dtype, _DTYPES)
    arguments["dtype"] = _DTYPES[dtype]
  for key in ("mean", "stddev"):
    if len(arguments.get(key) or ()) not in (0, image_format.channels):
      raise errors.UserError(
        f"config.model.{key} = {arguments[key]}: give one value for each of the "
        f"{image_format.channels} channels (config.images.channels), or () to compute them on the "
        "training images"
      )
  arguments = {"axis_name": "batch", **arguments}
  arguments |= {"num_classes": num_classes, "image_format": image_format}
  return plugins.build("config.model", network, arguments)
