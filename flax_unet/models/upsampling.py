"""Upsampling without the convolutions with dilation that `nn.ConvTranspose` needs.

Those are slow on CPUs and cost extra memory traffic on TPUs. The windows of a 2x2 transposed
convolution with stride 2 do not overlap: it is one matrix product whose result is rearranged.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import initializers

from flax_unet.models.layers import channel_product


def upsample_bilinear(x: jnp.ndarray, factor: int) -> jnp.ndarray:
  """Enlarges height and width by bilinear interpolation.

  The same as `jax.image.resize(..., "bilinear")` and PyTorch's `interpolate` with
  `align_corners=False`: a factor of 2 gives new pixels of 3/4 of the nearest old one and 1/4 of the
  next nearest; the border is repeated. `resize` would multiply by dense matrices, which grows with
  the square of the size.

  Args:
    x: `[batch, height, width, channels]`.
    factor: of both.

  Returns:
    `[batch, factor * height, factor * width, channels]`.
  """
  for axis in (1, 2):
    size = x.shape[axis]
    # Slices: the gradient of `jnp.take` is a scatter, which takes three times as long on CPUs.
    cut = functools.partial(lax.slice_in_dim, x, axis=axis)
    before = jnp.concatenate([cut(0, 1), cut(0, size - 1)], axis)
    after = jnp.concatenate([cut(1, size), cut(size - 1, size)], axis)
    phases = []
    for phase in range(factor):
      place = (phase + 0.5) / factor - 0.5  # from the old pixel's centre
      other = before if place < 0 else after
      phases.append((1 - abs(place)) * x + abs(place) * other)
    x = jnp.stack(phases, axis + 1)
    x = x.reshape(*x.shape[:axis], factor * size, *x.shape[axis + 2 :])
  return x


def upsample_bilinear_aligned_2x(x: jnp.ndarray) -> jnp.ndarray:
  """Doubles height and width by bilinear interpolation between the centres of the corner pixels.

  PyTorch's `interpolate` with `align_corners=True`, as in milesial/Pytorch-UNet.

  Args:
    x: `[batch, height, width, channels]`.

  Returns:
    `[batch, 2 * height, 2 * width, channels]`.
  """
  for axis in (1, 2):
    size = x.shape[axis]
    place = np.arange(2 * size) * (size - 1) / (2 * size - 1)
    below = np.minimum(place.astype(int), max(size - 2, 0))
    share = (place - below).astype(np.float32).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    share = jnp.asarray(share, x.dtype).reshape((1,) * axis + share.shape)
    low, high = (jnp.take(x, np.minimum(below + i, size - 1), axis) for i in (0, 1))
    x = (1 - share) * low + share * high
  return x


def upsample_nearest_2x(x: jnp.ndarray) -> jnp.ndarray:
  """Doubles height and width by repeating pixels, from `[batch, height, width, channels]`."""
  batch, height, width, channels = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
  return x.reshape(batch, 2 * height, 2 * width, channels)


class TransposedConv2x2(nn.Module):
  """Transposed convolution with a 2x2 kernel and stride 2, which doubles height and width.

  The kernel is `[2, 2, in, out]` in PyTorch's spatial order: `out[2i + k, 2j + l]` is
  `x[i, j] @ kernel[k, l]`. (`nn.ConvTranspose` holds it the other way round in both directions.)

  Attributes:
    features: number of output channels.
    dtype: type of the computation; parameters are float32.
    conv: "auto" or "xla", see `UNet`.
  """

  features: int
  dtype: jnp.dtype = jnp.float32
  conv: str = "auto"

  @nn.compact
  def __call__(self, x: jnp.ndarray) -> jnp.ndarray:
    """Maps `[batch, height, width, channels]` to `[batch, 2 * height, 2 * width, features]`."""
    batch, height, width, channels = x.shape
    # Every output pixel sees one input pixel, so the fan-in is the number of channels alone.
    kernel_init = initializers.he_normal(in_axis=-2, out_axis=(0, 1, 3))
    kernel = self.param("kernel", kernel_init, (2, 2, channels, self.features), jnp.float32)
    bias = self.param("bias", initializers.zeros, (self.features,), jnp.float32)
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    product = channel_product if self.conv == "auto" else jnp.dot
    x = product(x, kernel.transpose(2, 0, 1, 3).reshape(channels, -1))
    x = x.reshape(batch, height, width, 2, 2 * self.features).swapaxes(2, 3)
    x = x.reshape(batch, 2 * height, 2 * width, self.features)
    return x + bias.reshape(1, 1, 1, -1)
