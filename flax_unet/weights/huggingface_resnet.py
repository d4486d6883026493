"""Hugging Face's ResNets (`transformers`' `ResNetModel`): the encoder of `unet_resnet<size>`.

    resnet.embedder.embedder.{convolution,normalization}                         stem
    resnet.encoder.stages.<n>.layers.<i>.layer.<k>.{convolution,normalization}   layer_<n + 1>_<i>
    resnet.encoder.stages.<n>.layers.<i>.shortcut.{convolution,normalization}    its shortcut
    classifier.1                                                                 ImageNet's

Files of the model without its classifier lack the `resnet.` in front.
"""

from collections.abc import Collection, Iterator

from flax_unet.models import resnet
from flax_unet.weights.dialect import Dialect, Tensor, conv_norm
from flax_unet.weights.torchvision_resnet import blocks, classifier, has_shortcut, num_convs


def candidates(names: Collection[str]) -> list[Dialect]:
  """Each size."""
  prefix = "" if any(name.startswith("embedder.") for name in names) else "resnet."
  return [
    Dialect(f"Hugging Face's resnet-{size}", (*_tensors(size, prefix), *classifier("classifier.1")))
    for size in resnet.BLOCKS
  ]


def _tensors(size: int, prefix: str) -> Iterator[Tensor]:
  yield from _conv_norm(f"{prefix}embedder.embedder", "stem")
  for layer, index, ours in blocks(size):
    name = f"{prefix}encoder.stages.{layer - 1}.layers.{index}"
    for number in range(num_convs(size)):
      yield from _conv_norm(f"{name}.layer.{number}", ours, f"conv_{number + 1}")
    if has_shortcut(size, layer, index):
      yield from _conv_norm(f"{name}.shortcut", ours, "shortcut")


def _conv_norm(name: str, *path: str) -> Iterator[Tensor]:
  yield from conv_norm(f"{name}.convolution", f"{name}.normalization", "encoder", *path)
