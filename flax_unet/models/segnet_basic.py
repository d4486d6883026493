"""SegNet-Basic, the small variant of SegNet: https://arxiv.org/abs/1511.00561, section 3.3."""

from typing import ClassVar

import flax.linen as nn
import jax

from flax_unet.models.base import Geometry
from flax_unet.models.blocks import ConvNetwork, ConvNorm
from flax_unet.models.pooling import max_pool_2x2_indices, max_unpool_2x2


class SegNetBasic(ConvNetwork):
  """Four 7x7 convolutions down, four up, and a classifier.

  The decoder has no ReLU. The local response normalisation that the authors' files have in front of
  the first convolution is left out, as the paper does not name it.

  Attributes:
    width: channels of every layer, 64 as published.
    depth: number of poolings, 4 as published.
  """

  width: int = 64
  depth: int = 4

  @property
  def geometry(self) -> Geometry:
    """See base class."""
    # Two convolutions of 3 pixels to either side at each resolution, and poolings.
    context = 7 * (2**self.depth - 1) + 2**self.depth
    return Geometry(2**self.depth, context=context, name=f"SegNet-Basic with depth={self.depth}")

  init_kind: ClassVar[str] = "he_fan_out"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Computes the logits of images whose height and width are multiples of 16; see `UNet`."""
    self.check({}, ("width", "depth"))
    self.check_size(images)
    x, indices = images.astype(self.dtype), []
    for level in range(self.depth):
      block = self.layers.block(ConvNorm, self.width, self.layers, 7, name=f"encoder_{level}")
      x, index = max_pool_2x2_indices(block(x, train))
      indices.append(index)
    for level in reversed(range(self.depth)):
      block = self.layers.block(
        ConvNorm, self.width, self.layers, 7, relu=False, name=f"decoder_{level}"
      )
      x = block(max_unpool_2x2(x, indices[level]), train)
    return self.layers.logits(self.num_classes)(x)
