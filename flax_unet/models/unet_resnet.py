"""U-Nets on ResNet encoders, as `Unet("resnet34")` of segmentation_models.pytorch."""

from typing import ClassVar

import flax.linen as nn
import jax

from flax_unet.models import resnet
from flax_unet.models.base import Geometry
from flax_unet.models.encoder_unet import EncoderUNet


class UNetResNet34(EncoderUNet):
  """U-Net on a ResNet-34; takes the attributes of `EncoderUNet`."""

  size: ClassVar[int] = 34

  @property
  def geometry(self) -> Geometry:
    """See base class."""
    context = resnet.context(self.size) + self.decoder_context
    return Geometry(32, context=context, name=f"a U-Net on a ResNet-{self.size}")

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Computes the logits of images whose height and width are multiples of 32; see `UNet`."""
    self.check({}, ("width", "decoder_width"))
    self.check_size(images)
    encoder = resnet.ResNet(self.size, self.width, self.layers, name="encoder")
    *skips, x = encoder(images.astype(self.dtype), train)
    return self.decode(x, skips[::-1], train)


class UNetResNet18(UNetResNet34):
  """The same on a ResNet-18."""

  size: ClassVar[int] = 18


class UNetResNet50(UNetResNet34):
  """The same on a ResNet-50."""

  size: ClassVar[int] = 50


class UNetResNet101(UNetResNet34):
  """The same on a ResNet-101."""

  size: ClassVar[int] = 101
