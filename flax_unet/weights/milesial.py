"""milesial/Pytorch-UNet, https://github.com/milesial/Pytorch-UNet (`unet/unet_parts.py`).

    inc.double_conv.{0,1,3,4}                       encoder_0: conv_1, norm_1, conv_2, norm_2
    down<i>.maxpool_conv.1.double_conv.{0,1,3,4}    encoder_<i>; the last is the bottleneck
    up<i>.up, up<i>.conv.double_conv.{0,1,3,4}      upsample_<depth - i>, decoder_<depth - i>
    outc.conv                                       logits

Both concatenate the skip first, and both pool, normalise and upsample in the same way, so the
logits are equal up to rounding. The bilinear variant has no `up<i>.up`, and is
`upsample="bilinear_aligned"` here. The public class has width 64 and depth 4; other sizes use the
same names. Versions before 2021 have biases in front of the batch normalisations.
"""

from collections.abc import Collection, Iterator

from flax_unet.models import base
from flax_unet.models.unet import UNet
from flax_unet.weights.dialect import TRANSPOSED, Dialect, Tensor, conv, conv_norm


def candidates(names: Collection[str]) -> list[Dialect]:
  """The variant of the names."""
  depth = sum(name.startswith("down") and name.endswith(".0.weight") for name in names)
  bilinear = "up1.conv.double_conv.0.weight" in names and "up1.up.weight" not in names
  return [_dialect(max(1, depth), bilinear)]


def for_model(model: base.Network) -> Dialect | None:
  """The dialect of a network that is to be written."""
  if type(model) is not UNet:
    return None
  return _dialect(model.depth, model.upsample == "bilinear_aligned")


def _dialect(depth: int, bilinear: bool) -> Dialect:
  upsample = "bilinear_aligned" if bilinear else "transpose"
  return Dialect(
    "milesial/Pytorch-UNet" + " (bilinear)" * bilinear,
    tuple(_tensors(depth, bilinear)),
    network="unet",
    attributes={"norm": "batch", "padding": "same", "upsample": upsample},
    normalization=None,  # images of 0 to 1 there; files written here have the run's
  )


def _tensors(depth: int, bilinear: bool) -> Iterator[Tensor]:
  yield from _double_conv("inc.double_conv", "encoder_0")
  for level in range(1, depth + 1):
    block = f"encoder_{level}" if level < depth else "bottleneck"
    yield from _double_conv(f"down{level}.maxpool_conv.1.double_conv", block)
  for level in reversed(range(depth)):
    up, ours = f"up{depth - level}", f"upsample_{level}"
    yield from _double_conv(f"{up}.conv.double_conv", f"decoder_{level}")
    if not bilinear:
      yield Tensor(f"{up}.up.weight", ("params", ours, "kernel"), TRANSPOSED)
      yield Tensor(f"{up}.up.bias", ("params", ours, "bias"))
  yield from conv("outc.conv", "logits", bias=True)


def _double_conv(name: str, block: str) -> Iterator[Tensor]:
  for index, place in ((1, 0), (2, 3)):
    layers = (f"conv_{index}", f"norm_{index}")
    yield from conv_norm(f"{name}.{place}", f"{name}.{place + 1}", block, layers=layers)
