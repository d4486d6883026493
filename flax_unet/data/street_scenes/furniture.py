"""What stands along a street: lamp posts, traffic lights, signs, walls, fences, small things."""

import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.geometry import (
  Place,
  along_street,
  box,
  ellipse,
  rectangle,
  stroke,
  upright,
)
from flax_unet.data.street_scenes.solids import draw_shadow, draw_solid
from flax_unet.data.street_scenes.textures import bricks, rough

_STEEL = np.array([(128, 132, 134), (96, 100, 102), (70, 76, 74), (150, 150, 148)], float)
_RED, _BLUE, _WHITE, _YELLOW = (196, 28, 36), (28, 78, 160), (236, 236, 232), (240, 196, 40)


def _draw_post(canvas, x, z, height, width, rng) -> None:
  """A round post, lit from one side."""
  color = _STEEL[rng.integers(len(_STEEL))] * rng.uniform(0.85, 1.1)
  plane = upright(x, z)
  draw_shadow(canvas, Place(x, z), 0.2, 0.2, 0.6 * height)
  canvas.paint(plane, rectangle(-width / 2, 0, width / 2, height), color, "pole")
  canvas.paint(plane, rectangle(width * 0.1, 0, width / 2, height), color * 0.7, "pole")


def draw_lamp_post(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
  """Draws a lamp post whose arm reaches over the street."""
  height, width = rng.uniform(6.5, 9), rng.uniform(0.17, 0.24)
  _draw_post(canvas, x, z, height, width, rng)
  plane, arm = upright(x, z), -np.sign(x) * rng.uniform(1.2, 2.2)
  canvas.paint(plane, stroke((0, height - 0.1), (arm, height + 0.3), 0.13), (112, 116, 118), "pole")
  canvas.paint(plane, ellipse(arm * 1.1, height + 0.26, 0.45, 0.14, 12), (90, 94, 96), "pole")


def draw_traffic_light(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
  """Draws a traffic light beside the street; some carry a second one on an arm above it."""
  _draw_post(canvas, x, z, 3.5, 0.17, rng)
  lit = int(rng.integers(3))
  _draw_signal(canvas, x, z, 2.5, lit)
  if rng.random() < 0.45:
    reach = -np.sign(x) * rng.uniform(2.6, 3.6)
    plane = upright(x, z)
    canvas.paint(plane, rectangle(-0.09, 0, 0.09, 5.6), (104, 108, 110), "pole")
    canvas.paint(plane, stroke((0, 5.5), (reach, 5.6), 0.16), (104, 108, 110), "pole")
    _draw_signal(canvas, x + reach, z, 4.7, lit)


def _draw_signal(canvas, x, z, base, lit) -> None:
  """A dark box with three lamps, one of them lit, and a thin white rim."""
  plane, label = upright(x, z), "traffic light"
  canvas.paint(plane, rectangle(-0.26, base - 0.06, 0.26, base + 1.16), (198, 198, 194), label)
  canvas.paint(plane, rectangle(-0.22, base, 0.22, base + 1.1), (24, 26, 26), label)
  colors = [(40, 230, 120), (255, 190, 40), (250, 44, 36)]
  for lamp, color in enumerate(colors):
    on = lamp == lit
    rgb = color if on else np.array(color) * 0.16 + 12
    canvas.paint(plane, ellipse(0, base + 0.2 + 0.35 * lamp, 0.14, 0.14, 14), rgb, label, glow=on)


def draw_sign(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
  """Draws a post with one or two traffic signs."""
  _draw_post(canvas, x, z, 2.9, 0.14, rng)
  plates = [_draw_disc, _draw_triangle, _draw_square, _draw_diamond, _draw_no_entry, _draw_board]
  middle = 2.55
  for _ in range(1 + (rng.random() < 0.4)):
    plate = plates[rng.integers(len(plates))]

    def paint(outline, color, middle=middle):
      canvas.paint(upright(x, z, middle), outline, color, "traffic sign")

    plate(paint, rng)
    middle -= 0.9


def _draw_disc(paint, rng) -> None:
  paint(ellipse(0, 0, 0.42, 0.42, 22), _RED)
  paint(ellipse(0, 0, 0.31, 0.31, 20), _WHITE)
  paint(rectangle(-0.14, -0.13, -0.03, 0.13), (30, 30, 30))
  paint(rectangle(0.03, -0.13, 0.14, 0.13), (30, 30, 30))


def _draw_triangle(paint, rng) -> None:
  flip = -1 if rng.random() < 0.4 else 1
  triangle = np.array([(-0.48, -0.4), (0.48, -0.4), (0.0, 0.44)]) * (1, flip)
  paint(triangle, _RED)
  paint(triangle * 0.6 - (0, 0.04 * flip), _WHITE)
  if flip == 1:
    paint(rectangle(-0.04, -0.2, 0.04, 0.1), (30, 30, 30))


def _draw_square(paint, rng) -> None:
  paint(rectangle(-0.4, -0.4, 0.4, 0.4), _WHITE)
  paint(rectangle(-0.36, -0.36, 0.36, 0.36), _BLUE)
  paint(rectangle(-0.16, -0.24, -0.06, 0.24), _WHITE)
  paint(ellipse(0.0, 0.1, 0.15, 0.13, 12), _WHITE)


def _draw_diamond(paint, rng) -> None:
  diamond = np.array([(-0.46, 0), (0, -0.46), (0.46, 0), (0, 0.46)])
  paint(diamond, _WHITE)
  paint(diamond * 0.66, _YELLOW)


def _draw_no_entry(paint, rng) -> None:
  paint(ellipse(0, 0, 0.42, 0.42, 22), _WHITE)
  blue = rng.random() < 0.5
  paint(ellipse(0, 0, 0.38, 0.38, 22), _BLUE if blue else _RED)
  if blue:
    paint(stroke((-0.2, -0.1), (0.16, 0.16), 0.11), _WHITE)
    paint(np.array([(0.26, 0.24), (-0.02, 0.24), (0.24, -0.06)]), _WHITE)
  else:
    paint(rectangle(-0.26, -0.07, 0.26, 0.07), _WHITE)


def _draw_board(paint, rng) -> None:
  color = [_YELLOW, _BLUE, _WHITE][rng.integers(3)]
  ink = (30, 30, 30) if color != _BLUE else _WHITE
  paint(rectangle(-0.75, -0.36, 0.75, 0.36), ink)
  paint(rectangle(-0.71, -0.32, 0.71, 0.32), color)
  for v in (0.12, -0.14):
    paint(rectangle(-0.5, v - 0.05, rng.uniform(0.1, 0.5), v + 0.05), ink)


def draw_wall(canvas: Canvas, x: float, near: float, far: float, rng: np.random.Generator) -> None:
  """Draws a free-standing wall along the street, of brick, stone or concrete, with a coping."""
  height = rng.uniform(1.3, 2.4)
  color = np.array(
    [(150, 92, 74), (150, 144, 134), (168, 166, 160), (176, 160, 132)][rng.integers(4)]
  )
  color = color * rng.uniform(0.8, 1.1)
  size = rng.choice([0.45, 0.7])
  texture = bricks(color, color * 0.55, size, size * 0.45, rng.uniform(0, 50))
  place = Place(x + np.sign(x) * 0.2, (near + far) / 2)
  draw_solid(canvas, place, box(far - near, height), 0.4, texture, "wall")
  draw_solid(canvas, place, box(far - near, height + 0.12, height), 0.5, color * 1.12, "wall")


def draw_fence(canvas: Canvas, x: float, near: float, far: float, rng: np.random.Generator) -> None:
  """Draws a fence along the street: iron bars, planks, or a mesh between posts."""
  plane, height = along_street(x), rng.uniform(1.1, 1.8)
  whole = rectangle(near, 0, far, height)
  kind = rng.choice(["bars", "planks", "mesh"])
  color = {"bars": _STEEL[rng.integers(len(_STEEL))] * 0.7, "mesh": np.array([120, 130, 120]),
           "planks": np.array([(150, 112, 76), (226, 222, 214), (104, 78, 58)][rng.integers(3)])}[kind]  # fmt: skip
  period, gap = {"bars": (0.24, 0.14), "planks": (0.3, 0.1), "mesh": (0.16, 0.1)}[kind]

  def holes(u, v):
    between = u % period < gap
    if kind == "mesh":
      between &= v % period < gap
    return between

  canvas.paint(plane, whole, color, "fence", holes=holes)
  for v in (0.15 * height, 0.86 * height):
    canvas.paint(plane, rectangle(near, v, far, v + 0.1), color * 0.85, "fence")
  for z in np.arange(near, far, 2.5):
    canvas.paint(plane, rectangle(z, 0, z + 0.14, height + 0.12), color * 0.7, "fence")


def draw_bin(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a small fixed or movable thing: a litter bin, a cabinet, a crate."""
  fixed = rng.random() < 0.6
  color = np.array(
    [(88, 96, 92), (176, 60, 40), (196, 160, 50), (60, 92, 60), (120, 120, 122)][rng.integers(5)]
  )
  length, height = rng.uniform(0.5, 1.0), rng.uniform(0.8, 1.4)
  label = "static" if fixed else "dynamic"
  draw_shadow(canvas, place, length, length, height)
  faces = draw_solid(canvas, place, box(length, height), length, rough(color, 0.06, 0.05), label)
  for name in faces.keys() & {"left", "right"}:
    canvas.paint(
      faces[name], rectangle(-length / 2, 0.8 * height, length / 2, 0.88 * height), color * 0.5
    )
