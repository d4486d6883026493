"""A 3x3 convolution that is fast on CPUs.

Three things make it so; other devices and other cases keep XLA's convolutions.

- With many channels XLA's convolutions are as fast as the cores, and only fewer multiplications
  help: the output and both gradients are computed by Winograd's algorithm (0.5 to 0.9 of the time
  with 64 to 512 channels). Of small images it would spend more on transforming the kernel than it
  saves.
- With fewer channels and large images, where a U-Net does half of its work, the gradient of the
  kernel is slow: a convolution whose window is the whole image. It becomes a sum of matrix
  products over pieces that fit into a core's cache (0.65 to 0.8 of the time; 32 channels).
- With 16 channels or fewer all three are slow. Neighbouring pixels are taken together, see
  `narrow.py` (0.5 to 0.7 of the time with 16 channels, 0.4 of the first convolution's).
"""

import functools
import math
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from flax_unet.models.cpu import narrow, winograd

_CHANNEL_PAIRS = 32 * 64  # in, out; with fewer, Winograd's transforms take what the products save
_WINOGRAD_PIXELS = 512  # with fewer in the batch, the kernel's transform does
_PIXELS = 2048  # of a piece; with 32 channels and their windows, 2 MB
_FEWEST_PIXELS = 8 * _PIXELS  # with fewer in the batch, XLA's own gradient is as fast
_FEWEST_CHANNELS = 16  # of the input; with the 3 of an image, XLA's own takes half the time
_FEW_CHANNELS = 16  # in and out; with more on either side, XLA takes a faster way itself


def conv_3x3(
  x: jax.Array, kernel: jax.Array, strides: Any, padding: str, **options: Any
) -> jax.Array:
  """Convolves with a 3x3 kernel and stride 1, for `nn.Conv(conv_general_dilated=conv_3x3)`.

  Args:
    x: `[batch, height, width, in]`.
    kernel: `[3, 3, in, out]`.
    strides: of 1.
    padding: "SAME" or "VALID".
    **options: further arguments of `lax.conv_general_dilated`.

  Returns:
    `[batch, height, width, out]`; height and width are less by 2 under "VALID".
  """
  plain = functools.partial(
    lax.conv_general_dilated, window_strides=strides, padding=padding, **options
  )
  on_cpu = _for_cpu(x, kernel, margin={"VALID": 0, "SAME": 1}[padding])

  def output(x, kernel):
    return _by_device(on_cpu.get("output"), plain)(x, kernel)

  def forward(x, kernel):
    return output(x, kernel), (x, kernel)

  def backward(saved, gradient):
    x, kernel = saved
    of_x = _by_device(
      on_cpu.get("gradient of x"),
      lambda kernel, gradient: jax.vjp(lambda x: plain(x, kernel), x)[1](gradient)[0],
    )
    of_kernel = _by_device(
      on_cpu.get("gradient of kernel"),
      lambda x, gradient: jax.vjp(lambda kernel: plain(x, kernel), kernel)[1](gradient)[0],
    )
    return of_x(kernel, gradient), of_kernel(x, gradient)

  conv = jax.custom_vjp(output)
  conv.defvjp(forward, backward)
  return conv(x, kernel)


def _for_cpu(x: jax.Array, kernel: jax.Array, margin: int) -> dict[str, Callable]:
  """What of a convolution of these shapes a CPU should compute otherwise than XLA does."""
  if not all(isinstance(size, int) for size in x.shape):  # exported for any size
    return {}
  pixels = math.prod(x.shape[:3])
  # The transforms' additions would cost a bfloat16 half of its digits.
  can_transform = pixels >= _WINOGRAD_PIXELS and x.dtype == jnp.float32
  if can_transform and kernel.shape[2] * kernel.shape[3] >= _CHANNEL_PAIRS:
    return _ways_of(winograd, margin)
  if pixels < _FEWEST_PIXELS:
    return {}
  if max(kernel.shape[2:]) <= _FEW_CHANNELS:
    return _ways_of(narrow, margin)
  if kernel.shape[2] < _FEWEST_CHANNELS:
    return {"output": functools.partial(narrow.conv, margin=margin)}
  return {"gradient of kernel": kernel_gradient}


def _ways_of(algorithm: types.ModuleType, margin: int) -> dict[str, Callable]:
  return {
    "output": functools.partial(algorithm.conv, margin=margin),
    "gradient of x": functools.partial(algorithm.input_gradient, margin=margin),
    "gradient of kernel": functools.partial(algorithm.kernel_gradient, margin=margin),
  }


def _by_device(on_cpu: Callable | None, plain: Callable) -> Callable:
  if on_cpu is None:
    return plain
  return functools.partial(lax.platform_dependent, cpu=on_cpu, default=plain)


def kernel_gradient(x: jax.Array, gradient: jax.Array) -> jax.Array:
  """Computes the gradient of a 3x3 convolution with respect to its kernel.

  Element `[i, j]` of it is the sum over pixels of the outer products of `x` with the gradient of
  the output, shifted by `(1 - i, 1 - j)`. Three neighbours in a row lie next to each other in
  memory, so a window of them is one slice, and one product serves a row of the kernel.

  Args:
    x: the input, `[batch, height, width, in]`.
    gradient: the gradient with respect to the output, `[batch, height', width', out]`, of the
      same height and width under "SAME" and less by 2 under "VALID".

  Returns:
    `[3, 3, in, out]`, summed in float32, of the type of `x`.
  """
  batch, height, width, channels = x.shape
  features = gradient.shape[-1]
  margin = (height + 2 - gradient.shape[1]) // 2
  padded = jnp.pad(gradient, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
  rows = next(r for r in range(max(1, _PIXELS // width), 0, -1) if height % r == 0)
  # Where the window of a pixel starts in the padded gradient, flattened.
  row_size = padded.shape[2] * features
  picture, row, column = jnp.indices((batch, height, width), sparse=True)
  starts = (picture * padded.shape[1] + row) * row_size + column * features

  def add_piece(sums, piece):
    picture, first_row, starts = piece
    pixels = lax.dynamic_slice(x, (picture, first_row, 0, 0), (1, rows, width, channels))
    # XLA would fold the transposition into the products, where it costs more.
    pixels = lax.optimization_barrier(pixels.reshape(-1, channels).T)
    sums = [
      total
      + jnp.dot(
        pixels,
        _windows(padded.reshape(-1), starts + i * row_size, 3 * features),
        preferred_element_type=jnp.float32,
      )
      for i, total in enumerate(sums)
    ]
    return sums, None

  picture, part = jnp.divmod(jnp.arange(batch * height // rows), height // rows)
  pieces = (picture, part * rows, starts.reshape(-1, rows * width))
  sums, _ = lax.scan(add_piece, [jnp.zeros((channels, 3 * features))] * 3, pieces)
  # The window's first row and column meet the kernel's last.
  sums = jnp.stack(sums).reshape(3, channels, 3, features)[::-1, :, ::-1]
  return sums.transpose(0, 2, 1, 3).astype(x.dtype)


def _windows(x: jax.Array, starts: jax.Array, size: int) -> jax.Array:
  """Cuts windows `[windows, size]` out of a vector."""
  return jax.vmap(lambda start: lax.dynamic_slice(x, (start,), (size,)))(starts)
