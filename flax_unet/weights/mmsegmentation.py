"""mmsegmentation's `fcn_unet_s5-d16`: `backbones/unet.py` and `decode_heads/fcn_head.py` of 1.2.2.

    backbone.encoder.<i>.<1, or 0 in the first>.convs.{0,1}.{conv,bn}     encoder_<i>
    backbone.decoder.<i>.upsample.interp_upsample.1.{conv,bn}            upsample_<i>
    backbone.decoder.<i>.conv_block.convs.{0,1}.{conv,bn}                decoder_<i>
    {decode_head,auxiliary_head}.{convs.0.{conv,bn},conv_seg}            the same: conv, logits

Other numbers of stages and other widths (`base_channels`) use the same names.
"""

from collections.abc import Collection, Iterator

from flax_unet.models import base
from flax_unet.models.unet_s5 import UNetS5
from flax_unet.weights.dialect import Dialect, Tensor, conv, conv_norm


def candidates(names: Collection[str]) -> list[Dialect]:
  """The number of stages of the names, with the auxiliary head or without."""
  depth = sum(name.endswith("interp_upsample.1.conv.weight") for name in names)
  auxiliary = any(name.startswith("auxiliary_head.") for name in names)
  return [_dialect(max(1, depth), auxiliary)]


def for_model(model: base.Network) -> Dialect | None:
  """The dialect of a network that is to be written."""
  return _dialect(model.depth, model.aux_weight > 0) if type(model) is UNetS5 else None


def _dialect(depth: int, auxiliary: bool) -> Dialect:
  return Dialect(
    f"mmsegmentation's fcn_unet_s{depth + 1}-d{2**depth}",
    tuple(_tensors(depth, auxiliary)),
    network="unet_s5",
    attributes={"norm": "batch", "padding": "same", "upsample": "bilinear_conv", "depth": depth},
  )


def _tensors(depth: int, auxiliary: bool) -> Iterator[Tensor]:
  for level in range(depth + 1):
    name = f"backbone.encoder.{level}.{1 if level else 0}"  # place 0 is the pooling's
    yield from _convs(name, f"encoder_{level}" if level < depth else "bottleneck")
  for level in range(depth):
    name = f"backbone.decoder.{level}"
    up = f"{name}.upsample.interp_upsample.1"
    yield from conv_norm(f"{up}.conv", f"{up}.bn", f"upsample_{level}")
    yield from _convs(f"{name}.conv_block", f"decoder_{level}")
  for head in ("decode_head", "auxiliary_head")[: 1 + auxiliary]:
    yield from conv_norm(f"{head}.convs.0.conv", f"{head}.convs.0.bn", head, "conv")
    yield from conv(f"{head}.conv_seg", head, "logits", bias=True)


def _convs(name: str, block: str) -> Iterator[Tensor]:
  for index in (1, 2):
    place = f"{name}.convs.{index - 1}"
    layers = (f"conv_{index}", f"norm_{index}")
    yield from conv_norm(f"{place}.conv", f"{place}.bn", block, layers=layers)
