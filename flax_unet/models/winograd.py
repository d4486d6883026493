"""3x3 convolutions by Winograd's minimal filtering, F(2x2, 3x3).

Lavin and Gray (2016), "Fast Algorithms for Convolutional Neural Networks",
https://arxiv.org/abs/1509.09308, section 4.1, whose names of the matrices are used here. Four
outputs take 16 multiplications a pair of channels, where the plain convolution takes 36: tiles of
4x4 pixels and the kernel are transformed by additions, multiplied as 16 matrix products over the
channels, and transformed back. Its float32 rounding errors are 1e-6 of the largest output.
"""

import jax
import jax.numpy as jnp
from jax import lax


def conv(x: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
  """Convolves with a 3x3 kernel and stride 1.

  Args:
    x: float32 `[batch, height, width, in]`.
    kernel: float32 `[3, 3, in, out]`.
    margin: pixels of zeros around the images: none is "VALID", 1 "SAME", 2 "FULL".

  Returns:
    `[batch, height + 2 * margin - 2, width + 2 * margin - 2, out]`.
  """
  height, width = (size + 2 * margin - 2 for size in x.shape[1:3])
  kernels = jnp.stack([u for row in _g(*kernel) for u in _g(*row)])
  products = jnp.einsum("tnc,tcf->tnf", _input_tiles(x, margin), kernels)
  tiles = (x.shape[0], -(-height // 2), -(-width // 2))  # and as many columns and rows
  products = products.reshape(4, 4, *tiles, kernel.shape[-1])
  rows = [jnp.stack(_a_transposed(*row), axis=3) for row in _a_transposed(*products)]
  y = jnp.stack(rows, axis=2).reshape(tiles[0], 2 * tiles[1], 2 * tiles[2], -1)
  return y[:, :height, :width]


def kernel_gradient(x: jax.Array, gradient: jax.Array, margin: int) -> jax.Array:
  """Computes the gradient of `conv` with respect to its kernel.

  Args:
    x: the input, float32 `[batch, height, width, in]`.
    gradient: with respect to the output, float32 `[batch, height', width', out]`.
    margin: that of `conv`.

  Returns:
    `[3, 3, in, out]`.
  """
  odd = [size % 2 for size in gradient.shape[1:3]]
  gradient = jnp.pad(gradient, ((0, 0), (0, odd[0]), (0, odd[1]), (0, 0)))
  rows = lax.optimization_barrier(_a(*_every_second(gradient, 1, offsets=2)))
  tiles = _stack_tiles([u for row in rows for u in _a(*_every_second(row, 2, offsets=2))])
  products = jnp.einsum("tnc,tnf->tcf", _input_tiles(x, margin), tiles)
  products = products.reshape(4, 4, *products.shape[1:])
  return jnp.stack([jnp.stack(_g_transposed(*row)) for row in _g_transposed(*products)])


# The matrices, applied to the rows or columns of tiles.


def _b_transposed(d0, d1, d2, d3):
  return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _g(k0, k1, k2):
  even, odd = 0.5 * (k0 + k2), 0.5 * k1
  return k0, even + odd, even - odd, k2


def _g_transposed(u0, u1, u2, u3):
  even, odd = 0.5 * (u1 + u2), 0.5 * (u1 - u2)
  return u0 + even, odd, even + u3


def _a(g0, g1):
  return g0, g0 + g1, g0 - g1, -g1


def _a_transposed(m0, m1, m2, m3):
  return m0 + m1 + m2, m1 - m2 - m3


def _input_tiles(x: jax.Array, margin: int) -> jax.Array:
  """Cuts tiles of 4x4 pixels that overlap by 2 and transforms them: `[16, tiles, channels]`."""
  odd = [size % 2 for size in x.shape[1:3]]
  x = jnp.pad(x, ((0, 0), (margin, margin + odd[0]), (margin, margin + odd[1]), (0, 0)))
  # Without the barrier, each of the 16 results would compute its rows anew.
  rows = lax.optimization_barrier(_b_transposed(*_every_second(x, 1, offsets=4)))
  return _stack_tiles([d for row in rows for d in _b_transposed(*_every_second(row, 2, offsets=4))])


def _every_second(x: jax.Array, axis: int, offsets: int) -> list[jax.Array]:
  """Slices of every second row or column, at each of some first offsets."""
  stop = x.shape[axis] - offsets + 1
  return [lax.slice_in_dim(x, i, i + stop, 2, axis) for i in range(offsets)]


def _stack_tiles(parts: list[jax.Array]) -> jax.Array:
  """Stacks 16 of `[batch, rows, columns, channels]` to `[16, tiles, channels]`."""
  return jnp.stack(parts).reshape(16, -1, parts[0].shape[-1])
