"""3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3).

Lavin and Gray (2016), "Fast Algorithms for Convolutional Neural Networks",
https://arxiv.org/abs/1509.09308, section 4, whose names of the matrices are used here. Sixteen
outputs take 36 multiplications a pair of channels, where the plain convolution takes 144: tiles of
6x6 pixels and the kernel are transformed, multiplied as 36 matrix products over the channels, and
transformed back.

The matrices come from six points at which polynomials are evaluated. With the usual 0, 1, -1, 2, -2
and infinity, float32 rounding errors are 6e-6 to 9e-6 of the largest output (64 and 256 channels),
with those here 2e-6 to 3e-6. Barabasz et al. (2018), https://arxiv.org/abs/1803.10986, study the
choice.
"""

import functools
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_S = math.sqrt(2)  # the points are 0, s, -s, 1/s, -1/s and infinity
_A_T = np.array(
  [
    [1, 1, 1, 1, 1, 0],
    [0, _S, -_S, 1 / _S, -1 / _S, 0],
    [0, 2, 2, 1 / 2, 1 / 2, 0],
    [0, 2 * _S, -2 * _S, _S / 4, -_S / 4, 1],
  ]
)
_G = np.array(
  [
    [1, 0, 0],
    [1 / 6, _S / 6, 1 / 3],
    [1 / 6, -_S / 6, 1 / 3],
    [-2 / 3, -_S / 3, -1 / 3],
    [-2 / 3, _S / 3, -1 / 3],
    [0, 0, 1],
  ]
)
_B_T = np.array(
  [
    [1, 0, -5 / 2, 0, 1, 0],
    [0, -_S / 2, -1 / 2, _S, 1, 0],
    [0, _S / 2, -1 / 2, -_S, 1, 0],
    [0, -_S, -2, _S / 2, 1, 0],
    [0, _S, -2, -_S / 2, 1, 0],
    [0, 1, 0, -5 / 2, 0, 1],
  ]
)
_OUTPUTS = 4  # of a tile, in height and width
_TILES = 256  # computed at a time: with 64 channels, 2.4 MB of a cache


def conv(x: jax.Array, kernel: jax.Array, margin: int) -> jax.Array:
  """Convolves with a 3x3 kernel and stride 1.

  Args:
    x: float32 `[batch, height, width, in]`.
    kernel: float32 `[3, 3, in, out]`.
    margin: pixels of zeros around the images: none is "VALID", 1 "SAME", 2 "FULL".

  Returns:
    `[batch, height + 2 * margin - 2, width + 2 * margin - 2, out]`.
  """
  return _convolve("tnc,tcf->tnf", x, _transform_kernel(_G, kernel), margin, kernel.shape[3])


def input_gradient(kernel: jax.Array, gradient: jax.Array, margin: int) -> jax.Array:
  """Computes the gradient of `conv` with respect to its input.

  Args:
    kernel: float32 `[3, 3, in, out]`.
    gradient: with respect to the output, float32 `[batch, height', width', out]`.
    margin: that of `conv`.

  Returns:
    `[batch, height, width, in]`.
  """
  turned = _transform_kernel(_G[:, ::-1], kernel)  # by 180 degrees
  return _convolve("tnf,tcf->tnc", gradient, turned, 2 - margin, kernel.shape[2])


def kernel_gradient(x: jax.Array, gradient: jax.Array, margin: int) -> jax.Array:
  """Computes the gradient of `conv` with respect to its kernel.

  Args:
    x: the input, float32 `[batch, height, width, in]`.
    gradient: with respect to the output, float32 `[batch, height', width', out]`.
    margin: that of `conv`.

  Returns:
    `[3, 3, in, out]`.
  """
  strips, rows, width = _strips(*gradient.shape[:3])
  x = _pad(x, margin, strips * rows + 2, width + 2)
  gradient = _pad(gradient, 0, strips * rows, width)
  more_rows = x.shape[-1] > gradient.shape[-1]  # than columns; XLA multiplies these slowly

  def add_strip(i, sums):
    tiles = _flatten(_transform(_B_T, _rows(x, i * rows, rows + 2)))
    gradients = _flatten(_transform(_A_T.T, _rows(gradient, i * rows, rows)))
    factors = (gradients, tiles) if more_rows else (tiles, gradients)
    return sums + jnp.einsum("tna,tnb->tab", *factors)

  channels = sorted((x.shape[-1], gradient.shape[-1]))
  products = lax.fori_loop(0, strips, add_strip, jnp.zeros((36, *channels), x.dtype))
  kernel = jnp.tensordot(_both_sides(_G).T, products, 1).reshape(3, 3, *channels)
  return kernel.swapaxes(2, 3) if more_rows else kernel


def _convolve(
  product: str, x: jax.Array, kernels: jax.Array, margin: int, features: int
) -> jax.Array:
  """Convolves with kernels `[36, .., ..]`, `product` telling which axis is that of `x`."""
  batch, height, width = x.shape[0], *(size + 2 * margin - 2 for size in x.shape[1:3])
  strips, rows, padded_width = _strips(batch, height, width)
  x = _pad(x, margin, strips * rows + 2, padded_width + 2)

  def write_strip(i, y):
    tiles = _transform(_B_T, _rows(x, i * rows, rows + 2))
    products = jnp.einsum(product, _flatten(tiles), kernels)
    strip = _transform_back(_A_T, products.reshape(*tiles.shape[:-1], features))
    return lax.dynamic_update_slice_in_dim(y, strip, i * rows, axis=1)

  y = jnp.zeros((batch, strips * rows, padded_width, features), x.dtype)
  return lax.fori_loop(0, strips, write_strip, y)[:, :height, :width]


def _strips(batch: int, height: int, width: int) -> tuple[int, int, int]:
  """Divides outputs into strips of about `_TILES` tiles: their number, rows and padded width."""
  tile_rows, tile_columns = -(-height // _OUTPUTS), -(-width // _OUTPUTS)
  strips = min(tile_rows, -(-batch * tile_rows * tile_columns // _TILES))
  return strips, -(-tile_rows // strips) * _OUTPUTS, tile_columns * _OUTPUTS


def _rows(x: jax.Array, first: jax.Array, number: int) -> jax.Array:
  return lax.dynamic_slice_in_dim(x, first, number, axis=1)


def _pad(x: jax.Array, margin: int, height: int, width: int) -> jax.Array:
  """Adds margins, and pixels behind them, up to a height and width."""
  height, width = height - margin - x.shape[1], width - margin - x.shape[2]
  return jnp.pad(x, ((0, 0), (margin, height), (margin, width), (0, 0)))


def _transform_kernel(matrix: np.ndarray, kernel: jax.Array) -> jax.Array:
  """Transforms a kernel to `[36, in, out]`."""
  return jnp.tensordot(_both_sides(matrix), kernel.reshape(9, *kernel.shape[2:]), 1)


def _both_sides(matrix: np.ndarray) -> np.ndarray:
  """The matrix that multiplies a flattened tile like one from the left and from the right."""
  return np.kron(matrix, matrix).astype(np.float32)


def _flatten(tiles: jax.Array) -> jax.Array:
  """Reshapes tiles to `[36, tiles, channels]`."""
  return tiles.reshape(36, -1, tiles.shape[-1])


def _transform(matrix: np.ndarray, x: jax.Array) -> jax.Array:
  """Multiplies the tiles of pictures with a matrix from the left and, transposed, from the right.

  Args:
    matrix: `[6, size]`; tiles are squares of that size, one every 4 pixels.
    x: `[batch, height, width, channels]`.

  Returns:
    The transformed tiles, `[6, 6, batch, tile row, tile column, channels]`.
  """
  size = matrix.shape[1]
  columns = jnp.stack(_multiply(matrix, _every_fourth(x, 2, size)))
  return jnp.stack(_multiply(matrix, _every_fourth(columns, 2, size)))


def _transform_back(matrix: np.ndarray, tiles: jax.Array) -> jax.Array:
  """Multiplies tiles with a matrix from both sides and puts them side by side.

  Args:
    matrix: `[size, 6]`.
    tiles: `[6, 6, batch, tile row, tile column, channels]`.

  Returns:
    Pictures, `[batch, tile rows * size, tile columns * size, channels]`.
  """
  size = len(matrix)
  batch, height, width, channels = tiles.shape[2:]
  rows = jnp.stack(_multiply(matrix, tiles), axis=3)
  pictures = jnp.stack(_multiply(matrix, rows), axis=4)
  return pictures.reshape(batch, height * size, width * size, channels)


def _multiply(matrix: np.ndarray, vector: Iterable[jax.Array]) -> list[jax.Array]:
  """Multiplies a matrix with a vector of arrays."""
  vector = list(vector)  # an array would be cut anew for each row

  def product(row):
    terms = [
      x if factor == 1 else float(factor) * x
      for factor, x in zip(row, vector, strict=True)
      if factor
    ]
    return functools.reduce(jnp.add, terms)

  return [product(row) for row in matrix]


def _every_fourth(x: jax.Array, axis: int, offsets: int) -> list[jax.Array]:
  """Slices of every fourth row or column, at each of some first offsets."""
  stop = x.shape[axis] - offsets + 1
  return [lax.slice_in_dim(x, i, i + stop, _OUTPUTS, axis) for i in range(offsets)]
