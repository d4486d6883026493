"""Bicycles and motorcycles, parked or ridden, seen from the side, front or rear."""

import numpy as np

from flax_unet.street_scenes.canvas import Canvas, Holes
from flax_unet.street_scenes.colors import HEADLIGHT, TAIL_LIGHT, pick
from flax_unet.street_scenes.geometry import Place, Plane, ellipse, rectangle, stroke
from flax_unet.street_scenes.people import draw_rider_aside, draw_rider_from_behind
from flax_unet.street_scenes.solids import draw_shadow

_FRAMES = np.array([
  (30, 32, 36), (176, 34, 34), (36, 84, 170), (50, 130, 80), (214, 214, 210),
], float)  # fmt: skip
_TANKS = np.array([(196, 30, 32), (30, 84, 190), (40, 150, 70), (236, 120, 30)], float)
_TYRE, _GRIP, _SADDLE = (26, 26, 28), (36, 36, 38), (38, 32, 28)
_STEEL, _IRON = (146, 148, 152), (64, 64, 68)


def _is_seen_aside(place: Place) -> bool:
  """Whether it is turned far enough from the line of sight to show its side."""
  return abs(np.sin(place.yaw)) > 0.45


def draw_bicycle(
  canvas: Canvas, place: Place, rng: np.random.Generator, ridden: bool = False
) -> None:
  """Draws a bicycle, with a cyclist if ridden."""
  color, pedal = pick(_FRAMES, rng), rng.uniform(0.15, 0.4)
  draw_shadow(canvas, place, 1.6, 0.3, 1.6 if ridden else 0.6)
  if _is_seen_aside(place):
    plane = place.side()
    _draw_bicycle_aside(canvas, plane, color)
    if ridden:
      draw_rider_aside(canvas, plane, (-0.22, 0.95), (0.42, 1.05), (0.05, pedal), False, rng)
  else:
    plane = place.end()
    _draw_bicycle_end(canvas, plane, color)
    if ridden:
      draw_rider_from_behind(canvas, plane, 0.95, False, rng)


def _draw_bicycle_aside(canvas: Canvas, plane: Plane, color: np.ndarray) -> None:
  """Two thin, see-through wheels and a frame of tubes; all of it is labelled."""
  label, radius = "bicycle", 0.35
  rear, front = (-0.53, radius), (0.55, radius)
  crank, seat, head = (-0.05, 0.3), (-0.22, 0.86), (0.36, 0.88)
  canvas.cover(plane, np.array([rear, crank, front, head, seat]), label)
  for hub in (rear, front):
    wheel = ellipse(*hub, radius, radius, 28)
    canvas.paint(plane, wheel, _TYRE, label, holes=_between_spokes(hub, radius - 0.075))
  tubes = [(rear, crank), (rear, seat), (crank, seat), (crank, head), (seat, head), (head, front)]
  for start, stop in tubes:
    canvas.paint(plane, stroke(start, stop, 0.062), color, label)
  canvas.paint(plane, stroke(head, (0.33, 1.06), 0.05), _IRON, label)
  canvas.paint(plane, stroke((0.3, 1.07), (0.48, 1.04), 0.06), _GRIP, label)
  canvas.paint(plane, ellipse(-0.24, 0.93, 0.15, 0.045, 10), _SADDLE, label)
  canvas.paint(plane, ellipse(*crank, 0.1, 0.1, 10), _IRON, label)


def _between_spokes(hub: tuple[float, float], radius: float) -> Holes:
  """The holes of a wheel: inside the rim, outside the hub, between six spokes."""

  def holes(u, v):
    u, v = u - hub[0], v - hub[1]
    distance = np.hypot(u, v)
    spoke = np.abs(np.sin(3 * np.arctan2(v, u))) < 0.16
    return (distance < radius) & (distance > 0.05) & ~spoke

  return holes


def _draw_bicycle_end(canvas: Canvas, plane: Plane, color: np.ndarray) -> None:
  """A tyre with fork, saddle and handlebar above."""
  label = "bicycle"
  canvas.paint(plane, rectangle(-0.05, 0, 0.05, 0.68), _TYRE, label)
  canvas.paint(plane, rectangle(-0.03, 0.6, 0.03, 1.0), color, label)
  canvas.paint(plane, rectangle(-0.13, 0.86, 0.13, 0.96), _SADDLE, label)
  canvas.paint(plane, rectangle(-0.3, 1.0, 0.3, 1.06), _GRIP, label)


def draw_motorcycle(
  canvas: Canvas, place: Place, rng: np.random.Generator, ridden: bool = False
) -> None:
  """Draws a motorcycle, with a helmeted rider if ridden."""
  color = pick(_TANKS, rng)
  draw_shadow(canvas, place, 2.0, 0.6, 1.5 if ridden else 0.8)
  if _is_seen_aside(place):
    plane = place.side()
    _draw_motorcycle_aside(canvas, plane, color)
    if ridden:
      draw_rider_aside(canvas, plane, (-0.3, 0.92), (0.45, 1.0), (0.05, 0.32), True, rng)
  else:
    plane = place.end()
    _draw_motorcycle_end(canvas, plane, color, from_behind=np.cos(place.yaw) > 0)
    if ridden:
      draw_rider_from_behind(canvas, plane, 0.9, True, rng)


def _draw_motorcycle_aside(canvas: Canvas, plane: Plane, color: np.ndarray) -> None:
  """A massive body on fat tyres: engine and exhaust below, tank, seat and fairing above."""

  def paint(outline, rgb):
    canvas.paint(plane, np.asarray(outline), rgb, "motorcycle")

  for hub in (-0.72, 0.74):
    paint(ellipse(hub, 0.32, 0.32, 0.32, 24), _TYRE)
    paint(ellipse(hub, 0.32, 0.19, 0.19, 16), _STEEL)
    paint(ellipse(hub, 0.32, 0.07, 0.07, 10), _IRON)
  paint([(-0.5, 0.22), (0.35, 0.22), (0.45, 0.6), (-0.4, 0.66)], _IRON)  # engine
  paint(ellipse(0.0, 0.4, 0.2, 0.15, 12), _STEEL)
  paint(stroke((-0.95, 0.34), (0.1, 0.24), 0.1), (190, 190, 194))  # exhaust
  paint(stroke((0.74, 0.32), (0.42, 0.98), 0.09), _STEEL)  # fork
  paint([(-0.12, 0.62), (0.46, 0.64), (0.5, 0.86), (0.2, 0.98), (-0.14, 0.84)], color)  # tank
  paint([(-0.06, 0.78), (0.3, 0.84), (0.2, 0.95), (-0.1, 0.83)], color * 1.3)
  paint([(-0.78, 0.72), (-0.1, 0.66), (-0.1, 0.8), (-0.5, 0.84), (-0.92, 0.92)], _SADDLE)
  paint([(-1.05, 0.6), (-0.5, 0.62), (-0.3, 0.7), (-0.95, 0.82)], color * 0.9)  # mudguard
  paint([(0.42, 0.7), (0.62, 0.78), (0.66, 1.0), (0.5, 1.2), (0.38, 0.98)], color)  # fairing
  paint(ellipse(0.63, 0.9, 0.07, 0.09, 10), HEADLIGHT)
  paint(stroke((0.3, 1.04), (0.5, 1.02), 0.06), _GRIP)


def _draw_motorcycle_end(
  canvas: Canvas, plane: Plane, color: np.ndarray, from_behind: bool
) -> None:
  """A fat tyre below a body with two side cases, handlebar with mirrors, one light."""
  label = "motorcycle"
  body = [(-0.2, 0.4), (0.2, 0.4), (0.27, 0.75), (0.17, 0.98), (-0.17, 0.98), (-0.27, 0.75)]
  canvas.paint(plane, rectangle(-0.12, 0, 0.12, 0.64), _TYRE, label)
  for left in (-0.46, 0.2):
    canvas.paint(plane, rectangle(left, 0.36, left + 0.26, 0.76), _IRON, label)
  canvas.paint(plane, np.array(body), color, label)
  canvas.paint(plane, rectangle(-0.42, 0.98, 0.42, 1.05), _GRIP, label)
  for aside in (-0.42, 0.42):
    canvas.paint(plane, ellipse(aside, 1.14, 0.08, 0.06, 8), _IRON, label)
  if from_behind:
    canvas.paint(plane, ellipse(0, 0.78, 0.13, 0.08, 10), TAIL_LIGHT, glow=True)
    canvas.paint(plane, rectangle(-0.12, 0.48, 0.12, 0.62), (226, 226, 220))
  else:
    canvas.paint(plane, ellipse(0, 0.78, 0.13, 0.12, 10), HEADLIGHT, glow=True)
