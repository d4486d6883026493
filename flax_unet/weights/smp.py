"""segmentation_models.pytorch's `Unet` on ResNet and VGG-16 (0.6).

Its tensors, and our layers:

    encoder.<torchvision's names>
    decoder.center.<n>.{0,1}                center: conv_<n + 1> (VGG only)
    decoder.blocks.<i>.conv{1,2}.{0,1}      decoder_<i>: conv_1, conv_2
    segmentation_head.0                     logits
"""

from collections.abc import Collection, Iterator

from flax_unet.models import base, resnet
from flax_unet.models.unet_resnet import UNetResNet34
from flax_unet.models.unet_vgg16 import UNetVGG16
from flax_unet.weights import torchvision_resnet, torchvision_vgg
from flax_unet.weights.dialect import Dialect, Tensor, conv, conv_norm

_NAME = "segmentation_models.pytorch's Unet"


def candidates(names: Collection[str]) -> list[Dialect]:
  """Each encoder."""
  del names
  return [*map(_resnet, resnet.BLOCKS), *map(_vgg, ("batch", "none"))]


def for_model(model: base.Network) -> Dialect | None:
  """The dialect of a network that is to be written."""
  if isinstance(model, UNetResNet34):
    return _resnet(model.size)
  return _vgg(model.norm) if isinstance(model, UNetVGG16) else None


def _resnet(size: int) -> Dialect:
  tensors = (*torchvision_resnet.tensors(size, "encoder."), *_decoder())
  network = f"unet_resnet{size}"
  return Dialect(f"{_NAME}('resnet{size}')", tensors, network=network, widths={"width": 64})


def _vgg(norm: str) -> Dialect:
  def center() -> Iterator[Tensor]:
    for index in (0, 1):
      name = f"decoder.center.{index}"
      yield from conv_norm(f"{name}.0", f"{name}.1", "center", f"conv_{index + 1}")

  return Dialect(
    f"{_NAME}('vgg16{'_bn' if norm == 'batch' else ''}')",
    (*torchvision_vgg.tensors(norm == "batch", "encoder."), *center(), *_decoder()),
    network="unet_vgg16",
    attributes={"norm": norm},
    widths={"width": 64},
  )


def _decoder() -> Iterator[Tensor]:
  for block in range(5):
    for index in (1, 2):
      name = f"decoder.blocks.{block}.conv{index}"
      yield from conv_norm(f"{name}.0", f"{name}.1", f"decoder_{block}", f"conv_{index}")
  yield from conv("segmentation_head.0", "logits", bias=True)
