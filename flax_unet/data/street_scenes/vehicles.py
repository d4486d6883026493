"""Cars: saloons, hatchbacks, estates, tall cars and vans, seen from any side."""

import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.colors import GLASS, HEADLIGHT, TAIL_LIGHT, pick
from flax_unet.data.street_scenes.geometry import Place, Plane, ellipse, rectangle, stroke
from flax_unet.data.street_scenes.solids import draw_shadow, draw_solid, draw_tyres, draw_wheels

_SHEEN = np.array([120.0, 136.0, 150.0])

_PAINTS = np.array([
  (232, 232, 230), (226, 228, 230), (178, 182, 186), (160, 164, 170), (108, 112, 118),
  (62, 66, 72), (30, 32, 36), (24, 24, 28), (36, 54, 96), (52, 86, 140), (132, 26, 30),
  (164, 36, 34), (98, 30, 40), (214, 190, 96), (64, 92, 74), (120, 96, 72), (196, 104, 40),
], float)  # fmt: skip

# length, width, height in metres, and where along the length (0 rear, 1 front) the body's corners
# lie: foot and top of the rear window, top and foot of the windscreen; height of belt and bonnet.
_SHAPES = {
  "saloon": (4.6, 1.8, 1.44, (0.14, 0.27, 0.54, 0.72), 0.64, 0.52),
  "hatchback": (4.0, 1.75, 1.5, (0.01, 0.12, 0.54, 0.74), 0.61, 0.5),
  "estate": (4.6, 1.8, 1.48, (0.01, 0.07, 0.55, 0.73), 0.62, 0.5),
  "tall": (4.5, 1.88, 1.74, (0.01, 0.08, 0.57, 0.74), 0.6, 0.52),
  "van": (5.2, 1.98, 2.05, (0.0, 0.02, 0.74, 0.88), 0.56, 0.46),
}


def draw_car(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a car of a random kind and colour."""
  kind = rng.choice(list(_SHAPES), p=[0.26, 0.3, 0.16, 0.16, 0.12])
  length, width, height, corners, belt, bonnet = _SHAPES[str(kind)]
  length, width, height = np.array([length, width, height]) * rng.uniform(0.95, 1.05, 3)
  color = pick(_PAINTS, rng)
  along = (np.array(corners) - 0.5) * length
  body = {
    "under": (-length / 2, 0.17 * height),
    "front": (length / 2, 0.17 * height),
    "nose": (length / 2, bonnet * height * 0.9),
    "bonnet": (length * 0.47, bonnet * height),
    "belt": (along[3], belt * height),
    "boot": (along[0], belt * height),
    "rear": (-length / 2, belt * height * 0.97),
  }
  cabin = {
    "under": (along[0], belt * height),
    "windscreen": (along[3], belt * height),
    "roof": (along[2], height),
    "rear window": (along[1], height),
  }
  axles = (-0.31 * length, 0.31 * length)
  draw_shadow(canvas, place, length, width, height)
  draw_tyres(canvas, place, axles[0], width, 0.32, "car")
  draw_tyres(canvas, place, axles[1], width, 0.32, "car")
  faces = draw_solid(canvas, place, body, width, color, "car")
  for side in faces.keys() & {"left", "right"}:
    _draw_flank(canvas, faces[side], length, height, belt, color)
    draw_wheels(canvas, faces[side], axles, 0.33, "car")
  if "front" in faces:
    _draw_front(canvas, place.end(length / 2), width, height * bonnet, color)
  _draw_cabin(canvas, place, cabin, width, color, panel_van=kind == "van" and rng.random() < 0.5)
  if "rear" in faces:
    _draw_rear(canvas, place.end(-length / 2), width, height * belt, color)


def _draw_flank(canvas, plane, length, height, belt, color) -> None:
  """Doors, sill and handles."""
  canvas.paint(
    plane, rectangle(-length * 0.46, 0.17 * height, length * 0.46, 0.23 * height), color * 0.35
  )
  canvas.paint(
    plane, rectangle(-length * 0.48, 0.43 * height, length * 0.48, 0.46 * height), color * 0.84
  )
  for along in (-0.2, 0.02, 0.22):
    canvas.paint(
      plane,
      stroke((along * length, 0.24 * height), (along * length, belt * height), 0.035),
      color * 0.5,
    )


def _draw_cabin(canvas, place, cabin, width, color, panel_van) -> None:
  """The part with the windows, somewhat narrower than the body."""
  faces = draw_solid(canvas, place, cabin, 0.88 * width, color, "car")
  (rear, low), (front, _) = cabin["under"], cabin["windscreen"]
  (front_top, high), (rear_top, _) = cabin["roof"], cabin["rear window"]
  for side in faces.keys() & {"left", "right"}:
    inset = 0.14 * (high - low)
    pane = np.array(
      [
        (rear + 0.18, low + 0.03),
        (front - 0.16, low + 0.03),
        (front_top - 0.02, high - inset),
        (rear_top + 0.12, high - inset),
      ]
    )
    if panel_van:
      pane[[0, 3], 0] = front_top - 0.9
    _draw_glass(canvas, faces[side], pane)
    for along in (0.36, 0.66):
      x = rear + along * (front - rear)
      canvas.paint(faces[side], stroke((x, low), (x, high - inset), 0.09), color * 0.6)
  for name in faces.keys() & {"windscreen", "rear window"}:
    slope = np.hypot(high - low, front - front_top if name == "windscreen" else rear_top - rear)
    pane = rectangle(-0.38 * width, 0.08 * slope, 0.38 * width, 0.86 * slope)
    _draw_glass(canvas, faces[name], pane)


def _draw_glass(canvas: Canvas, plane: Plane, pane: np.ndarray) -> None:
  """A dark pane with a slanting reflection of the sky."""
  canvas.paint(plane, pane, GLASS)
  corner = pane.mean(axis=0)
  gleam = np.array([pane[3], 0.6 * pane[3] + 0.4 * pane[2], corner, 0.5 * (pane[0] + pane[3])])
  canvas.paint(plane, gleam, 0.5 * GLASS + 0.5 * _SHEEN)


def _draw_front(canvas, plane, width, height, color) -> None:
  """Headlights, grille, bumper and number plate."""
  w = width / 2
  canvas.paint(plane, rectangle(-0.5 * w, 0.56 * height, 0.5 * w, 0.76 * height), (28, 28, 30))
  canvas.paint(plane, rectangle(-0.8 * w, 0.34 * height, 0.8 * w, 0.46 * height), color * 0.4)
  for sign in (-1, 1):
    lamp = ellipse(sign * 0.74 * w, 0.68 * height, 0.2 * w, 0.11 * height, 10)
    canvas.paint(plane, lamp, HEADLIGHT, glow=True)
  canvas.paint(plane, rectangle(-0.27, 0.46 * height, 0.27, 0.57 * height), (232, 232, 226))


def _draw_rear(canvas, plane, width, height, color) -> None:
  """Tail lights, number plate, bumper."""
  w = width / 2
  canvas.paint(plane, rectangle(-0.92 * w, 0.27 * height, 0.92 * w, 0.42 * height), color * 0.55)
  for sign in (-1, 1):
    lamp = rectangle(sign * 0.95 * w, 0.62 * height, sign * 0.66 * w, 0.86 * height)
    canvas.paint(plane, lamp, TAIL_LIGHT, glow=True)
    canvas.paint(
      plane,
      rectangle(sign * 0.9 * w, 0.7 * height, sign * 0.76 * w, 0.76 * height),
      (236, 150, 120),
    )
  canvas.paint(plane, rectangle(-0.27, 0.52 * height, 0.27, 0.64 * height), (232, 232, 226))
