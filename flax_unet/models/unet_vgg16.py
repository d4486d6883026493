"""A U-Net on VGG-16, as `Unet("vgg16_bn")` (or "vgg16") of segmentation_models.pytorch."""

import flax.linen as nn
import jax

from flax_unet.models import vgg
from flax_unet.models.base import Geometry
from flax_unet.models.encoder_unet import DecoderBlock, EncoderUNet
from flax_unet.models.pooling import max_pool_2x2


class UNetVGG16(EncoderUNet):
  """U-Net on VGG-16: as there, with a centre block, and without the skip at full resolution.

  Takes the attributes of `EncoderUNet`.

  Attributes:
    norm: of the encoder, "batch" (torchvision's `vgg16_bn`) or "none" (`vgg16`).
  """

  norm: str = "batch"

  @property
  def geometry(self) -> Geometry:
    """See base class."""
    context = vgg.CONTEXT + 3 * 32 + self.decoder_context
    return Geometry(32, context=context, name="a U-Net on VGG-16")

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Computes the logits of images whose height and width are multiples of 32; see `UNet`."""
    self.check({"norm": ("batch", "none")}, ("width", "decoder_width"))
    self.check_size(images)
    encoder = vgg.VGG16(self.width, self.norm, self.layers, max_pool_2x2, name="encoder")
    _, *skips = encoder(images.astype(self.dtype), train)
    x = max_pool_2x2(skips[-1])
    x = self.layers.block(DecoderBlock, x.shape[-1], self.layers, name="center")(x, train)
    return self.decode(x, skips[::-1], train)
