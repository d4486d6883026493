"""Buildings: their walls, gables and roofs."""

import math

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import pick
from flax_unet.street_scenes.facades import sample_facade
from flax_unet.street_scenes.geometry import AWAY, Plane, along_street, rectangle, upright
from flax_unet.street_scenes.textures import rough

_ROOFS = np.array([(150, 78, 60), (120, 66, 54), (84, 80, 84), (96, 88, 82)], float)
_CHIMNEY = (128, 84, 70)
_STOREY = 3.2  # metres, about
_HALF_DEPTH = 5.5  # metres from the facade to the ridge


def draw_building(
  canvas: Canvas,
  x: float,
  near: float,
  far: float,
  kind: str,
  storeys: int,
  rng: np.random.Generator,
) -> None:
  """Draws a house along the street: its facade at `x`, the gable facing the camera, its roof."""
  height = storeys * _STOREY + rng.uniform(0.4, 1.0)
  texture = sample_facade(rng, height, kind).texture()
  tiles = rough(pick(_ROOFS, rng), 0.08, 0.1)
  rise = rng.uniform(2.0, 4.5) if rng.random() < 0.65 else 0.0
  has_chimney = rng.random() < 0.6
  outward = math.copysign(_HALF_DEPTH, x)
  if rise:
    if has_chimney:
      chimney = rectangle(-0.5, height, 0.5, height + rise + 1.2)
      canvas.paint(upright(x + outward, (near + far) / 2), chimney, _CHIMNEY, "building")
    slope = math.hypot(outward, rise)
    eaves = (x - math.copysign(0.4, x), height - 0.1, 0.0)
    roof = Plane(eaves, AWAY, (outward / slope, rise / slope, 0.0))
    canvas.paint(roof, rectangle(near, 0, far, slope), tiles, "building")
  canvas.paint(along_street(x), rectangle(near, 0, far, height), texture, "building")
  back, ridge = 2 * outward, height + rise
  gable = [(0, 0), (0, height), (outward, ridge), (back, height), (back, 0)]
  canvas.paint(upright(x, near), np.array(gable), texture, "building")


def draw_row_of_houses(canvas: Canvas, z: float, kind: str, rng: np.random.Generator) -> None:
  """Draws a row of house fronts across the view, where the street ends at another."""
  left, stop = -0.6 * z, 0.6 * z  # wider than the camera's view
  while left < stop:
    right, height = left + rng.uniform(9, 18), rng.integers(2, 6) * _STOREY + 0.6
    texture = sample_facade(rng, height, kind).texture()
    canvas.paint(upright(0, z), rectangle(left, 0, right, height), texture, "building")
    left = right
