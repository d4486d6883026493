"""torchvision's ResNets, whose names timm shares: the encoder of `unet_resnet<size>`.

Their tensors, and our layers:

    conv1, bn1                                stem
    layer<n>.<i>.{conv,bn}{1,2[,3]}           layer_<n>_<i>: conv_1, conv_2[, conv_3]
    layer<n>.<i>.downsample.{0,1}             layer_<n>_<i>: shortcut
    fc                                        the classifier of ImageNet, which no network here has
"""

from collections.abc import Collection, Iterator

from flax_unet.models import resnet
from flax_unet.weights.dialect import DENSE, Dialect, Tensor, conv_norm


def candidates(names: Collection[str]) -> list[Dialect]:
  """Each size."""
  del names
  return [
    Dialect(f"torchvision's resnet{size}", (*tensors(size), *classifier("fc")))
    for size in resnet.BLOCKS
  ]


def tensors(size: int, prefix: str = "") -> Iterator[Tensor]:
  """The tensors of the convolutions.

  Args:
    size: 18, 34, 50 or 101.
    prefix: of PyTorch's names.
  """
  yield from conv_norm(f"{prefix}conv1", f"{prefix}bn1", "encoder", "stem")
  for layer, index, ours in blocks(size):
    name = f"{prefix}layer{layer}.{index}"
    for number in range(1, num_convs(size) + 1):
      conv_name, norm_name = f"{name}.conv{number}", f"{name}.bn{number}"
      yield from conv_norm(conv_name, norm_name, "encoder", ours, f"conv_{number}")
    if has_shortcut(size, layer, index):
      shortcut = f"{name}.downsample"
      yield from conv_norm(f"{shortcut}.0", f"{shortcut}.1", "encoder", ours, "shortcut")


def blocks(size: int) -> Iterator[tuple[int, int, str]]:
  """The layer, from 1, of each block, its place in it, and its name here."""
  for layer, number in enumerate(resnet.BLOCKS[size], start=1):
    for index in range(number):
      yield layer, index, f"layer_{layer}_{index}"


def num_convs(size: int) -> int:
  """How many convolutions a block has."""
  return 3 if resnet.expansion(size) > 1 else 2


def has_shortcut(size: int, layer: int, index: int) -> bool:
  """Whether a block changes the number of channels or the resolution."""
  return index == 0 and (layer > 1 or resnet.expansion(size) > 1)


def classifier(name: str) -> Iterator[Tensor]:
  """The classifier of ImageNet, which files may lack."""
  yield Tensor(f"{name}.weight", ("params", "imagenet_classifier", "kernel"), DENSE, optional=True)
  yield Tensor(f"{name}.bias", ("params", "imagenet_classifier", "bias"), optional=True)
