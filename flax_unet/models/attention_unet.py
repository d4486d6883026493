"""Attention U-Net (Oktay et al. 2018), https://arxiv.org/abs/1804.03999: only its gates.

The paper's deep supervision and grid attention at the coarser resolution are left out, as in most
public implementations: a gate works at the resolution of its skip, on what the decoder upsampled.
"""

import flax.linen as nn
import jax

from flax_unet.models.blocks import Layers
from flax_unet.models.unet import UNet


class AttentionGate(nn.Module):
  """Weights each pixel of a skip by an attention coefficient: equation 1 of the paper.

  `sigmoid(psi(relu(skip @ W_x + gate @ W_g + b_g)) + b_psi) * skip`, with half the skip's channels
  in between.

  Attributes:
    layers: makes the layers.
  """

  layers: Layers

  @nn.compact
  def __call__(self, skip: jax.Array, gate: jax.Array) -> jax.Array:
    """Maps a skip and a gate `[batch, height, width, channels]` to a skip."""
    width = max(1, skip.shape[-1] // 2)
    joined = self.layers.conv(width, 1, use_bias=False, name="skip")(skip)
    joined += self.layers.conv(width, 1, name="gate")(gate)
    attention = nn.sigmoid(self.layers.conv(1, 1, name="psi")(nn.relu(joined)))
    return skip * attention


class AttentionUNet(UNet):
  """U-Net whose skips pass attention gates; takes the attributes of `UNet`."""

  def skip(self, skip: jax.Array, gate: jax.Array, level: int) -> jax.Array:
    """See base class."""
    return AttentionGate(self.layers, name=f"attention_{level}")(skip, gate)
