"""torchvision's VGG-16, with batch normalisation or without: the encoder of FCN, SegNet, U-Net.

    features.<place>          encoder: stage_<n>: conv_<i>, norm_<i>
    classifier.{0,3}          fc6 and fc7, which FCN has, as convolutions of 7x7 and of 1x1
    classifier.6              the classifier of ImageNet, which no network here has

A bias in front of a batch normalisation is taken off its mean.
"""

from collections.abc import Collection, Iterator

from flax_unet.models import vgg
from flax_unet.weights.dialect import CONV, Dialect, Tensor, conv, conv_norm
from flax_unet.weights.torchvision_resnet import classifier


def candidates(names: Collection[str]) -> list[Dialect]:
  """With and without batch normalisation."""
  del names
  return [
    Dialect(
      f"torchvision's vgg16{'_bn' if norm else ''}",
      (*tensors(norm), *_fully_connected(), *classifier("classifier.6")),
    )
    for norm in (False, True)
  ]


def tensors(norm: bool, prefix: str = "") -> Iterator[Tensor]:
  """The tensors of the convolutions.

  Args:
    norm: whether there are batch normalisations.
    prefix: of PyTorch's names.
  """
  place = 0
  for stage, number in enumerate(vgg.NUM_CONVS, start=1):
    for index in range(1, number + 1):
      name, path = f"{prefix}features.{place}", ("encoder", f"stage_{stage}")
      if norm:
        layers = (f"conv_{index}", f"norm_{index}")
        yield from conv_norm(name, f"{prefix}features.{place + 1}", *path, layers=layers)
      else:
        yield from conv(name, *path, f"conv_{index}", bias=True)
      place += 3 if norm else 2  # the normalisation and the ReLU have places too
    place += 1  # and so has the pooling


def _fully_connected() -> Iterator[Tensor]:
  for place, name, window in ((0, "fc6", (7, 7)), (3, "fc7", (1, 1))):
    kernel, bias = (("params", name, leaf) for leaf in ("kernel", "bias"))
    yield Tensor(f"classifier.{place}.weight", kernel, CONV, optional=True, window=window)
    yield Tensor(f"classifier.{place}.bias", bias, optional=True)
