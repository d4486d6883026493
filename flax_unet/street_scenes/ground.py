"""The ground: carriageway and its markings, pavements, verges, parking bays, rails, shade."""

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import Color
from flax_unet.street_scenes.geometry import along_street, ellipse, level, rectangle, upright
from flax_unet.street_scenes.street import NEAR, Side, Street
from flax_unet.street_scenes.textures import Texture, asphalt, grass, rough, slabs

_WHITE = np.array([225.0, 225.0, 220.0])
_GREEN = np.array([98.0, 126.0, 56.0])
_KERB_HEIGHT, _KERB_WIDTH = 0.12, 0.16


def draw_ground(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
  """Paints everything flat, from bottom to top."""
  _draw_land(canvas, street, rng)
  road = asphalt(rng.uniform(72, 122) + rng.normal(0, 3, 3), rng.uniform(0, 50))
  _strip(canvas, street.left.kerb, street.right.kerb, road, "road", NEAR, street.end)
  _draw_crossing_streets(canvas, street, road)
  _draw_mends(canvas, street, rng)
  for side in street.sides:
    for near, far in street.blocks:
      if side.parking:
        _draw_parking(canvas, side, near, far, rng)
      _draw_pavement(canvas, side, near, far, rng)
  if street.track is not None:
    _draw_track(canvas, street, rng)
  _draw_lines(canvas, street, rng)
  if street.zebra and street.crossing is not None:
    _draw_zebra(canvas, street)
  _draw_shade(canvas, street, rng)


def _strip(
  canvas: Canvas,
  left: float,
  right: float,
  color: Color | Texture,
  label: str | None,
  near: float,
  far: float,
  height: float = 0.0,
) -> None:
  """Paints a strip along the street, between two x (in any order), from near to far."""
  low, high = min(left, right), max(left, right)
  canvas.paint(level(height), rectangle(low, near, high, far), color, label)


def _lawn(rng: np.random.Generator) -> Texture:
  return grass(_GREEN * rng.uniform(0.75, 1.15) + rng.normal(0, 8, 3), rng.uniform(0, 50))


def _draw_land(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
  """The area beyond the pavements and the street's end: grass, gravel or paving."""
  land = {
    "terrain": _lawn(rng),
    "ground": rough(np.array([150, 142, 130]) * rng.uniform(0.8, 1.1), 0.08, 0.06),
    "sidewalk": slabs(np.array([150, 146, 142]) * rng.uniform(0.8, 1.15), 0.6),
  }[street.land]
  for side in street.sides:
    _strip(canvas, side.frontage, side.sign * 200, land, street.land, NEAR, street.end)
  _strip(canvas, -400, 400, land, street.land, street.end, 600)


def _draw_crossing_streets(canvas: Canvas, street: Street, road: Texture) -> None:
  """The crossing street, and the one at the end."""
  _strip(canvas, -200, 200, road, "road", street.end, street.end + 9)
  if street.crossing is not None:
    near, far = street.crossing
    _strip(canvas, -60, 60, road, "road", near, far)
    stop = (street.middle, street.right.kerb - 0.2)
    _strip(canvas, *stop, _WHITE, None, near - 4.6, near - 4.2)


def _draw_zebra(canvas: Canvas, street: Street) -> None:
  near = street.crossing[0]
  for x in np.arange(street.left.kerb + 0.3, street.right.kerb - 0.4, 1.0):
    _strip(canvas, x, x + 0.5, _WHITE, None, near - 3.6, near - 0.6)


def _draw_mends(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
  """Asphalt patches and manholes."""
  for _ in range(rng.integers(1, 5)):
    x, z = rng.uniform(street.left.kerb, street.right.kerb), rng.uniform(5, 30)
    mend = rectangle(x, z, x + rng.uniform(0.5, 1.6), z + rng.uniform(1, 9))
    canvas.tint(level(), mend, rng.uniform(0.82, 1.1))
  for _ in range(rng.integers(0, 3)):
    x, z = rng.uniform(-3, 3), rng.uniform(6, 25)
    canvas.tint(level(), ellipse(x, z, 0.34, 0.34), 0.6)
    canvas.tint(level(), ellipse(x, z, 0.26, 0.26), 1.25)


def _draw_parking(
  canvas: Canvas, side: Side, near: float, far: float, rng: np.random.Generator
) -> None:
  """Parking bays along the kerb, separated by lines, and sometimes paved."""
  inner = side.kerb - side.sign * side.parking
  if side.paved_parking:
    color = slabs(np.array([128, 120, 114]) * rng.uniform(0.8, 1.1), 0.3)
    _strip(canvas, inner, side.kerb, color, "parking", near, far)
  _strip(canvas, inner, inner - side.sign * 0.12, _WHITE * 0.85, None, near, far)
  for z in np.arange(near + rng.uniform(2, 5), min(far, 60), 5.6):
    _strip(canvas, inner, side.kerb, _WHITE * 0.85, None, z, z + 0.12)


def _draw_pavement(
  canvas: Canvas, side: Side, near: float, far: float, rng: np.random.Generator
) -> None:
  """Kerb, pavement up to the frontage, and a green verge on one of its sides."""
  stone = np.array([182, 180, 176]) * rng.uniform(0.85, 1.1)
  color = np.array([158, 154, 150]) * rng.uniform(0.72, 1.15) + rng.normal(0, 5, 3)
  size = rng.choice([0.3, 0.5, 0.8])
  paving = slabs(color, size) if rng.random() < 0.75 else rough(color * 0.85, 0.05, 0.05)
  edge = side.kerb + side.sign * _KERB_WIDTH
  outer = side.frontage + side.sign * 0.3
  _strip(canvas, side.kerb, edge, stone, "sidewalk", near, far, _KERB_HEIGHT)
  _strip(canvas, edge, outer, paving, "sidewalk", near, far, _KERB_HEIGHT)
  if side.verge:
    inner = edge if side.verge_at_kerb else outer - side.sign * (side.verge + 0.3)
    stop = inner + side.sign * side.verge
    _strip(canvas, inner, stop, _lawn(rng), "terrain", near, far, _KERB_HEIGHT)
  face = rectangle(near, 0, far, _KERB_HEIGHT)
  canvas.paint(along_street(side.kerb), face, stone * 0.8, "sidewalk")
  low, high = sorted((side.kerb, outer))
  canvas.paint(upright(0, near), rectangle(low, 0, high, _KERB_HEIGHT), stone * 0.8, "sidewalk")


def _draw_track(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
  """The tram's track: rails in a bed of grass or gravel, or flush with the asphalt."""
  x = street.track
  beds = {
    "grass": _lawn(rng),
    "gravel": rough(np.array([128, 118, 106]) * rng.uniform(0.8, 1.1), 0.22, 0.09),
    "asphalt": None,
  }
  bed = beds[str(rng.choice(list(beds)))]
  for near, far in street.blocks:
    if bed is not None:
      _strip(canvas, x - 1.4, x + 1.4, bed, "rail track", near, far)
  for rail in (x - 0.72, x + 0.72):
    _strip(canvas, rail - 0.11, rail + 0.11, (74, 66, 62), None, NEAR, street.end)
    _strip(canvas, rail - 0.05, rail + 0.05, (190, 190, 194), None, NEAR, street.end)


def _draw_lines(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
  """Lines between the lanes, dashed or double, lines along the kerbs, and an arrow."""
  white = _WHITE * rng.uniform(0.8, 1.05)
  double = rng.random() < 0.4
  for near, far in street.blocks:
    for x in street.lane_lines:
      if x == street.middle and double:
        for left in (x - 0.18, x + 0.06):
          _strip(canvas, left, left + 0.12, white, None, near, far)
      else:
        for z in np.arange(near + rng.uniform(0, 5), min(far, 90) - 4.5, 9.0):
          _strip(canvas, x - 0.07, x + 0.07, white, None, z, z + 4.5)
    for side in street.sides:
      if not side.parking:
        x = side.kerb - side.sign * 0.4
        _strip(canvas, x - 0.06, x + 0.06, white * 0.9, None, near, far)
  if rng.random() < 0.3:
    z = rng.uniform(8, 12)
    _strip(canvas, -0.09, 0.09, white, None, z, z + 2.4)
    canvas.paint(level(), np.array([(-0.4, z + 2.4), (0.4, z + 2.4), (0, z + 3.8)]), white)


def _draw_shade(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
  """The shadow that houses on the sunny side cast onto the street."""
  sun, strength = canvas.weather.sun, float(canvas.weather.sunlight.mean())
  side = street.right if sun[0] > 0 else street.left
  factor, z = 1 - 0.5 * strength, NEAR
  while z < street.end:
    stop = z + rng.uniform(8, 22)
    reach = rng.uniform(6, 14) * abs(sun[0]) / sun[1]
    shift = -rng.uniform(0.5, 1) * sun[2] / sun[1] * 5
    if rng.random() < 0.75 and strength > 0.3:
      x = side.frontage
      across = x - side.sign * reach
      shade = np.array([(x, z), (across, z + shift), (across, stop + shift), (x, stop)])
      canvas.tint(level(), shade, factor)
    z = stop
