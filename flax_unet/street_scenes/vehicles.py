"""Cars: saloons, hatchbacks, estates, tall cars and vans, seen from any side."""

import dataclasses
import math

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import GLASS, HEADLIGHT, TAIL_LIGHT, pick
from flax_unet.street_scenes.geometry import Place, Plane, Profile, ellipse, rectangle, stroke
from flax_unet.street_scenes.solids import draw_shadow, draw_solid, draw_tyres, draw_wheels

_SHEEN = np.array([104.0, 120.0, 134.0])
_PLATE = (232, 232, 226)
_PAINTS = np.array([
  (232, 232, 230), (226, 228, 230), (178, 182, 186), (160, 164, 170), (108, 112, 118),
  (62, 66, 72), (30, 32, 36), (24, 24, 28), (36, 54, 96), (52, 76, 120), (132, 26, 30),
  (98, 30, 40), (214, 204, 170), (72, 88, 80), (112, 98, 84),
], float)  # fmt: skip
_DETAILED = 35.0  # metres; farther away, lines and reflections are too fine to see


@dataclasses.dataclass(frozen=True)
class _Shape:
  """Proportions of a kind of car.

  Attributes:
    length, width, height: metres.
    rear_window: positions of its foot and top, from 0 (rear) to 1 (front) of the length.
    windscreen: the same for its top and foot.
    belt, bonnet: heights of the windows' lower edge and of the bonnet, as shares of the height.
  """

  length: float
  width: float
  height: float
  rear_window: tuple[float, float]
  windscreen: tuple[float, float]
  belt: float
  bonnet: float


_SHAPES = (
  _Shape(4.6, 1.80, 1.44, (0.14, 0.27), (0.54, 0.72), 0.64, 0.52),  # saloon
  _Shape(4.0, 1.75, 1.50, (0.01, 0.12), (0.54, 0.74), 0.61, 0.50),  # hatchback
  _Shape(4.6, 1.80, 1.48, (0.01, 0.07), (0.55, 0.73), 0.62, 0.50),  # estate
  _Shape(4.5, 1.88, 1.74, (0.01, 0.08), (0.57, 0.74), 0.60, 0.52),  # tall
  _Shape(5.2, 1.98, 2.05, (0.00, 0.02), (0.74, 0.88), 0.56, 0.46),  # van
)


def draw_car(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a car of a random kind and colour."""
  shape = _SHAPES[rng.choice(len(_SHAPES), p=[0.26, 0.3, 0.16, 0.16, 0.12])]
  scale, color = rng.uniform(0.95, 1.05, 3), pick(_PAINTS, rng)
  length, width, height = scale * (shape.length, shape.width, shape.height)
  body, cabin = _profiles(shape, length, height)
  axles = (-0.31 * length, 0.31 * length)
  draw_shadow(canvas, place, length, width, height)
  for axle in axles:
    draw_tyres(canvas, place, axle, width, 0.32, "car")
  faces = draw_solid(canvas, place, body, width, color, "car")
  for name, plane in faces.items():
    if name in ("left", "right"):
      if place.z < _DETAILED:
        _draw_flank(canvas, plane, length, height, shape.belt * height, color)
      draw_wheels(canvas, plane, axles, 0.33, "car")
    elif name == "front":
      _draw_front(canvas, place.end(length / 2), width / 2, shape.bonnet * height, color)
  _draw_cabin(canvas, place, cabin, width, color)
  if "rear" in faces:
    _draw_rear(canvas, place.end(-length / 2), width / 2, shape.belt * height, color)


def _profiles(shape: _Shape, length: float, height: float) -> tuple[Profile, Profile]:
  """The side views of the body below the windows, and of the cabin with the windows."""
  foot_rear, top_rear = ((share - 0.5) * length for share in shape.rear_window)
  top_front, foot_front = ((share - 0.5) * length for share in shape.windscreen)
  base, belt, bonnet = 0.17 * height, shape.belt * height, shape.bonnet * height
  body = {
    "under": (-length / 2, base),
    "front": (length / 2, base),
    "nose": (length / 2, 0.9 * bonnet),
    "bonnet": (0.47 * length, bonnet),
    "belt": (foot_front, belt),
    "boot": (foot_rear, belt),
    "rear": (-length / 2, 0.97 * belt),
  }
  cabin = {
    "under": (foot_rear, belt),
    "windscreen": (foot_front, belt),
    "roof": (top_front, height),
    "rear window": (top_rear, height),
  }
  return body, cabin


def _draw_flank(canvas, plane: Plane, length, height, belt, color) -> None:
  """Sill, moulding, and door gaps."""
  sill = rectangle(-0.46 * length, 0.17 * height, 0.46 * length, 0.23 * height)
  canvas.paint(plane, sill, color * 0.35)
  moulding = rectangle(-0.48 * length, 0.43 * height, 0.48 * length, 0.46 * height)
  canvas.paint(plane, moulding, color * 0.84)
  for along in (-0.2 * length, 0.02 * length, 0.22 * length):
    canvas.paint(plane, stroke((along, 0.24 * height), (along, belt), 0.035), color * 0.5)


def _draw_cabin(canvas, place: Place, cabin: Profile, width, color) -> None:
  """The part with the windows, somewhat narrower than the body."""
  (rear, low), (front, _) = cabin["under"], cabin["windscreen"]
  (front_top, high), (rear_top, _) = cabin["roof"], cabin["rear window"]
  detailed = place.z < _DETAILED
  if detailed:
    for sign in (-1, 1):
      mirror = ellipse(sign * 0.53 * width, low + 0.07, 0.1, 0.07, 8)
      canvas.paint(place.end(front - 0.25), mirror, color * 0.7, "car")
  for name, plane in draw_solid(canvas, place, cabin, 0.88 * width, color, "car").items():
    if name in ("left", "right"):
      top = high - 0.14 * (high - low)
      corners = [(rear + 0.18, low), (front - 0.16, low), (front_top, top), (rear_top + 0.12, top)]
      _draw_glass(canvas, plane, np.array(corners), detailed)
      for share in (0.36, 0.66):
        along = rear + share * (front - rear)
        canvas.paint(plane, stroke((along, low), (along, top), 0.09), color * 0.6)
    elif name != "roof":
      run = front - front_top if name == "windscreen" else rear_top - rear
      slope = math.hypot(high - low, run)
      pane = rectangle(-0.38 * width, 0.08 * slope, 0.38 * width, 0.86 * slope)
      _draw_glass(canvas, plane, pane, detailed)


def _draw_glass(canvas, plane: Plane, pane: np.ndarray, detailed) -> None:
  """A dark pane with a slanting reflection of the sky; corners counter-clockwise from below."""
  canvas.paint(plane, pane, GLASS)
  if detailed:
    left, right = 0.8 * pane[3] + 0.2 * pane[2], 0.45 * pane[3] + 0.55 * pane[2]
    foot_right, foot_left = 0.75 * pane[0] + 0.25 * pane[1], 0.95 * pane[0] + 0.05 * pane[1]
    canvas.paint(plane, np.array([left, right, foot_right, foot_left]), 0.5 * GLASS + 0.5 * _SHEEN)


def _draw_front(canvas, plane: Plane, half, height, color) -> None:
  """Headlights, grille, bumper and number plate; `half` is half the width."""
  grille = rectangle(-0.5 * half, 0.56 * height, 0.5 * half, 0.76 * height)
  canvas.paint(plane, grille, (28, 28, 30))
  intake = rectangle(-0.8 * half, 0.34 * height, 0.8 * half, 0.46 * height)
  canvas.paint(plane, intake, color * 0.4)
  for sign in (-1, 1):
    lamp = ellipse(sign * 0.74 * half, 0.68 * height, 0.2 * half, 0.11 * height, 10)
    canvas.paint(plane, lamp, HEADLIGHT, glow=True)
  canvas.paint(plane, rectangle(-0.27, 0.46 * height, 0.27, 0.57 * height), _PLATE)


def _draw_rear(canvas, plane: Plane, half, height, color) -> None:
  """Tail lights, number plate and bumper; `half` is half the width."""
  bumper = rectangle(-0.96 * half, 0.27 * height, 0.96 * half, 0.45 * height)
  canvas.paint(plane, bumper, color * 0.6)
  canvas.paint(plane, rectangle(-0.8 * half, 0.27 * height, 0.8 * half, 0.33 * height), color * 0.3)
  for sign in (-1, 1):
    inner, outer = sign * 0.66 * half, sign * 0.96 * half
    low, high = min(inner, outer), max(inner, outer)
    canvas.paint(plane, rectangle(low, 0.62 * height, high, 0.86 * height), TAIL_LIGHT, glow=True)
    canvas.paint(plane, rectangle(low, 0.7 * height, high, 0.75 * height), (236, 150, 120))
  canvas.paint(plane, rectangle(-0.27, 0.52 * height, 0.27, 0.64 * height), _PLATE)
