"""Converts our U-Net's variables to a PyTorch state dict of milesial/Pytorch-UNet, and back.

The names are those of https://github.com/milesial/Pytorch-UNet (`unet/unet_parts.py`):

    inc.double_conv.{0,1,3,4}                       encoder_0: conv_1, norm_1, conv_2, norm_2
    down<i>.maxpool_conv.1.double_conv.{0,1,3,4}    encoder_<i>; the last is the bottleneck
    up<i>.up, up<i>.conv.double_conv.{0,1,3,4}      upsample_<depth - i>, decoder_<depth - i>
    outc.conv                                       logits

Both concatenate the skip first, and both pool, normalise and upsample in the same way, so the
logits are equal up to rounding. The public class has width 64 and depth 4; names for other sizes
follow the same scheme.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import flax
import numpy as np

from flax_unet.models.unet import UNet

_NEEDED = {"norm": "batch", "padding": "same", "upsample": "transpose"}
_LAYERS = {"conv_1": 0, "norm_1": 1, "conv_2": 3, "norm_2": 4}
# PyTorch's names of a BatchNorm's arrays; our collection and name.
_NORM = {
  "weight": ("params", "scale"),
  "bias": ("params", "bias"),
  "running_mean": ("batch_stats", "mean"),
  "running_var": ("batch_stats", "var"),
}
# Axes to transpose a kernel of ours to PyTorch's order, and back.
_CONV = (3, 2, 0, 1), (2, 3, 1, 0)  # [height, width, in, out] and [out, in, height, width]
_TRANSPOSED = (2, 3, 0, 1), (2, 3, 0, 1)  # [height, width, in, out] and [in, out, height, width]
_VECTOR = (0,), (0,)

_Path = tuple[str, ...]


def check(model: UNet) -> None:
  """Refuses a network for which the layout has no names, or which computes something else.

  Raises:
    ValueError: the message names the attributes.
  """
  differences = [
    f"{name}='{getattr(model, name)}'"
    for name, value in _NEEDED.items()
    if getattr(model, name) != value
  ]
  if differences:
    needed = ", ".join(f"{name}='{value}'" for name, value in _NEEDED.items())
    raise ValueError(
      f"a U-Net with {', '.join(differences)} does not fit milesial/Pytorch-UNet, which has "
      f"{needed}"
    )


def to_torch(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Converts the variables of a network that passed `check` to a state dict.

  Args:
    variables: `params` and `batch_stats` of `UNet`.

  Returns:
    float32 arrays by PyTorch's names, copied in C order so that PyTorch can use them directly; and
    `num_batches_tracked`, 0, which is unused in a BatchNorm with a momentum.
  """
  flat = flax.traverse_util.flatten_dict(dict(variables))
  depth = sum(name.startswith("upsample_") for name in variables["params"])
  state_dict = {}
  for name, path, (axes, _) in _arrays(depth):
    state_dict[name] = np.asarray(flat[path], np.float32).transpose(axes).copy()
    if name.endswith("running_var"):
      state_dict[name.replace("running_var", "num_batches_tracked")] = np.zeros((), np.int64)
  return state_dict


def from_torch(state_dict: Mapping[str, Any]) -> dict[str, Any]:
  """Converts a state dict to the variables of `UNet`.

  Versions of the layout before 2021 have biases before the BatchNorms. Such a bias only shifts the
  mean that is then subtracted, so it is subtracted from the running mean here.

  Args:
    state_dict: float arrays by PyTorch's names.

  Returns:
    `params` and `batch_stats`, float32.

  Raises:
    ValueError: it has another layout; the message says what is missing or left over.
  """
  left = {
    name: array for name, array in state_dict.items() if not name.endswith("num_batches_tracked")
  }
  depth = sum(name.startswith("down") and name.endswith(".0.weight") for name in left)
  if "up1.conv.double_conv.0.weight" in left and "up1.up.weight" not in left:
    raise ValueError(
      "this is the bilinear variant of milesial/Pytorch-UNet, which has other channels than "
      "upsample='bilinear' here and aligns corners: only the one with transposed convolutions fits"
    )
  flat = {}
  for name, path, (_, axes) in _arrays(depth):
    if name not in left:
      raise ValueError(f"not a state dict of milesial/Pytorch-UNet: it has no '{name}'")
    array = np.asarray(left.pop(name), np.float32)
    if array.ndim != len(axes):
      raise ValueError(f"not a state dict of milesial/Pytorch-UNet: '{name}' is {array.shape}")
    flat[path] = array.transpose(axes)
  for prefix, block in _blocks(depth):
    for index in (1, 2):
      bias = left.pop(f"{prefix}.{_LAYERS[f'conv_{index}']}.bias", None)
      if bias is not None:
        mean = ("batch_stats", block, f"norm_{index}", "mean")
        flat[mean] = flat[mean] - np.asarray(bias, np.float32)
  if left:
    names = ", ".join(f"'{name}'" for name in list(left)[:3])
    raise ValueError(
      f"not a state dict of milesial/Pytorch-UNet: {len(left)} of its names are unknown, {names}"
    )
  return flax.traverse_util.unflatten_dict(flat)


def _blocks(depth: int) -> Iterator[tuple[str, str]]:
  """Yields PyTorch's name and ours of each pair of convolutions."""
  yield "inc.double_conv", "encoder_0"
  for level in range(1, depth + 1):
    block = f"encoder_{level}" if level < depth else "bottleneck"
    yield f"down{level}.maxpool_conv.1.double_conv", block
  for level in reversed(range(depth)):
    yield f"up{depth - level}.conv.double_conv", f"decoder_{level}"


def _arrays(depth: int) -> Iterator[tuple[str, _Path, tuple[tuple[int, ...], tuple[int, ...]]]]:
  """Yields PyTorch's name and our path of each array, and its axes in PyTorch's order and ours."""
  for prefix, block in _blocks(depth):
    for layer, place in _LAYERS.items():
      if layer.startswith("conv"):
        yield f"{prefix}.{place}.weight", ("params", block, layer, "kernel"), _CONV
        continue
      for name, (collection, ours) in _NORM.items():
        yield f"{prefix}.{place}.{name}", (collection, block, layer, ours), _VECTOR
  plain = {f"up{depth - level}.up": (f"upsample_{level}", _TRANSPOSED) for level in range(depth)}
  plain["outc.conv"] = ("logits", _CONV)
  for prefix, (layer, axes) in plain.items():
    yield f"{prefix}.weight", ("params", layer, "kernel"), axes
    yield f"{prefix}.bias", ("params", layer, "bias"), _VECTOR
