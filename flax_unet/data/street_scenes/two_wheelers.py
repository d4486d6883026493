"""Bicycles and motorcycles, parked or ridden."""

import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.colors import pick
from flax_unet.data.street_scenes.geometry import Place, ellipse, rectangle, stroke
from flax_unet.data.street_scenes.people import draw_figure_aside, draw_figure_behind
from flax_unet.data.street_scenes.solids import draw_shadow

_FRAMES = np.array([
  (30, 32, 36), (160, 36, 36), (40, 84, 150), (60, 120, 80), (214, 214, 210), (210, 170, 50),
], float)  # fmt: skip
_TYRE = (26, 26, 28)


def _seen_from_side(place: Place) -> bool:
  return abs(np.sin(place.yaw)) > 0.45


def draw_bicycle(canvas: Canvas, place: Place, rng: np.random.Generator, ridden=False) -> None:
  """Draws a bicycle, with a cyclist if ridden; turned away from the camera it is narrow."""
  color = pick(_FRAMES, rng)
  draw_shadow(canvas, place, 1.6, 0.3, 1.6 if ridden else 0.6)
  if _seen_from_side(place):
    _draw_bicycle_aside(canvas, place, color)
    if ridden:
      feet = (0.05, rng.uniform(0.15, 0.4))
      draw_figure_aside(canvas, place.side(), (-0.22, 0.95), (0.42, 1.05), feet, False, rng)
  else:
    plane = place.end()
    canvas.paint(plane, rectangle(-0.045, 0, 0.045, 0.68), _TYRE, "bicycle")
    canvas.paint(plane, rectangle(-0.03, 0.6, 0.03, 1.0), color, "bicycle")
    canvas.paint(plane, rectangle(-0.13, 0.86, 0.13, 0.96), (40, 34, 30), "bicycle")
    canvas.paint(plane, rectangle(-0.3, 1.0, 0.3, 1.06), (40, 40, 42), "bicycle")
    if ridden:
      draw_figure_behind(canvas, plane, 0.95, False, rng)


def _draw_bicycle_aside(canvas, place: Place, color) -> None:
  """Two thin wheels, one can see through, and a frame of tubes."""
  plane = place.side()
  radius, rear, front = 0.35, (-0.53, 0.35), (0.55, 0.35)
  crank, seat, head = (-0.05, 0.3), (-0.22, 0.86), (0.36, 0.88)
  canvas.cover(plane, np.array([rear, crank, front, head, seat]), "bicycle")
  for hub in (rear, front):

    def spokes(u, v, hub=hub):
      distance = np.hypot(u - hub[0], v - hub[1])
      angle = np.arctan2(v - hub[1], u - hub[0])
      return (distance < radius - 0.075) & (distance > 0.05) & (np.abs(np.sin(3 * angle)) > 0.16)

    canvas.paint(plane, ellipse(*hub, radius, radius, 28), _TYRE, "bicycle", holes=spokes)
  tubes = [(rear, crank), (rear, seat), (crank, seat), (crank, head), (seat, head), (head, front)]
  for start, stop in tubes:
    canvas.paint(plane, stroke(start, stop, 0.062), color, "bicycle")
  canvas.paint(plane, stroke(head, (0.33, 1.06), 0.05), (60, 60, 62), "bicycle")
  canvas.paint(plane, stroke((0.3, 1.07), (0.48, 1.04), 0.06), (36, 36, 38), "bicycle")
  canvas.paint(plane, ellipse(-0.24, 0.93, 0.15, 0.045, 10), (38, 32, 28), "bicycle")
  canvas.paint(plane, ellipse(*crank, 0.1, 0.1, 10), (70, 70, 74), "bicycle")


def draw_motorcycle(canvas: Canvas, place: Place, rng: np.random.Generator, ridden=False) -> None:
  """Draws a motorcycle or scooter, with a helmeted rider if ridden: a massive body on fat tyres."""
  color = pick(_FRAMES, rng)
  draw_shadow(canvas, place, 2.0, 0.6, 1.5 if ridden else 0.8)
  if _seen_from_side(place):
    _draw_motorcycle_aside(canvas, place, color)
    if ridden:
      draw_figure_aside(canvas, place.side(), (-0.3, 0.92), (0.45, 1.0), (0.05, 0.32), True, rng)
  else:
    _draw_motorcycle_end(canvas, place, color)
    if ridden:
      draw_figure_behind(canvas, place.end(), 0.9, True, rng)


def _draw_motorcycle_aside(canvas, place: Place, color) -> None:
  plane = place.side()
  label = "motorcycle"
  for hub in (-0.72, 0.74):
    canvas.paint(plane, ellipse(hub, 0.32, 0.32, 0.32, 24), _TYRE, label)
    canvas.paint(plane, ellipse(hub, 0.32, 0.19, 0.19, 16), (120, 122, 126), label)
    canvas.paint(plane, ellipse(hub, 0.32, 0.07, 0.07, 10), (50, 50, 52), label)
  engine = np.array([(-0.5, 0.22), (0.35, 0.22), (0.45, 0.6), (-0.4, 0.66)])
  canvas.paint(plane, engine, (64, 64, 68), label)
  canvas.paint(plane, ellipse(0.0, 0.4, 0.2, 0.15, 12), (140, 142, 146), label)
  canvas.paint(plane, stroke((-0.95, 0.34), (0.1, 0.24), 0.1), (190, 190, 194), label)
  canvas.paint(plane, stroke((0.74, 0.32), (0.42, 0.98), 0.09), (150, 152, 156), label)
  tank = np.array([(-0.12, 0.62), (0.46, 0.64), (0.5, 0.86), (0.2, 0.98), (-0.14, 0.84)])
  canvas.paint(plane, tank, color, label)
  canvas.paint(
    plane, np.array([(-0.06, 0.78), (0.3, 0.84), (0.2, 0.95), (-0.1, 0.83)]), color * 1.3, label
  )
  seat = np.array([(-0.78, 0.72), (-0.1, 0.66), (-0.1, 0.8), (-0.5, 0.84), (-0.92, 0.92)])
  canvas.paint(plane, seat, (32, 30, 30), label)
  fender = np.array([(-1.05, 0.6), (-0.5, 0.62), (-0.3, 0.7), (-0.95, 0.82)])
  canvas.paint(plane, fender, color * 0.9, label)
  fairing = np.array([(0.42, 0.7), (0.62, 0.78), (0.66, 1.0), (0.5, 1.2), (0.38, 0.98)])
  canvas.paint(plane, fairing, color, label)
  canvas.paint(plane, ellipse(0.63, 0.9, 0.07, 0.09, 10), (240, 240, 232), label)
  canvas.paint(plane, stroke((0.3, 1.04), (0.5, 1.02), 0.06), (36, 36, 38), label)


def _draw_motorcycle_end(canvas, place: Place, color) -> None:
  plane, label = place.end(), "motorcycle"
  away = np.cos(place.yaw) > 0
  canvas.paint(plane, rectangle(-0.11, 0, 0.11, 0.64), _TYRE, label)
  body = np.array(
    [(-0.2, 0.4), (0.2, 0.4), (0.27, 0.75), (0.17, 0.98), (-0.17, 0.98), (-0.27, 0.75)]
  )
  canvas.paint(plane, body, color, label)
  canvas.paint(plane, rectangle(-0.42, 0.98, 0.42, 1.05), (36, 36, 38), label)
  for sign in (-1, 1):
    canvas.paint(plane, ellipse(sign * 0.42, 1.14, 0.08, 0.06, 8), (50, 50, 52), label)
  lamp = (206, 24, 24) if away else (246, 246, 236)
  canvas.paint(plane, ellipse(0, 0.78, 0.13, 0.08 if away else 0.12, 10), lamp, label, glow=True)
  if away:
    canvas.paint(plane, rectangle(-0.12, 0.48, 0.12, 0.62), (226, 226, 220), label)
