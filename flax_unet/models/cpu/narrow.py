"""3x3 convolutions with few channels, as ones with more.

XLA's CPU convolutions come near to the cores' speed with 32 channels; with 16 they reach a third of
it, and less from the 3 of an image. So neighbouring pixels of a row are computed as the channels of
one: with a kernel that holds 16 features at two places, windows of 3x4 pixels give 32 channels for
every second pixel, and in memory these are the features of two pixels. That takes 4/3 of the
multiplications in half of the time.
"""

import jax
import jax.numpy as jnp
from jax import lax

_CHANNELS = 4  # to a multiple of which the input's are filled up
_FEATURES = 32  # that a group of pixels has
_MOST_PIXELS = 4  # in a group; the more, the more multiplications by zero


def conv(x: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
  """Convolves with a 3x3 kernel and stride 1.

  Args:
    x: `[batch, height, width, in]`.
    kernel: `[3, 3, in, out]`.
    margin: pixels of zeros around the images: none is "VALID", 1 "SAME", 2 "FULL".

  Returns:
    `[batch, height + 2 * margin - 2, width + 2 * margin - 2, out]`.
  """
  channels, features = kernel.shape[2:]
  group = min(_MOST_PIXELS, -(-_FEATURES // features))
  filled = -channels % _CHANNELS
  width = x.shape[2] + 2 * margin - 2
  x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, filled)))
  kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, filled), (0, 0)))
  shifted = [jnp.pad(kernel, ((0, 0), (i, group - 1 - i), (0, 0), (0, 0))) for i in range(group)]
  y = lax.conv_general_dilated(
    x,
    jnp.concatenate(shifted, axis=-1),
    window_strides=(1, group),
    padding=((margin, margin), (margin, margin + -width % group)),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )
  return y.reshape(*y.shape[:2], -1, features)[:, :, :width]


def input_gradient(kernel: jax.Array, gradient: jax.Array, margin: int) -> jax.Array:
  """Computes the gradient of `conv` with respect to its input.

  It is a convolution of the output's gradient, with the kernel turned by 180 degrees.

  Args:
    kernel: `[3, 3, in, out]`.
    gradient: with respect to the output, `[batch, height', width', out]`.
    margin: that of `conv`.

  Returns:
    `[batch, height, width, in]`.
  """
  return conv(gradient, kernel[::-1, ::-1].swapaxes(2, 3), 2 - margin)


def kernel_gradient(x: jax.Array, gradient: jax.Array, margin: int) -> jax.Array:
  """Computes the gradient of `conv` with respect to its kernel.

  Args:
    x: the input, `[batch, height, width, in]`.
    gradient: with respect to the output, `[batch, height', width', out]`.
    margin: that of `conv`.

  Returns:
    `[3, 3, in, out]`.
  """
  kernel = jnp.zeros((3, 3, x.shape[-1], gradient.shape[-1]), x.dtype)
  return jax.vjp(lambda kernel: conv(x, kernel, margin), kernel)[1](gradient)[0]
