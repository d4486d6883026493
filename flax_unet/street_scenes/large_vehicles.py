"""Trucks and buses."""

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import AMBER, GLASS, HEADLIGHT, TAIL_LIGHT, pick
from flax_unet.street_scenes.geometry import Place, Plane, box, ellipse, rectangle, stroke
from flax_unet.street_scenes.solids import draw_shadow, draw_solid, draw_tyres, draw_wheels

_CARGO = np.array([
  (46, 92, 176), (186, 48, 44), (206, 150, 110), (90, 110, 150),
], float)  # fmt: skip
_CABS = np.array([(236, 236, 236), (186, 36, 36), (40, 78, 160)], float)
_LIVERIES = np.array([(232, 188, 36), (226, 128, 36), (120, 168, 52)], float)
_BANDS = np.array([(240, 238, 230), (60, 64, 70), (176, 34, 36)], float)
_CAB_LENGTH = 2.1


def draw_truck(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a truck: a cab, and a plain box behind it, high above the wheels."""
  length, width, height = rng.uniform(7, 9), 2.45, rng.uniform(3.2, 3.8)
  cab_color, cargo_color, stripe = pick(_CABS, rng), pick(_CARGO, rng), pick(_CABS, rng)
  axles = (0.33 * length, -0.2 * length, -0.36 * length)
  draw_shadow(canvas, place, length, width, height)
  for axle in axles:
    draw_tyres(canvas, place, axle, width, 0.5, "truck")
  frame = box(length - 0.6, 0.95, 0.55)
  draw_solid(canvas, place, frame, 0.8 * width, (40, 40, 42), "truck")
  parts = [
    lambda: _draw_cab(canvas, place, length / 2, width, cab_color),
    lambda: _draw_cargo(canvas, place, length, width, height, cargo_color, stripe),
  ]
  heads_towards_us = place.x * place.forward[0] + place.z * place.forward[2] < 0
  for draw_part in reversed(parts) if heads_towards_us else parts:
    draw_part()
  for sign in (-1, 1):
    side = place.side(sign * width / 2)
    if side.origin[0] * place.right[0] * sign + side.origin[2] * place.right[2] * sign < 0:
      draw_wheels(canvas, side, axles, 0.5, "truck")


def _draw_cab(canvas, place: Place, nose, width, color) -> None:
  """The cab, whose front is `nose` metres ahead of the truck's middle."""
  back = nose - _CAB_LENGTH
  profile = {
    "under": (back, 0.45),
    "front": (nose, 0.45),
    "windscreen": (nose, 1.65),
    "top": (nose - 0.35, 2.75),
    "back": (back, 2.75),
  }
  for name, plane in draw_solid(canvas, place, profile, width, color, "truck").items():
    if name == "windscreen":
      canvas.paint(plane, rectangle(-1.08, 0.08, 1.08, 0.98), GLASS)
      canvas.paint(plane, rectangle(-0.9, 0.55, 0.2, 0.9), GLASS + 46)
    elif name == "front":
      _draw_cab_front(canvas, place.end(nose), color)
    elif name in ("left", "right"):
      window = [(nose - 1.5, 1.7), (nose - 0.15, 1.7), (nose - 0.42, 2.5), (nose - 1.5, 2.5)]
      canvas.paint(plane, np.array(window), GLASS)
      canvas.paint(plane, stroke((nose - 1.6, 0.6), (nose - 1.6, 2.6), 0.05), color * 0.5)


def _draw_cab_front(canvas, plane: Plane, color) -> None:
  """Grille, bumper and headlights."""
  canvas.paint(plane, rectangle(-0.85, 0.85, 0.85, 1.5), color * 0.35)
  for bar in (1.0, 1.17, 1.34):
    canvas.paint(plane, rectangle(-0.8, bar, 0.8, bar + 0.06), (150, 150, 152))
  canvas.paint(plane, rectangle(-1.2, 0.45, 1.2, 0.7), (52, 52, 54))
  for aside in (-0.95, 0.95):
    canvas.paint(plane, ellipse(aside, 0.72, 0.17, 0.13, 10), HEADLIGHT, glow=True)


def _draw_cargo(canvas, place: Place, length, width, height, color, stripe) -> None:
  """The box behind the cab, with ribs and a stripe on its flanks."""
  rear, front = -length / 2, length / 2 - _CAB_LENGTH - 0.2
  profile = box(front - rear, height, 0.95, middle=(rear + front) / 2)
  for name, plane in draw_solid(canvas, place, profile, width, color, "truck").items():
    if name in ("left", "right"):
      canvas.paint(plane, rectangle(rear + 0.1, height * 0.55, front, height * 0.68), stripe)
      for along in np.arange(rear, front, 0.8):
        canvas.tint(plane, rectangle(along, 0.98, along + 0.07, height - 0.05), 0.82)
      canvas.paint(plane, rectangle(rear, 0.95, front, 1.08), (70, 70, 72))
    elif name == "rear":
      _draw_cargo_doors(canvas, place.end(rear), width / 2, height)


def _draw_cargo_doors(canvas, plane: Plane, half, height) -> None:
  """Doors with their bars, lights, and a bumper with warning stripes."""
  steel = (92, 92, 94)
  for left in (-0.03, -0.97 * half, 0.97 * half - 0.05):
    canvas.paint(plane, rectangle(left, 1.0, left + 0.06, height - 0.06), steel)
  for bar in (-0.5, 0.5):
    canvas.paint(plane, rectangle(bar - 0.03, 1.05, bar + 0.03, height - 0.1), (150, 150, 152))
  canvas.paint(plane, rectangle(-half, height - 0.12, half, height), steel)
  canvas.paint(plane, rectangle(-half, 0.62, half, 0.86), (44, 44, 46), "truck")
  for left in np.arange(-half, half - 0.2, 0.44):
    canvas.paint(plane, rectangle(left, 0.64, left + 0.22, 0.84), (226, 60, 44))
  for left in (-half, half - 0.34):
    canvas.paint(plane, rectangle(left, 0.86, left + 0.34, 1.0), TAIL_LIGHT, glow=True)


def draw_bus(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a bus: a long box, a row of big windows with doors, an amber display."""
  length, width, height = rng.uniform(10, 12), 2.55, rng.uniform(3.0, 3.2)
  color, band = pick(_LIVERIES, rng), pick(_BANDS, rng)
  axles = (0.27 * length, -0.3 * length)
  draw_shadow(canvas, place, length, width, height)
  for axle in axles:
    draw_tyres(canvas, place, axle, width, 0.5, "bus")
  body = box(length, height, 0.32)
  for name, plane in draw_solid(canvas, place, body, width, color, "bus").items():
    if name in ("left", "right"):
      _draw_bus_side(canvas, plane, length / 2, height, color, band)
      draw_wheels(canvas, plane, axles, 0.48, "bus")
    elif name == "front":
      _draw_bus_front(canvas, place.end(length / 2), height)
    elif name == "rear":
      _draw_bus_rear(canvas, place.end(-length / 2), height, color)


def _draw_bus_front(canvas, plane: Plane, height) -> None:
  """One big windscreen, the display above it, headlights."""
  canvas.paint(plane, rectangle(-1.15, 1.15, 1.15, 2.55), GLASS)
  canvas.paint(plane, rectangle(-1.0, 1.75, 0.1, 2.4), GLASS + 44)
  canvas.paint(plane, rectangle(-1.15, height - 0.5, 1.15, height - 0.1), (18, 18, 20))
  display = rectangle(-0.75, height - 0.43, 0.75, height - 0.18)
  canvas.paint(plane, display, AMBER, glow=True)
  canvas.paint(plane, rectangle(-1.2, 0.32, 1.2, 0.55), (50, 50, 52))
  for aside in (-0.9, 0.9):
    canvas.paint(plane, ellipse(aside, 0.8, 0.2, 0.14, 10), HEADLIGHT, glow=True)


def _draw_bus_rear(canvas, plane: Plane, height, color) -> None:
  """A high window, the line number, the engine grille, upright tail lights."""
  canvas.paint(plane, rectangle(-1.05, 1.75, 1.05, 2.65), GLASS)
  canvas.paint(plane, rectangle(-0.9, 2.1, 0.0, 2.55), GLASS + 40)
  canvas.paint(plane, rectangle(-0.4, height - 0.38, 0.4, height - 0.1), AMBER, glow=True)
  canvas.paint(plane, rectangle(-0.85, 0.7, 0.85, 1.45), color * 0.5)
  for low in (0.85, 1.02, 1.19):
    canvas.paint(plane, rectangle(-0.75, low, 0.75, low + 0.06), color * 0.3)
  for left in (-1.22, 1.0):
    canvas.paint(plane, rectangle(left, 0.75, left + 0.22, 1.5), TAIL_LIGHT, glow=True)


def _draw_bus_side(canvas, plane: Plane, half, height, color, band) -> None:
  """Windows from end to end with pillars between them, doors, and a band in a second colour."""
  top = height - 0.5
  canvas.paint(plane, rectangle(-half, 0.32, half, 0.62), band)
  canvas.paint(plane, rectangle(0.25 - half, 1.3, half - 0.1, top), GLASS)
  for along in np.arange(0.25 - half, half, 1.45):
    canvas.paint(plane, rectangle(along + 0.1, 1.85, along + 0.75, top - 0.08), GLASS + 36)
    canvas.paint(plane, rectangle(along - 0.06, 1.3, along + 0.06, top), color * 0.7)
  for door in (half - 1.5, -0.6):
    canvas.paint(plane, rectangle(door, 0.42, door + 1.2, top + 0.05), (30, 34, 38))
    canvas.paint(plane, rectangle(door + 0.56, 0.42, door + 0.64, top + 0.05), color * 0.7)
