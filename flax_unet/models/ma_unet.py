"""MA-UNet (Cai and Wang 2020), https://arxiv.org/abs/2012.10952: multi-scale and attention.

A U-Net whose skips pass attention gates (`attention_unet`). The outputs of all levels of the
decoder, the bottleneck included, are enlarged to full size, concatenated and fused by a 1x1
convolution, followed by channel attention and spatial attention in parallel.

There is no official code, and the paper leaves open: the widths (here those of `UNet`; the fusion
has `width` channels); how the two attentions are joined (here summed, as in Fu et al. 2019,
https://arxiv.org/abs/1809.02983); and at which resolution spatial attention works. Attention
between all pairs of pixels at full resolution does not fit in memory, so it attends to the means
over `attention_grid` x `attention_grid` pixels, and its result is enlarged bilinearly.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers

from flax_unet.models.attention_unet import AttentionUNet
from flax_unet.models.base import Geometry
from flax_unet.models.blocks import Layers
from flax_unet.models.upsampling import upsample_bilinear


class ChannelAttention(nn.Module):
  """`factor * softmax(F F^T) F + F` over channels; Fu et al. (2019), section 3.3.

  As in the authors' code, each row of `F F^T` is subtracted from its maximum before the softmax.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the same shape."""
    factor = self.param("factor", initializers.zeros, (), jnp.float32)
    # Row by row, then their sum: on CPUs, half the time of one long product.
    energy = jnp.einsum("bhwc,bhwd->bhcd", x, x, preferred_element_type=jnp.float32).sum(1)
    attention = jax.nn.softmax(energy.max(-1, keepdims=True) - energy, axis=-1)
    pixels = x.reshape(x.shape[0], -1, x.shape[-1])
    attended = jnp.einsum("bpd,bcd->bpc", pixels, attention.astype(x.dtype)).reshape(x.shape)
    return factor.astype(x.dtype) * attended + x


class SpatialAttention(nn.Module):
  """`factor * softmax(Q K^T) V + F` over the cells of a grid; Fu et al. (2019), section 3.2.

  Memory for the attention: 4 bytes times the square of the number of cells, per image.

  Attributes:
    grid: height and width of a cell, in pixels.
    layers: makes the layers.
  """

  grid: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the same shape."""
    batch, height, width, channels = x.shape
    rows, columns = height // self.grid, width // self.grid
    cells = x.reshape(batch, rows, self.grid, columns, self.grid, channels).mean((2, 4))
    cells = cells.reshape(batch, rows * columns, 1, channels)
    narrow = max(1, channels // 8)
    query, key = (
      self.layers.conv(narrow, 1, name=name)(cells)[:, :, 0] for name in ("query", "key")
    )
    value = self.layers.conv(channels, 1, name="value")(cells)[:, :, 0]
    energy = jnp.einsum("bic,bjc->bij", query, key, preferred_element_type=jnp.float32)
    attention = jax.nn.softmax(energy, axis=-1).astype(x.dtype)
    attended = jnp.einsum("bij,bjc->bic", attention, value)
    attended = upsample_bilinear(attended.reshape(batch, rows, columns, channels), self.grid)
    factor = self.param("factor", initializers.zeros, (), jnp.float32)
    return factor.astype(x.dtype) * attended + x


class MAUNet(AttentionUNet):
  """Multi-scale attention U-Net; takes the attributes of `UNet`, with `padding="same"`.

  Attributes:
    attention_grid: height and width of the cells of spatial attention, in pixels: a power of two;
      `2**depth` if that is less.
  """

  attention_grid: int = 16

  @property
  def geometry(self) -> Geometry:
    """See base class; attention sees the whole image."""
    return super().geometry.reaching(None)

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Computes the logits; see `UNet`."""
    if self.padding != "same":
      raise ValueError(
        f"MAUNet has no padding='{self.padding}': its levels are joined at full size"
      )
    grid = min(self.attention_grid, 2**self.depth)
    if grid < 1 or 2**self.depth % grid:
      raise ValueError(
        f"MAUNet has no attention_grid={self.attention_grid}: it must be a power of two"
      )
    fused, outputs = 0, self.levels(images, train)
    self.supervise(outputs, train)
    for index, x in enumerate(outputs):
      # The 1x1 convolution of a concatenation is a sum, and commutes with the interpolation.
      level = self.depth - index
      x = self.layers.conv(self.width, 1, use_bias=level == 0, name=f"fusion_{level}")(x)
      fused += upsample_bilinear(x, 2**level)
    attended = ChannelAttention(name="channel_attention")(fused)
    attended += SpatialAttention(grid, self.layers, name="spatial_attention")(fused)
    return self.layers.logits(self.num_classes)(attended)
