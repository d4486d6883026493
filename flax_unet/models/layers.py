"""1x1 convolutions as matrix products, and dropout that does not depend on the devices.

The gradients of a matrix product are faster than those of a convolution.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


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


class ImageDropout(nn.Module):
  """Dropout whose mask depends on an image's position in the global batch.

  So the dropout masks do not depend on the number of devices or of accumulated parts. Needs an
  rng named "dropout" in training, the same on all devices.

  Attributes:
    rate: the fraction of values that are dropped; the others are divided by `1 - rate`.
    channels: whether whole channels are dropped.
  """

  rate: float
  channels: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, places: jax.Array | None, train: bool) -> jax.Array:
    """Drops values of `[batch, height, width, channels]`.

    Args:
      x: the values.
      places: int `[batch]`, each image's place in the global batch; None: `0, 1, ...`.
      train: whether to drop anything.
    """
    if not train or not self.rate:
      return x
    key = self.make_rng("dropout")
    places = jnp.arange(len(x)) if places is None else places

    def keep(place: jax.Array) -> jax.Array:
      shape = (1, 1, x.shape[-1]) if self.channels else x.shape[1:]
      return jax.random.bernoulli(jax.random.fold_in(key, place), 1 - self.rate, shape)

    return jnp.where(jax.vmap(keep)(places), x / (1 - self.rate), jnp.zeros_like(x))
