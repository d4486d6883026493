"""SegNet (Badrinarayanan, Kendall, Cipolla 2017), https://arxiv.org/abs/1511.00561.

An encoder of VGG-16's convolutions; a decoder that puts values back where the encoder's poolings
found their maxima.
"""

from typing import ClassVar

import flax.linen as nn
import jax

from flax_unet.models import vgg
from flax_unet.models.base import Geometry
from flax_unet.models.blocks import ConvNetwork
from flax_unet.models.pooling import max_pool_2x2_indices, max_unpool_2x2


class SegNet(ConvNetwork):
  """SegNet with a configurable width.

  The authors' poolings round odd sizes up; here images are multiples of 32 (the program mirrors
  them up to that).

  Attributes:
    width: channels of VGG's first stage, 64 as published.
  """

  width: int = 64

  @property
  def geometry(self) -> Geometry:
    """See base class."""
    # Behind the fifth pooling the decoder mirrors the encoder.
    return Geometry(32, context=2 * vgg.CONTEXT + 32, name="SegNet")

  init_kind: ClassVar[str] = "he_fan_out"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Computes the logits of images whose height and width are multiples of 32; see `UNet`."""
    self.check({}, ("width",))
    self.check_size(images)
    encoder = vgg.VGG16(
      self.width,
      "batch",
      self.layers,
      lambda x: max_pool_2x2_indices(x)[0],
      name="encoder",
    )
    pooled = [max_pool_2x2_indices(x) for x in encoder(images.astype(self.dtype), train)]
    x = pooled[-1][0]
    widths = vgg.widths(self.width)
    for index in reversed(range(5)):
      x = max_unpool_2x2(x, pooled[index][1])
      same = vgg.NUM_CONVS[index] - 1
      # Each stage ends with the next one's width; the last convolution of all gives the logits.
      features = (widths[index],) * same + ((widths[index - 1],) if index else ())
      x = self.layers.block(vgg.Stage, features, "batch", self.layers, name=f"decoder_{index + 1}")(
        x, train
      )
    dtype = jax.numpy.promote_types(self.dtype, jax.numpy.float32)
    return self.layers.conv(self.num_classes, 3, name="logits", dtype=dtype)(x)
