"""People: standing, walking, and riding two-wheelers."""

from collections.abc import Callable

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import Color, pick
from flax_unet.street_scenes.geometry import Place, Plane, ellipse, stroke, upright
from flax_unet.street_scenes.solids import draw_shadow

_SKINS = np.array([(232, 190, 160), (214, 164, 130), (176, 124, 92), (122, 82, 58)], float)
_HAIRS = np.array([
  (40, 30, 24), (70, 48, 30), (120, 86, 50), (180, 150, 100), (150, 150, 150),
], float)  # fmt: skip
_CLOTHES = np.array([
  (46, 74, 170), (96, 130, 200), (186, 36, 44), (222, 96, 60), (236, 232, 224), (150, 60, 140),
  (230, 180, 70), (40, 140, 140), (210, 90, 130), (48, 50, 60),
], float)  # fmt: skip
_TROUSERS = np.array([
  (30, 32, 38), (40, 50, 80), (56, 76, 124), (62, 54, 48),
], float)  # fmt: skip
# High-visibility clothing of cyclists and motorcyclists.
_VESTS = np.array([(206, 230, 60), (246, 134, 40), (236, 226, 80)], float)
_SHOES = (30, 28, 28)
_VISOR = (26, 28, 32)

# Shoulders and chest of a standing person 1 m tall; the hem comes below them.
_CHEST = [(0.095, 0.6), (0.14, 0.79), (0.06, 0.835), (-0.06, 0.835), (-0.14, 0.79), (-0.095, 0.6)]
# The back of a seated person, in metres above the seat.
_BACK = np.array([
  (-0.16, -0.08), (0.16, -0.08), (0.17, 0.3), (0.24, 0.5), (0.1, 0.58), (-0.1, 0.58),
  (-0.24, 0.5), (-0.17, 0.3),
])  # fmt: skip

Point = tuple[float, float]
Brush = Callable[[np.ndarray, Color], None]  # outline, colour


def _sample_colors(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
  """Colours of skin, hair, top and trousers."""
  return tuple(pick(colors, rng) for colors in (_SKINS, _HAIRS, _CLOTHES, _TROUSERS))


def draw_person(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a person on foot, about 1.5 to 1.9 m tall."""
  tall = rng.uniform(1.52, 1.9)
  skin, hair, top, legs = _sample_colors(rng)
  stride, swing, facing = rng.uniform(0.02, 0.13), rng.uniform(0.0, 0.1), rng.choice([-1, 1])
  wears_coat, wears_skirt, has_bag = rng.random(3) < (0.35, 0.2, 0.35)
  bag = pick(_CLOTHES, rng)
  hem = 0.36 if wears_coat else 0.48
  plane = upright(place.x, place.z)
  draw_shadow(canvas, place, 0.35, 0.5, tall)

  def paint(outline, color):
    canvas.paint(plane, outline * tall, color, "person")

  if has_bag:
    paint(ellipse(-0.13 * facing, 0.67, 0.075, 0.12, 10), bag)
  _paint_arm(paint, 1, swing, facing, top * 0.85, skin)
  for hip, foot, shade in ((0.03, stride, 0.8), (-0.03, -stride, 1.0)):
    leg = [(hip - 0.06, 0.52), (hip + 0.06, 0.52), (foot + 0.04, 0.01), (foot - 0.04, 0.01)]
    paint(np.array(leg), legs * shade)
    paint(ellipse(foot + 0.02 * facing, 0.018, 0.055, 0.022, 8), _SHOES)
  if wears_skirt:
    paint(np.array([(-0.08, 0.52), (0.08, 0.52), (0.13, 0.28), (-0.13, 0.28)]), legs * 1.1)
  paint(np.array([(-0.1, hem), (0.1, hem), *_CHEST]), top)
  shaded = [(-0.1, hem), (-0.03, hem), (-0.05, 0.82), *_CHEST[-2:]]
  paint(np.array(shaded), top * 0.82)
  _paint_arm(paint, -1, swing, facing, top * 0.75, skin)
  paint(stroke((0, 0.82), (0, 0.89), 0.05), skin * 0.85)
  paint(ellipse(0, 0.92, 0.052, 0.068, 14), skin)
  paint(ellipse(-0.014 * facing, 0.944, 0.054, 0.052, 14), hair)


def _paint_arm(
  paint: Brush, sign: int, swing: float, facing: int, color: np.ndarray, skin: np.ndarray
) -> None:
  """An arm on one side, made of two strokes with a hand at the end."""
  shoulder, elbow = (sign * 0.13, 0.8), (sign * (0.16 + swing), 0.6)
  hand = (sign * (0.165 + 1.5 * swing * facing), 0.45)
  paint(stroke(shoulder, elbow, 0.06), color)
  paint(stroke(elbow, hand, 0.054), color)
  paint(ellipse(*hand, 0.03, 0.03, 8), skin)


def _sample_rider_colors(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
  """The same for a rider; most wear something bright."""
  skin, hair, top, legs = _sample_colors(rng)
  vest = pick(_VESTS, rng)
  return skin, hair, vest if rng.random() < 0.85 else top, legs


def draw_rider_aside(
  canvas: Canvas,
  plane: Plane,
  hips: Point,
  hands: Point,
  foot: Point,
  helmet: bool,
  rng: np.random.Generator,
) -> None:
  """Draws a rider as seen from the side.

  Args:
    canvas: where to draw.
    plane: the two-wheeler's own plane, with u forward.
    hips: (u, v) in metres of the seat.
    hands: (u, v) of the handlebar.
    foot: (u, v) of the foot.
    helmet: whether a full helmet hides the head.
    rng: source of colours.
  """
  skin, hair, top, legs = _sample_rider_colors(rng)

  def paint(outline, color):
    canvas.paint(plane, outline, color, "rider")

  lean = 0.16 if helmet else 0.26
  shoulder = (hips[0] + lean, hips[1] + 0.51)
  knee = ((hips[0] + foot[0]) / 2 + 0.24, (hips[1] + foot[1]) / 2 + 0.12)
  elbow = ((shoulder[0] + hands[0]) / 2, (shoulder[1] + hands[1]) / 2 - 0.1)
  head = (shoulder[0] + 0.08, shoulder[1] + 0.26)
  paint(stroke(hips, knee, 0.17), legs)
  paint(stroke(knee, foot, 0.13), legs * 0.9)
  paint(ellipse(foot[0] + 0.06, foot[1], 0.13, 0.05, 8), _SHOES)
  paint(stroke((hips[0] - 0.02, hips[1] - 0.06), shoulder, 0.27), top)
  paint(ellipse(*shoulder, 0.15, 0.15, 12), top)
  paint(stroke(shoulder, elbow, 0.11), top * 0.78)
  paint(stroke(elbow, hands, 0.1), top * 0.78)
  paint(ellipse(*hands, 0.055, 0.055, 8), skin)
  if helmet:
    paint(ellipse(*head, 0.16, 0.165, 16), top * 0.9 + 20)
    paint(ellipse(head[0] + 0.08, head[1], 0.08, 0.06, 10), _VISOR)
  else:
    paint(ellipse(*head, 0.1, 0.125, 14), skin)
    paint(ellipse(head[0] - 0.03, head[1] + 0.05, 0.115, 0.09, 14), hair)


def draw_rider_from_behind(
  canvas: Canvas, plane: Plane, seat: float, helmet: bool, rng: np.random.Generator
) -> None:
  """Draws a rider as seen from behind or from the front; the seat height is in metres."""
  skin, hair, top, legs = _sample_rider_colors(rng)

  def paint(outline, color):
    canvas.paint(plane, outline, color, "rider")

  for sign in (-1, 1):
    hip, knee, foot = (0.1 * sign, seat), (0.25 * sign, seat - 0.3), (0.17 * sign, 0.25)
    paint(stroke(hip, knee, 0.17), legs)
    paint(stroke(knee, foot, 0.12), legs * 0.9)
    shoulder, elbow = (0.2 * sign, seat + 0.5), (0.36 * sign, seat + 0.22)
    paint(stroke(shoulder, elbow, 0.12), top * 0.8)
    paint(stroke(elbow, (0.3 * sign, seat + 0.1), 0.1), skin)
  paint(_BACK + np.array([0, seat]), top)
  paint(stroke((0, seat + 0.56), (0, seat + 0.64), 0.1), skin * 0.85)
  if helmet:
    paint(ellipse(0, seat + 0.74, 0.15, 0.165, 16), top * 0.9 + 20)
  else:
    paint(ellipse(0, seat + 0.74, 0.1, 0.125, 14), hair)
