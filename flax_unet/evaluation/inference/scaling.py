"""Resamples images to another scale exactly as OpenCV does, inside a compiled step.

mmsegmentation scales images by `cv2.resize(..., INTER_LINEAR)` before it averages predictions over
scales. OpenCV computes with weights of 11 bits and drops digits between the two directions, which
changes one value in ten by a gray level, which is enough to change predictions. For 16 bits, it
computes with float32.
"""

import jax
import jax.numpy as jnp
import numpy as np

_ONE = 2048  # of OpenCV's fixed-point weights


def resize_bilinear(images: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Resamples images bilinearly, without a low-pass where that shrinks them.

  Args:
    images: uint8 or uint16 `[batch, height, width, channels]`, or float32.
    size: the new height and width.

  Returns:
    `[batch, *size, channels]` of the same type, equal to OpenCV's; for 16 bits, some values that
    are halfway between two whole numbers differ by 1.
  """
  height, width = images.shape[1:3]
  if images.dtype != jnp.uint8:
    return _resize_with_floats(images, size)
  x = images.astype(jnp.int32)
  if (height, width) == (2 * size[0], 2 * size[1]):  # there OpenCV takes the mean of 2 x 2 pixels
    x = x.reshape(-1, size[0], 2, size[1], 2, x.shape[3]).sum((2, 4))
    return ((x + 2) >> 2).astype(jnp.uint8)
  x = sum(_weighted(x, *tap, axis=2) for tap in _taps(width, size[1], is_row=False))
  x = x >> 4
  x = sum(_weighted(x, *tap, axis=1) >> 16 for tap in _taps(height, size[0], is_row=True))
  return ((x + 2) >> 2).clip(0, 255).astype(jnp.uint8)


def _resize_with_floats(images: jax.Array, size: tuple[int, int]) -> jax.Array:
  x = images.astype(jnp.float32)
  for axis in (2, 1):
    old, new = images.shape[axis], size[axis - 1]
    taps = _taps(old, new, is_row=axis == 1, one=1)
    x = sum(_weighted(x, *tap, axis=axis) for tap in taps)
  if images.dtype == jnp.float32:
    return x
  return jnp.rint(x).clip(0, jnp.iinfo(images.dtype).max).astype(images.dtype)


def _weighted(x: jax.Array, places: np.ndarray, weights: np.ndarray, axis: int) -> jax.Array:
  shape = tuple(len(places) if a == axis else 1 for a in range(x.ndim))
  return jnp.take(x, places, axis) * weights.reshape(shape)


def _taps(
  old: int, new: int, *, is_row: bool, one: int = _ONE
) -> list[tuple[np.ndarray, np.ndarray]]:
  """The lower and the upper pixel of each new one, and their weights: integers in 1 / `one`.

  With `one=1` they are float32 instead.

  Beyond the border OpenCV repeats rows, but takes only the last column: the same up to rounding.
  """
  place = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
  below = np.floor(place).astype(np.int32)
  share = place - below.astype(np.float32)
  if not is_row:
    share = np.where((below < 0) | (below >= old - 1), np.float32(0), share)
    below = below.clip(0, old - 1)
  weights = [1 - share, share]
  if one > 1:
    weights = [np.rint(weight * one).astype(np.int32) for weight in weights]
  places = (below.clip(0, old - 1), (below + 1).clip(0, old - 1))
  return list(zip(places, weights, strict=True))
