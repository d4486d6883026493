"""Layers of the U-Net that are written out because the plain form is slow.

The backward passes of `nn.max_pool` (a select-and-scatter) and of `nn.ConvTranspose` (convolutions
with dilation) are slow on CPUs and cost extra memory traffic on TPUs. With windows that do not
overlap neither is needed: 2x2 pooling is an elementwise maximum, and a 2x2 transposed convolution
with stride 2 is one matrix product whose result is rearranged. A 1x1 convolution is a matrix
product, too, whose gradients are faster than those of a convolution.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import initializers


def max_pool_2x2(x: jnp.ndarray) -> jnp.ndarray:
  """Takes the maximum over windows of 2x2 pixels that do not overlap.

  Of two rows, then of two columns: a reduction over axes of 2 takes longer on CPUs (forward pass
  x 1.05) and more memory on TPUs (temporaries up to x 1.2).

  Equal values share a window's gradient, half for each of two columns and then of two rows, where
  PyTorch and XLA's select-and-scatter give all of it to the first. After a ReLU this only concerns
  equal positive values, which are rare: a zero passes no gradient on.

  Args:
    x: `[batch, height, width, channels]`, height and width even.

  Returns:
    `[batch, height / 2, width / 2, channels]`.
  """
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height // 2, 2, width // 2, 2 * channels)
  x = jnp.maximum(x[:, :, 0], x[:, :, 1])
  return jnp.maximum(x[..., :channels], x[..., channels:])


def conv_1x1(
  x: jnp.ndarray, kernel: jnp.ndarray, strides: Any, padding: str, **options: Any
) -> jnp.ndarray:
  """Convolves with a 1x1 kernel, for `nn.Conv(conv_general_dilated=conv_1x1)`.

  Args:
    x: `[batch, height, width, in]`.
    kernel: `[1, 1, in, out]`.
    strides: of 1.
    padding: of no effect.
    **options: further arguments of `lax.conv_general_dilated`, of no effect.

  Returns:
    `[batch, height, width, out]`.
  """
  del strides, padding, options
  return channel_product(x, kernel.reshape(kernel.shape[2:]))


@jax.custom_vjp
def channel_product(x: jnp.ndarray, matrix: jnp.ndarray) -> jnp.ndarray:
  """Multiplies the channels of each pixel with a matrix.

  On CPUs the gradient with respect to the matrix takes a third of the time it would: of the two
  long arrays in that product, XLA would transpose the gradient, and multiply slowly.

  Args:
    x: `[..., in]`.
    matrix: `[in, out]`.

  Returns:
    `[..., out]`.
  """
  return jnp.dot(x, matrix)


def _channel_product_forward(x, matrix):
  return jnp.dot(x, matrix), (x, matrix)


def _channel_product_backward(saved, gradient):
  x, matrix = saved

  def of_matrix(x, gradient):
    return jnp.dot(x.T, gradient)

  def of_matrix_on_cpu(x, gradient):
    return jnp.dot(lax.optimization_barrier(x.T), gradient)

  pixels = math.prod(x.shape[:-1])
  arrays = (array.reshape(pixels, array.shape[-1]) for array in (x, gradient))
  return jnp.dot(gradient, matrix.T), lax.platform_dependent(
    *arrays, cpu=of_matrix_on_cpu, default=of_matrix
  )


channel_product.defvjp(_channel_product_forward, _channel_product_backward)


def upsample_bilinear_2x(x: jnp.ndarray) -> jnp.ndarray:
  """Doubles height and width by bilinear interpolation.

  The same as `jax.image.resize(..., "bilinear")` and PyTorch's `interpolate` with
  `align_corners=False`: a new pixel is 3/4 its nearest old one and 1/4 the next nearest, the border
  is repeated. `resize` would multiply by dense matrices, which grows with the square of the size.

  Args:
    x: `[batch, height, width, channels]`.

  Returns:
    `[batch, 2 * height, 2 * width, channels]`.
  """
  for axis in (1, 2):
    size = x.shape[axis]
    padded = jnp.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(x.ndim)], mode="edge")
    before, after = (jnp.take(padded, jnp.arange(size) + i, axis) for i in (0, 2))
    pairs = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    x = pairs.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
  return x


class PictureDropout(nn.Module):
  """Dropout whose mask follows from a picture's place in the global batch.

  So neither the number of devices nor that of accumulated parts changes what is dropped. Needs an
  rng named "dropout" in training, the same on all devices.

  Attributes:
    rate: the share of values that are dropped; the others are divided by `1 - rate`.
  """

  rate: float

  @nn.compact
  def __call__(self, x: jax.Array, places: jax.Array | None, train: bool) -> jax.Array:
    """Drops values of `[batch, height, width, channels]`.

    Args:
      x: the values.
      places: int `[batch]`, each picture's place in the global batch; None: `0, 1, ...`.
      train: whether to drop anything.
    """
    if not train or not self.rate:
      return x
    key = self.make_rng("dropout")
    places = jnp.arange(len(x)) if places is None else places

    def keep(place: jax.Array) -> jax.Array:
      return jax.random.bernoulli(jax.random.fold_in(key, place), 1 - self.rate, x.shape[1:])

    return jnp.where(jax.vmap(keep)(places), x / (1 - self.rate), jnp.zeros_like(x))


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
