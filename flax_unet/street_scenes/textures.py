"""Surfaces: functions from places on a plane, in metres, to colours.

They are evaluated pixel by pixel, so the same wall looks the same at every resolution. All
randomness comes from two fixed, periodic noise tables, and from the offset into them.
"""

from collections.abc import Callable

import numpy as np

from flax_unet.street_scenes.colors import Color

# Maps places (u, v) on a plane, in metres, `[pixels]` each, to RGB `[pixels, 3]`.
Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]

_SIZE = 256  # entries of the tables along either axis


def _noise_table(roughness: float) -> np.ndarray:
  """Float32 `[256, 256]`, mean 0, variance 1, periodic; spectrum falls as frequency^-roughness."""
  white = np.random.default_rng(0).standard_normal((_SIZE, _SIZE))
  frequency = np.fft.fftfreq(_SIZE)
  radius = np.hypot(frequency[:, None], frequency[None, :])
  radius[0, 0] = np.inf
  table = np.fft.ifft2(np.fft.fft2(white) / radius**roughness).real
  return (table / table.std()).astype(np.float32)


_CLOUDY = _noise_table(1.4)
_CLUMPED = np.tanh(1.5 * _CLOUDY)  # patches of two kinds, with narrow borders
_GRAINY = _noise_table(0.0)


def noise(u: np.ndarray, v: np.ndarray, grain: float, table: np.ndarray = _CLOUDY) -> np.ndarray:
  """Noise of mean 0 and variance 1 at (u, v); one entry of the table covers `grain` metres."""
  columns = (u * (1 / grain)).astype(np.int32) & (_SIZE - 1)
  rows = (v * (1 / grain)).astype(np.int32) & (_SIZE - 1)
  return table.reshape(-1).take(rows * _SIZE + columns)


def per_cell(columns: np.ndarray, rows: np.ndarray, salt: int = 0) -> np.ndarray:
  """A normal random number for each cell of a grid, for example for each window."""
  return noise(columns + salt, rows + 7 * salt, 1.0, _GRAINY)


def tinted(color: Color, brightness: np.ndarray) -> np.ndarray:
  """A colour scaled by the brightness of each pixel, `[pixels, 3]`.

  The pixels of a channel are contiguous in memory: NumPy is slow at inner loops of three.
  """
  return (np.asarray(color, np.float32)[:, None] * brightness).T


def fill(rgb: np.ndarray, mask: np.ndarray, color: Color) -> None:
  """Overwrites `rgb` `[pixels, 3]` within a mask; one colour, or one for each pixel in the mask."""
  rgb[np.flatnonzero(mask)] = color


def rough(color: Color, amount: float, grain: float, offset: float = 0.0) -> Texture:
  """A colour whose brightness varies: plaster, concrete, bark."""

  def texture(u, v):
    blotches = noise(u + offset, v, 8 * grain)
    grains = noise(u, v + offset, grain, _GRAINY)
    return tinted(color, 1 + amount * (0.6 * blotches + 0.4 * grains))

  return texture


def bricks(
  color: Color, mortar: Color, length: float, height: float, offset: float = 0.0
) -> Texture:
  """Courses of bricks or blocks, each course shifted by half a brick."""
  length, height = float(length), float(height)

  def texture(u, v):
    course = np.floor(v / height)
    is_odd = course - 2 * np.floor(0.5 * course)
    along = u / length + 0.5 * is_odd
    brick = np.floor(along)
    rgb = tinted(color, 1 + 0.12 * per_cell(brick, course) + 0.1 * noise(u + offset, v, 0.2))
    joint = ((along - brick) * length < 0.09 * height + 0.01) | (
      v - course * height < 0.16 * height
    )
    fill(rgb, joint, mortar)
    return rgb

  return texture


def slabs(color: Color, size: float, offset: float = 0.0) -> Texture:
  """Paving slabs with dark joints."""
  size = float(size)

  def texture(u, v):
    column, row = np.floor(u / size), np.floor(v / size)
    rgb = tinted(color, 1 + 0.05 * per_cell(column, row) + 0.05 * noise(u + offset, v, 0.15))
    joint = ((u - column * size) < 0.045) | ((v - row * size) < 0.09)
    rgb[np.flatnonzero(joint)] *= 0.8
    return rgb

  return texture


def leaves(color: Color, top: float, size: float, offset: float) -> Texture:
  """Foliage: clumps of leaves, light above the height `top`, dark below and in the gaps."""
  top, size = float(top), float(size)  # NumPy scalars would turn everything into float64

  def texture(u, v):
    # Rotated, the squares of the noise look like leaves.
    turned_u, turned_v = 0.8 * u + 0.6 * v + offset, 0.8 * v - 0.6 * u
    clumps = noise(turned_u, turned_v, 0.07 * size, _CLUMPED)
    single = noise(turned_v, turned_u, 0.05 * size, _GRAINY)
    height = np.clip((v - top) * (1 / size), -1, 1)
    lit = 0.86 + 0.26 * height + 0.3 * clumps + 0.1 * single
    return tinted(color, np.maximum(lit, 0.25))

  return texture


def grass(color: Color, offset: float) -> Texture:
  """A lawn, with worn and dry patches."""

  def texture(u, v):
    patches = noise(u + offset, v, 0.25, _CLUMPED)
    blades = noise(u, v + offset, 0.06, _GRAINY)
    rgb = tinted(color, 1 + 0.13 * patches + 0.12 * blades)
    rgb[:, 0] += 14 * np.maximum(patches, 0)
    return rgb

  return texture


def asphalt(color: Color, offset: float) -> Texture:
  """Asphalt: fine grains, stains, and lighter wheel tracks along the street."""

  def texture(u, v):
    stains = noise(u * 1.5 + offset, v * 0.35, 0.35)
    grains = noise(u, v + offset, 0.035, _GRAINY)
    tracks = np.cos((u + offset) * 4.1)
    return tinted(color, 1 + 0.045 * stains + 0.035 * grains + 0.02 * tracks)

  return texture
