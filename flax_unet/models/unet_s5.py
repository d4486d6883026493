"""UNet-S5-D16 with FCN heads, the U-Net of mmsegmentation with published weights for Cityscapes.

`mmseg/models/backbones/unet.py` and `decode_heads/fcn_head.py` of mmsegmentation 1.2.2. It reaches
69.10 % mean IoU on Cityscapes' validation images, 71.05 % with several scales and flips. The
defaults are its configuration `fcn_unet_s5-d16`.
"""

from typing import ClassVar

import flax.linen as nn
import jax
from jax.nn import initializers

from flax_unet.models.base import Geometry
from flax_unet.models.blocks import ConvNorm, Layers
from flax_unet.models.layers import ImageDropout
from flax_unet.models.unet import UNet


class FCNHead(nn.Module):
  """A 3x3 convolution with batch normalisation and ReLU, channel dropout, a 1x1 convolution.

  Attributes:
    num_classes: number of classes.
    width: channels of the 3x3 convolution.
    dropout: rate at which whole channels are dropped.
    layers: makes the layers.
  """

  num_classes: int
  width: int
  dropout: float
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, places: jax.Array | None, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to logits of the same size.

    Args:
      x: the features.
      places: see `ImageDropout`.
      train: whether to drop channels and to take the statistics of this batch.
    """
    x = ConvNorm(self.width, self.layers, name="conv")(x, train)
    x = ImageDropout(self.dropout, channels=True)(x, places, train)
    return self.layers.logits(self.num_classes, kernel_init=initializers.normal(0.01))(x)


class UNetS5(UNet):
  """U-Net with a main head and, in training, an auxiliary one.

  Takes all attributes of `UNet`, of which `upsample` and `aux_weight` have other defaults.

  Attributes:
    head_dropout: rate at which both heads drop channels.
    aux_weight: the weight in training of the loss of the auxiliary head, relative to 1 for the main
      head. The auxiliary head reads the decoder at half the resolution; 0: there is none.
  """

  upsample: str = "bilinear_conv"
  head_dropout: float = 0.1
  aux_weight: float = 0.4

  init_kind: ClassVar[str] = "he_fan_out"

  @property
  def geometry(self) -> Geometry:
    """See base class."""
    return super().geometry.reaching(1)  # the head's 3x3 convolution

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Computes the logits; see `UNet`. In training, sows the auxiliary ones (see `Network`)."""
    self.check_rates("head_dropout")
    if self.aux_weight < 0:
      raise ValueError(f"UNetS5 needs aux_weight of at least 0, not {self.aux_weight}")
    *_, before, last = self.levels(images, train)
    places = self.get_variable("batch", "places")

    def head(x: jax.Array, name: str) -> jax.Array:
      made = FCNHead(self.num_classes, self.width, self.head_dropout, self.layers, name=name)
      return made(x, places, train)

    if self.aux_weight and (train or self.is_initializing()):
      logits = head(before, "auxiliary_head")
      if train:
        self.sow("auxiliary", "logits", logits)
    return head(last, "decode_head")
