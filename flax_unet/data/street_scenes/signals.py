"""Traffic lights and traffic signs."""

import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.furniture import draw_post
from flax_unet.data.street_scenes.geometry import ellipse, rectangle, stroke, upright

_RED, _BLUE, _WHITE, _YELLOW = (196, 28, 36), (28, 78, 160), (236, 236, 232), (240, 196, 40)


def draw_traffic_light(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
  """Draws a traffic light beside the street; some carry a second one on an arm above it."""
  draw_post(canvas, x, z, 3.5, 0.17, rng)
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
  draw_post(canvas, x, z, 2.9, 0.14, rng)
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
