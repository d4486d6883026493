"""Traffic lights and traffic signs."""

from collections.abc import Callable

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import Color
from flax_unet.street_scenes.furniture import draw_post
from flax_unet.street_scenes.geometry import Plane, ellipse, rectangle, stroke, upright

_RED, _BLUE, _YELLOW = (196, 28, 36), (28, 78, 160), (240, 196, 40)
_WHITE, _BLACK = (236, 236, 232), (30, 30, 30)
_GREEN_LIGHT, _AMBER_LIGHT, _RED_LIGHT = (40, 230, 120), (255, 190, 40), (250, 44, 36)
_ARM = (104, 108, 110)

Brush = Callable[[np.ndarray, Color], None]  # outline, colour


def draw_traffic_light(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
  """Draws a traffic light beside the street; some carry a second one on an arm above it."""
  draw_post(canvas, x, z, 3.5, 0.17, rng)
  lit = int(rng.integers(3))
  _draw_signal(canvas, x, z, 2.5, lit)
  if rng.random() < 0.45:
    reach = -np.sign(x) * rng.uniform(2.6, 3.6)
    plane = upright(x, z)
    canvas.paint(plane, rectangle(-0.09, 0, 0.09, 5.6), _ARM, "pole")
    canvas.paint(plane, stroke((0, 5.5), (reach, 5.6), 0.16), _ARM, "pole")
    _draw_signal(canvas, x + reach, z, 4.7, lit)


def _draw_signal(canvas: Canvas, x: float, z: float, base: float, lit: int) -> None:
  """A dark box with three lamps, one of them lit, on a pale back plate."""
  plane = upright(x, z)
  plate = rectangle(-0.34, base - 0.1, 0.34, base + 1.34)
  canvas.paint(plane, plate, (198, 198, 194), "traffic light")
  canvas.paint(plane, rectangle(-0.27, base - 0.03, 0.27, base + 1.27), (24, 26, 26))
  for lamp, color in enumerate((_GREEN_LIGHT, _AMBER_LIGHT, _RED_LIGHT)):
    rgb = color if lamp == lit else np.array(color) * 0.16 + 12
    disc = ellipse(0, base + 0.21 + 0.41 * lamp, 0.18, 0.18, 14)
    canvas.paint(plane, disc, rgb, glow=lamp == lit)


def draw_sign(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
  """Draws a post with one or two traffic signs."""
  draw_post(canvas, x, z, 2.9, 0.14, rng)
  for height in (2.55, 1.65)[: 1 + (rng.random() < 0.4)]:
    _draw_plate(canvas, upright(x, z, height), rng)


def _draw_plate(canvas: Canvas, plane: Plane, rng: np.random.Generator) -> None:
  """One of the plates below, centred at the plane's origin."""

  def paint(outline, color):
    canvas.paint(plane, outline, color, "traffic sign")

  _PLATES[rng.integers(len(_PLATES))](paint, rng)


def _paint_limit(paint: Brush, rng: np.random.Generator) -> None:
  """A disc with a red rim, and two strokes for a number."""
  del rng
  paint(ellipse(0, 0, 0.42, 0.42, 22), _RED)
  paint(ellipse(0, 0, 0.31, 0.31, 20), _WHITE)
  paint(rectangle(-0.14, -0.13, -0.03, 0.13), _BLACK)
  paint(rectangle(0.03, -0.13, 0.14, 0.13), _BLACK)


def _paint_triangle(paint: Brush, rng: np.random.Generator) -> None:
  """A warning sign or, upside down, a give-way sign."""
  is_warning = rng.random() < 0.6
  flip = 1 if is_warning else -1
  triangle = np.array([(-0.48, -0.4), (0.48, -0.4), (0.0, 0.44)]) * (1, flip)
  paint(triangle, _RED)
  paint(triangle * 0.6 - (0, 0.04 * flip), _WHITE)
  if is_warning:
    paint(rectangle(-0.04, -0.2, 0.04, 0.1), _BLACK)


def _paint_parking(paint: Brush, rng: np.random.Generator) -> None:
  """A blue square with a white P."""
  del rng
  paint(rectangle(-0.4, -0.4, 0.4, 0.4), _WHITE)
  paint(rectangle(-0.36, -0.36, 0.36, 0.36), _BLUE)
  paint(rectangle(-0.16, -0.24, -0.06, 0.24), _WHITE)
  paint(ellipse(0.0, 0.1, 0.15, 0.13, 12), _WHITE)


def _paint_priority(paint: Brush, rng: np.random.Generator) -> None:
  """A yellow diamond with a white rim."""
  del rng
  diamond = np.array([(-0.46, 0), (0, -0.46), (0.46, 0), (0, 0.46)])
  paint(diamond, _WHITE)
  paint(diamond * 0.66, _YELLOW)


def _paint_no_entry(paint: Brush, rng: np.random.Generator) -> None:
  """A red disc with a white bar."""
  del rng
  paint(ellipse(0, 0, 0.42, 0.42, 22), _WHITE)
  paint(ellipse(0, 0, 0.38, 0.38, 22), _RED)
  paint(rectangle(-0.26, -0.07, 0.26, 0.07), _WHITE)


def _paint_direction(paint: Brush, rng: np.random.Generator) -> None:
  """A blue disc with a white arrow."""
  del rng
  paint(ellipse(0, 0, 0.42, 0.42, 22), _WHITE)
  paint(ellipse(0, 0, 0.38, 0.38, 22), _BLUE)
  paint(stroke((-0.2, -0.1), (0.16, 0.16), 0.11), _WHITE)
  paint(np.array([(0.26, 0.24), (-0.02, 0.24), (0.24, -0.06)]), _WHITE)


def _paint_board(paint: Brush, rng: np.random.Generator) -> None:
  """A board with two lines of names."""
  color = (_YELLOW, _BLUE, _WHITE)[rng.integers(3)]
  ink = _WHITE if color is _BLUE else _BLACK
  paint(rectangle(-0.75, -0.36, 0.75, 0.36), ink)
  paint(rectangle(-0.71, -0.32, 0.71, 0.32), color)
  for v in (0.12, -0.14):
    paint(rectangle(-0.5, v - 0.05, rng.uniform(0.1, 0.5), v + 0.05), ink)


_PLATES = (
  _paint_limit,
  _paint_triangle,
  _paint_parking,
  _paint_priority,
  _paint_no_entry,
  _paint_direction,
  _paint_board,
)
