"""The decoder of a U-Net on a pretrained encoder, such as one trained on ImageNet.

As `Unet` of segmentation_models.pytorch 0.6: nearest-neighbour upsampling, upsampled features
before skips in each concatenation, and one block more than there are skips.
"""

from collections.abc import Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from flax_unet.models.blocks import ConvNetwork, ConvNorm, Layers
from flax_unet.models.upsampling import upsample_nearest_2x


class DecoderBlock(nn.Module):
  """Two 3x3 convolutions with batch normalisation and ReLU.

  Attributes:
    features: number of output channels.
    layers: makes the layers.
  """

  features: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height, width, features]`."""
    for index in (1, 2):
      x = ConvNorm(self.features, self.layers, name=f"conv_{index}")(x, train)
    return x


class EncoderUNet(ConvNetwork):
  """Base of the U-Nets on an encoder.

  Attributes:
    width: channels of the encoder's first convolution, 64 as published.
    decoder_width: channels of the decoder's last block; each block before has twice as many.
  """

  width: int = 64
  decoder_width: int = 16

  init_kind: ClassVar[str] = "he_fan_out"

  # Pixels that the decoder's convolutions add to the context: two at each resolution from 1/16 on.
  decoder_context = 2 * (16 + 8 + 4 + 2 + 1) + 32

  def decode(self, x: jax.Array, skips: Sequence[jax.Array], train: bool) -> jax.Array:
    """Runs the decoder and the last layer.

    Args:
      x: features at 1/32 of the images' resolution.
      skips: at 1/16, 1/8, 1/4 and 1/2.
      train: whether batch normalisation uses the statistics of this batch.

    Returns:
      float32 logits `[batch, height, width, num_classes]`.
    """
    for index, skip in enumerate((*skips, None)):
      x = upsample_nearest_2x(x)
      x = x if skip is None else jnp.concatenate([x, skip], axis=-1)
      features = self.decoder_width * 2 ** (4 - index)
      x = self.layers.block(DecoderBlock, features, self.layers, name=f"decoder_{index}")(x, train)
    dtype = jnp.promote_types(self.dtype, jnp.float32)
    return self.layers.conv(self.num_classes, 3, name="logits", dtype=dtype)(x)
