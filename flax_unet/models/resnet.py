"""The convolutions of ResNet (He et al. 2015), https://arxiv.org/abs/1512.03385.

As in torchvision and timm: in a bottleneck, the 3x3 convolution has the stride ("v1.5").
"""

import flax.linen as nn
import jax

from flax_unet.models.blocks import ConvNorm, Layers
from flax_unet.models.pooling import max_pool_3x3_stride_2

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def expansion(size: int) -> int:
  """How many times wider a block's output is than its 3x3 convolution: 4 in bottlenecks."""
  return 4 if size >= 50 else 1


def context(size: int) -> int:
  """Pixels to either side that a value of the last layer depends on."""
  reach, jump = 3 + 2, 4  # the first convolution, and the pooling
  for layer, blocks in enumerate(BLOCKS[size]):
    for block in range(blocks):
      reach += jump  # the first 3x3 convolution, at the block's input
      jump *= 2 if layer and not block else 1
      reach += jump if expansion(size) == 1 else 0
  return reach


class Block(nn.Module):
  """A basic block, or a bottleneck.

  Attributes:
    features: channels of its 3x3 convolutions.
    expansion: see `expansion`; 4 makes it a bottleneck.
    stride: of the block.
    layers: makes the layers.
  """

  features: int
  expansion: int
  stride: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[.., height / stride, .., features * ..]`."""
    out = self.features * self.expansion
    if self.expansion == 1:
      convs = [(self.features, 3, self.stride), (out, 3, 1)]
    else:
      convs = [(self.features, 1, 1), (self.features, 3, self.stride), (out, 1, 1)]
    residual = x
    for index, (features, size, stride) in enumerate(convs, start=1):
      is_last = index == len(convs)
      conv = ConvNorm(features, self.layers, size, stride, relu=not is_last, name=f"conv_{index}")
      x = conv(x, train)
    if residual.shape != x.shape:
      shortcut = ConvNorm(out, self.layers, 1, self.stride, relu=False, name="shortcut")
      residual = shortcut(residual, train)
    return nn.relu(x + residual)


class ResNet(nn.Module):
  """The first convolution and four layers of blocks.

  Attributes:
    size: 18, 34, 50 or 101.
    width: channels of the first convolution, 64 as published.
    layers: makes the layers.
  """

  size: int
  width: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> list[jax.Array]:
    """Returns features of `[batch, height, width, channels]`, at 1/2, 1/4, 1/8, 1/16 and 1/32."""
    x = ConvNorm(self.width, self.layers, 7, 2, name="stem")(x, train)
    outputs = [x]
    x = max_pool_3x3_stride_2(x)
    for layer, number in enumerate(BLOCKS[self.size]):
      for index in range(number):
        x = self.layers.block(
          Block,
          self.width * 2**layer,
          expansion(self.size),
          2 if layer and not index else 1,
          self.layers,
          name=f"layer_{layer + 1}_{index}",
        )(x, train)
      outputs.append(x)
    return outputs
