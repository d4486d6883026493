"""Trucks and buses."""

import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.colors import AMBER, GLASS, HEADLIGHT, TAIL_LIGHT, pick
from flax_unet.data.street_scenes.geometry import Place, Plane, box, ellipse, rectangle, stroke
from flax_unet.data.street_scenes.solids import draw_shadow, draw_solid, draw_tyres, draw_wheels

_CARGO = np.array([
  (236, 236, 234), (222, 224, 226), (210, 206, 196), (60, 84, 140), (170, 44, 40), (206, 170, 60),
  (70, 110, 84), (120, 124, 130),
], float)  # fmt: skip
_CABS = np.array([
  (232, 232, 232), (176, 36, 36), (44, 74, 136), (220, 170, 40), (70, 76, 84), (60, 110, 80),
], float)  # fmt: skip
_LIVERIES = np.array([
  (218, 176, 44), (176, 34, 36), (40, 84, 150), (52, 118, 78), (230, 230, 228), (206, 110, 40),
], float)  # fmt: skip


def draw_truck(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a truck: a cab, and behind it a plain box, high above the wheels."""
  length, width, height = rng.uniform(7, 9), 2.45, rng.uniform(3.2, 3.8)
  cab_color, cargo_color = pick(_CABS, rng), pick(_CARGO, rng)
  stripe = pick(_CABS, rng)
  cab_length = 2.1
  cargo = box(length - cab_length - 0.2, height, 0.95, middle=-cab_length / 2 - 0.1)
  nose = length / 2
  cab = {
    "under": (nose - cab_length, 0.45),
    "front": (nose, 0.45),
    "windscreen": (nose, 1.65),
    "top": (nose - 0.35, 2.75),
    "back": (nose - cab_length, 2.75),
  }
  draw_shadow(canvas, place, length, width, height)
  for axle in (0.33 * length, -0.2 * length, -0.36 * length):
    draw_tyres(canvas, place, axle, width, 0.5, "truck")
  # The frame between the wheels.
  draw_solid(canvas, place, box(length - 0.6, 0.95, 0.55), 0.8 * width, (40, 40, 42), "truck")
  parts = [(cab, cab_color, _draw_cab), (cargo, cargo_color, None)]
  if np.dot([place.x, 0, place.z], place.forward) < 0:
    parts.reverse()
  faces = {}
  for profile, color, details in parts:
    painted = draw_solid(canvas, place, profile, width, color, "truck")
    if details:
      details(canvas, place, painted, nose, cab_length, width, color)
    else:
      faces = painted
  _draw_cargo(canvas, faces, place, length, width, height, stripe)
  for side in faces.keys() & {"left", "right"}:
    draw_wheels(canvas, place.side((width / 2) * (1 if side == "right" else -1)),
                (0.33 * length, -0.2 * length, -0.36 * length), 0.5, "truck")  # fmt: skip


def _draw_cab(canvas, place, faces, nose, cab_length, width, color) -> None:
  """Windscreen, grille and lights, or the side window."""
  if "windscreen" in faces:
    canvas.paint(faces["windscreen"], rectangle(-1.08, 0.08, 1.08, 0.98), GLASS)
    canvas.paint(faces["windscreen"], rectangle(-0.9, 0.55, 0.2, 0.9), GLASS + 46)
    plane = place.end(nose)
    canvas.paint(plane, rectangle(-0.85, 0.85, 0.85, 1.5), color * 0.35)
    for bar in (1.0, 1.17, 1.34):
      canvas.paint(plane, rectangle(-0.8, bar, 0.8, bar + 0.06), (150, 150, 152))
    canvas.paint(plane, rectangle(-1.2, 0.45, 1.2, 0.7), (52, 52, 54))
    for sign in (-1, 1):
      canvas.paint(plane, ellipse(sign * 0.95, 0.72, 0.17, 0.13, 10), HEADLIGHT, glow=True)
  for side in faces.keys() & {"left", "right"}:
    window = np.array(
      [(nose - 1.5, 1.7), (nose - 0.15, 1.7), (nose - 0.42, 2.5), (nose - 1.5, 2.5)]
    )
    canvas.paint(faces[side], window, GLASS)
    door = nose - 1.6
    canvas.paint(faces[side], stroke((door, 0.6), (door, 2.6), 0.05), color * 0.5)


def _draw_cargo(canvas, faces, place, length, width, height, stripe) -> None:
  """The box: ribs and a stripe on the flank; doors, lights and warning stripes at the rear."""
  rear = -length / 2
  for side in faces.keys() & {"left", "right"}:
    plane = faces[side]
    canvas.paint(
      plane, rectangle(rear + 0.1, height * 0.55, length / 2 - 2.4, height * 0.68), stripe
    )
    for along in np.arange(rear, length / 2 - 2.3, 0.8):
      canvas.tint(plane, rectangle(along, 0.98, along + 0.07, height - 0.05), 0.82)
    canvas.paint(plane, rectangle(rear, 0.95, length / 2 - 2.3, 1.08), (70, 70, 72))
  if "rear" in faces:
    plane, w = place.end(rear), width / 2
    for x in (-0.03, -0.97 * w, 0.97 * w - 0.05):
      canvas.paint(plane, rectangle(x, 1.0, x + 0.06, height - 0.06), (92, 92, 94))
    for x in (-0.5, 0.5):
      canvas.paint(plane, stroke((x, 1.05), (x, height - 0.1), 0.05), (150, 150, 152))
    canvas.paint(plane, rectangle(-w, height - 0.12, w, height), (92, 92, 94))
    canvas.paint(plane, rectangle(-w, 0.62, w, 0.86), (44, 44, 46), "truck")
    for x in np.arange(-w, w - 0.2, 0.44):
      canvas.paint(plane, rectangle(x, 0.64, x + 0.22, 0.84), (226, 60, 44))
    for sign in (-1, 1):
      canvas.paint(plane, rectangle(sign * w, 0.86, sign * (w - 0.34), 1.0), TAIL_LIGHT, glow=True)


def draw_bus(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a bus: a long box, a row of big windows with a door or two, an amber display."""
  length, width, height = rng.uniform(10, 12), 2.55, rng.uniform(3.0, 3.2)
  color, band = pick(_LIVERIES, rng), pick(_LIVERIES, rng)
  draw_shadow(canvas, place, length, width, height)
  axles = (0.27 * length, -0.3 * length)
  for axle in axles:
    draw_tyres(canvas, place, axle, width, 0.5, "bus")
  faces = draw_solid(canvas, place, box(length, height, 0.32), width, color, "bus")
  for side in faces.keys() & {"left", "right"}:
    _draw_bus_side(canvas, faces[side], length, height, color, band)
    draw_wheels(canvas, faces[side], axles, 0.48, "bus")
  if "front" in faces:
    plane = place.end(length / 2)
    canvas.paint(plane, rectangle(-1.15, 1.15, 1.15, 2.55), GLASS)
    canvas.paint(plane, rectangle(-1.0, 1.75, 0.1, 2.4), GLASS + 44)
    canvas.paint(plane, rectangle(-1.15, height - 0.5, 1.15, height - 0.1), (18, 18, 20))
    canvas.paint(plane, rectangle(-0.75, height - 0.43, 0.75, height - 0.18), AMBER, glow=True)
    canvas.paint(plane, rectangle(-1.2, 0.32, 1.2, 0.55), (50, 50, 52))
    for sign in (-1, 1):
      canvas.paint(plane, ellipse(sign * 0.9, 0.8, 0.2, 0.14, 10), HEADLIGHT, glow=True)
  if "rear" in faces:
    plane = place.end(-length / 2)
    canvas.paint(plane, rectangle(-1.05, 1.75, 1.05, 2.65), GLASS)
    canvas.paint(plane, rectangle(-0.9, 2.1, 0.0, 2.55), GLASS + 40)
    canvas.paint(plane, rectangle(-0.4, height - 0.38, 0.4, height - 0.1), AMBER, glow=True)
    canvas.paint(plane, rectangle(-0.85, 0.7, 0.85, 1.45), color * 0.5)
    for y in (0.85, 1.02, 1.19):
      canvas.paint(plane, rectangle(-0.75, y, 0.75, y + 0.06), color * 0.3)
    for sign in (-1, 1):
      canvas.paint(plane, rectangle(sign * 1.22, 0.75, sign * 1.0, 1.5), TAIL_LIGHT, glow=True)


def _draw_bus_side(canvas, plane: Plane, length, height, color, band) -> None:
  """Windows from end to end, pillars between them, doors, and a band of a second colour."""
  rear, front = -length / 2, length / 2
  canvas.paint(plane, rectangle(rear, 0.32, front, 0.62), band)
  canvas.paint(plane, rectangle(rear + 0.25, 1.3, front - 0.1, height - 0.5), GLASS)
  for along in np.arange(rear + 0.25, front, 1.45):
    canvas.paint(plane, rectangle(along + 0.1, 1.85, along + 0.75, height - 0.58), GLASS + 36)
    canvas.paint(plane, rectangle(along - 0.06, 1.3, along + 0.06, height - 0.5), color * 0.7)
  for door in (front - 1.5, -0.6):
    canvas.paint(plane, rectangle(door, 0.42, door + 1.2, height - 0.45), (30, 34, 38))
    canvas.paint(plane, stroke((door + 0.6, 0.42), (door + 0.6, height - 0.45), 0.07), color * 0.7)
