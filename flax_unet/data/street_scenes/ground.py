"""The ground: carriageway and its markings, pavements, verges, parking bays, rails."""

import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.geometry import along_street, ellipse, level, rectangle
from flax_unet.data.street_scenes.street import FAR, Street
from flax_unet.data.street_scenes.textures import asphalt, grass, rough, slabs

_NEAR = 0.5  # metres from the camera, where the ground starts
_WHITE = np.array([225.0, 225.0, 220.0])


def draw_ground(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
  """Paints all that is flat, from what lies below to what lies above."""
  _draw_land(canvas, street, rng)
  grey = rng.uniform(72, 122)
  color = np.array([grey, grey, grey]) + rng.normal(0, 3, 3)
  road = asphalt(color, rng.uniform(0, 50))
  _strip(canvas, street.left.kerb, street.right.kerb, road, "road")
  _draw_patches(canvas, street, rng)
  for side in street.sides:
    _draw_parking(canvas, side, rng)
    _draw_verge_and_pavement(canvas, street, side, rng)
  if street.crossing is not None:
    _draw_crossing(canvas, street, road)
  if street.track is not None:
    _draw_track(canvas, street, rng)
  _draw_markings(canvas, street, rng)


def _strip(canvas, left, right, color, label, near=_NEAR, far=FAR, height=0.0) -> None:
  """A strip along the street, between two x, from near to far."""
  low, high = min(left, right), max(left, right)
  canvas.paint(level(height), rectangle(low, near, high, far), color, label)


def _draw_land(canvas, street, rng) -> None:
  """What lies beyond the pavements, up to the horizon: grass, gravel or paving."""
  green = np.array([96, 122, 58]) * rng.uniform(0.75, 1.15) + rng.normal(0, 8, 3)
  land = {
    "terrain": grass(green, rng.uniform(0, 50)),
    "ground": rough(np.array([150, 142, 130]) * rng.uniform(0.8, 1.1), 0.08, 0.06),
    "sidewalk": slabs(np.array([150, 146, 142]) * rng.uniform(0.8, 1.15), 0.6),
  }
  _strip(canvas, -200, 200, land[street.land], street.land, far=4 * FAR)


def _draw_patches(canvas, street, rng) -> None:
  """Mended asphalt and manholes."""
  for _ in range(rng.integers(1, 5)):
    x, z = rng.uniform(street.left.kerb, street.right.kerb), rng.uniform(5, 30)
    width, length = rng.uniform(0.5, 1.6), rng.uniform(1, 9)
    canvas.tint(level(), rectangle(x, z, x + width, z + length), rng.uniform(0.82, 1.1))
  for _ in range(rng.integers(0, 3)):
    x, z = rng.uniform(-3, 3), rng.uniform(6, 25)
    canvas.tint(level(), ellipse(x, z, 0.34, 0.34), 0.6)
    canvas.tint(level(), ellipse(x, z, 0.26, 0.26), 1.25)


def _draw_parking(canvas, side, rng) -> None:
  """Bays along the kerb, paved and divided by lines."""
  if not side.parking:
    return
  inner = side.kerb - side.sign * side.parking
  if side.paved_parking:
    color = slabs(np.array([128, 120, 114]) * rng.uniform(0.8, 1.1), 0.3)
    _strip(canvas, inner, side.kerb, color, "parking")
  _strip(canvas, inner, inner - side.sign * 0.12, _WHITE * 0.85, None)
  for z in np.arange(rng.uniform(2, 7), 60, 5.6):
    _strip(canvas, inner, side.kerb, _WHITE * 0.85, None, z, z + 0.12)


def _draw_verge_and_pavement(canvas, street, side, rng) -> None:
  """Kerb, a green verge, and the pavement up to the frontage."""
  color = np.array([158, 154, 150]) * rng.uniform(0.72, 1.15) + rng.normal(0, 5, 3)
  size = rng.choice([0.3, 0.5, 0.8])
  paving = slabs(color, size) if rng.random() < 0.75 else rough(color * 0.85, 0.05, 0.05)
  green = np.array([98, 128, 56]) * rng.uniform(0.75, 1.15) + rng.normal(0, 8, 3)
  lawn = grass(green, rng.uniform(0, 50))
  kerb = np.array([182, 180, 176]) * rng.uniform(0.85, 1.1)
  edge = side.kerb + side.sign * 0.16
  for near, far in street.blocks:
    # The kerb's face and top, the verge, then the pavement: each hides what lies behind it.
    _strip(canvas, side.kerb, edge, kerb, "sidewalk", near, far, 0.12)
    _strip(canvas, edge, side.frontage + side.sign * 0.3, paving, "sidewalk", near, far, 0.12)
    if side.verge:
      inner = edge if side.verge_at_kerb else side.frontage - side.sign * side.verge
      _strip(canvas, inner, inner + side.sign * side.verge, lawn, "terrain", near, far, 0.13)
    face = rectangle(near, 0, far, 0.12)
    canvas.paint(along_street(side.kerb), face, kerb * 0.8, "sidewalk")


def _draw_crossing(canvas, street, road) -> None:
  """The street that crosses, with zebra stripes before it."""
  near, far = street.crossing
  canvas.paint(level(), rectangle(-60, near, 60, far), road, "road")
  if street.zebra:
    for x in np.arange(street.left.kerb + 0.3, street.right.kerb - 0.4, 1.0):
      _strip(canvas, x, x + 0.5, _WHITE, None, near - 3.6, near - 0.6)
  _strip(canvas, street.middle, street.right.kerb - 0.2, _WHITE, None, near - 4.6, near - 4.2)


def _draw_track(canvas, street, rng) -> None:
  """The tram's track: rails, in a bed of grass or gravel or flush with the asphalt."""
  x = street.track
  bed = rng.choice(["grass", "gravel", "asphalt"])
  if bed == "grass":
    green = np.array([100, 126, 62]) * rng.uniform(0.8, 1.1)
    _strip(canvas, x - 1.4, x + 1.4, grass(green, rng.uniform(0, 50)), "rail track")
  elif bed == "gravel":
    color = np.array([128, 118, 106]) * rng.uniform(0.8, 1.1)
    _strip(canvas, x - 1.4, x + 1.4, rough(color, 0.22, 0.09), "rail track")
  for rail in (x - 0.72, x + 0.72):
    _strip(canvas, rail - 0.11, rail + 0.11, (74, 66, 62), None)
    _strip(canvas, rail - 0.05, rail + 0.05, (190, 190, 194), None)


def _draw_markings(canvas, street, rng) -> None:
  """Lines between the lanes, dashed or double, and along the kerbs; arrows."""
  white = _WHITE * rng.uniform(0.8, 1.05)
  for x in street.lane_lines:
    if x == street.middle and rng.random() < 0.4:
      for offset in (-0.18, 0.06):
        _strip(canvas, x + offset, x + offset + 0.12, white, None)
      continue
    for z in np.arange(rng.uniform(0, 6), 90, 9.0):
      if street.crossing is None or not street.crossing[0] - 5 < z < street.crossing[1]:
        _strip(canvas, x - 0.07, x + 0.07, white, None, max(z, _NEAR), z + 4.5)
  for side in street.sides:
    if not side.parking:
      x = side.kerb - side.sign * 0.4
      for near, far in street.blocks:
        _strip(canvas, x - 0.06, x + 0.06, white * 0.9, None, near, far)
  if rng.random() < 0.3:
    z = rng.uniform(9, 14)
    _strip(canvas, -0.09, 0.09, white, None, z, z + 2.4)
    head = np.array([(-0.4, z + 2.4), (0.4, z + 2.4), (0, z + 3.8)])
    canvas.paint(level(), head, white)
