"""The convolutions of VGG-16 (Simonyan and Zisserman 2014), https://arxiv.org/abs/1409.1556."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from flax_unet.models.blocks import Layers

NUM_CONVS = (2, 2, 3, 3, 3)  # of each stage
CONTEXT = 106  # pixels to either side that a value in front of the fifth pooling depends on


def widths(width: int) -> tuple[int, ...]:
  """Channels of each stage, of which the first has `width`, 64 as published."""
  return tuple(width * factor for factor in (1, 2, 4, 8, 8))


class Stage(nn.Module):
  """3x3 convolutions, each with batch normalisation (if any) and a ReLU.

  Attributes:
    features: number of output channels of each convolution.
    norm: "batch" or "none".
    layers: makes the layers.
    first_padding: of the first convolution, in pixels.
  """

  features: tuple[int, ...]
  norm: str
  layers: Layers
  first_padding: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height, width, features[-1]]`."""
    for index, features in enumerate(self.features, start=1):
      padding = None if self.first_padding == 1 or index > 1 else self.first_padding
      x = self.layers.conv(
        features, 3, padding=padding, use_bias=self.norm == "none", name=f"conv_{index}"
      )(x)
      if self.norm == "batch":
        x = self.layers.batch_norm(train, f"norm_{index}")(x)
      x = nn.relu(x)
    return x


class VGG16(nn.Module):
  """Five stages of convolutions with poolings between them.

  Attributes:
    width: channels of the first stage.
    norm: "batch" (torchvision's `vgg16_bn`) or "none" (`vgg16`).
    layers: makes the layers.
    pool: 2x2 max pooling.
    first_padding: of the first convolution, in pixels.
  """

  width: int
  norm: str
  layers: Layers
  pool: Callable[[jax.Array], jax.Array]
  first_padding: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> list[Any]:
    """Returns what each stage computes of `[batch, height, width, channels]`, before pooling."""
    outputs = []
    for index, (features, number) in enumerate(zip(widths(self.width), NUM_CONVS, strict=True)):
      x = self.pool(x) if index else x
      padding = 1 if index else self.first_padding
      stage = self.layers.block(
        Stage, (features,) * number, self.norm, self.layers, padding, name=f"stage_{index + 1}"
      )
      x = stage(x, train)
      outputs.append(x)
    return outputs
