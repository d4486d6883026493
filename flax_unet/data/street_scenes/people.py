"""People: standing and walking, and the figures that sit on two-wheelers."""

import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.colors import pick
from flax_unet.data.street_scenes.geometry import Place, Plane, ellipse, stroke, upright
from flax_unet.data.street_scenes.solids import draw_shadow

_SKINS = np.array([(232, 190, 160), (214, 164, 130), (176, 124, 92), (122, 82, 58)], float)
_HAIRS = np.array(
  [(40, 30, 24), (70, 48, 30), (120, 86, 50), (180, 150, 100), (150, 150, 150)], float
)
_CLOTHES = np.array([
  (34, 36, 42), (52, 56, 66), (46, 62, 100), (86, 110, 150), (150, 36, 40), (190, 70, 50),
  (226, 222, 214), (170, 160, 140), (92, 100, 70), (216, 176, 70), (110, 70, 110), (60, 120, 120),
], float)  # fmt: skip
_TROUSERS = np.array([
  (32, 34, 40), (44, 52, 76), (70, 86, 120), (110, 100, 84), (60, 52, 46), (150, 146, 140),
], float)  # fmt: skip


def draw_person(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a person on foot, about 1.5 to 1.9 m tall."""
  tall = rng.uniform(1.52, 1.9)
  skin, hair, top, legs = (pick(colors, rng) for colors in (_SKINS, _HAIRS, _CLOTHES, _TROUSERS))
  stride, swing, facing = rng.uniform(0.02, 0.13), rng.uniform(0.0, 0.1), rng.choice([-1, 1])
  coat, skirt, bag = rng.random() < 0.35, rng.random() < 0.2, rng.random() < 0.35
  bag_color = pick(_CLOTHES, rng)
  draw_shadow(canvas, place, 0.35, 0.5, tall)
  plane = upright(place.x, place.z)

  def paint(outline, color):
    canvas.paint(plane, outline * tall, color, "person")

  if bag:
    paint(ellipse(-facing * 0.13, 0.67, 0.075, 0.12, 10), bag_color)
  _draw_limb(
    paint,
    (0.13, 0.8),
    (0.16 + swing, 0.6),
    (0.17 + swing * 1.5 * facing, 0.45),
    0.06,
    top * 0.85,
    skin,
  )
  for foot, shade in ((stride, 0.8), (-stride, 1.0)):
    paint(_leg(0.03 * np.sign(foot), foot), legs * shade)
    paint(ellipse(foot + 0.02 * facing, 0.018, 0.055, 0.022, 8), (30, 28, 28))
  if skirt:
    paint(np.array([(-0.08, 0.52), (0.08, 0.52), (0.13, 0.28), (-0.13, 0.28)]), legs * 1.1)
  hem = 0.36 if coat else 0.48
  torso = [
    (-0.1, hem),
    (0.1, hem),
    (0.095, 0.6),
    (0.14, 0.79),
    (0.06, 0.835),
    (-0.06, 0.835),
    (-0.14, 0.79),
    (-0.095, 0.6),
  ]
  paint(np.array(torso), top)
  paint(
    np.array([(-0.1, hem), (-0.03, hem), (-0.05, 0.82), (-0.14, 0.79), (-0.095, 0.6)]), top * 0.82
  )
  _draw_limb(
    paint,
    (-0.13, 0.8),
    (-0.16 - swing, 0.6),
    (-0.16 - swing * 1.5 * facing, 0.45),
    0.06,
    top * 0.75,
    skin,
  )
  _draw_head(paint, 0.0, 0.92, facing, skin, hair)


def _leg(hip: float, foot: float) -> np.ndarray:
  return np.array(
    [(hip - 0.06, 0.52), (hip + 0.06, 0.52), (foot + 0.04, 0.01), (foot - 0.04, 0.01)]
  )


def _draw_limb(paint, start, joint, stop, width, color, skin) -> None:
  """An arm or a leg of two strokes, with a hand at its end."""
  paint(stroke(start, joint, width), color)
  paint(stroke(joint, stop, width * 0.9), color)
  paint(ellipse(*stop, width * 0.5, width * 0.5, 8), skin)


def _draw_head(paint, u, v, facing, skin, hair) -> None:
  """Neck, face, and hair on the side that is turned away."""
  paint(stroke((u, v - 0.1), (u, v - 0.03), 0.05), skin * 0.85)
  paint(ellipse(u, v, 0.052, 0.068, 14), skin)
  paint(ellipse(u - 0.014 * facing, v + 0.024, 0.054, 0.052, 14), hair)


def draw_figure_aside(canvas: Canvas, plane: Plane, hips, hands, feet, helmet, rng) -> None:
  """Draws a rider as seen from the side.

  Args:
    canvas: where to draw.
    plane: the two-wheeler's own plane, with u forward.
    hips, hands, feet: (u, v) in metres of the joints that the two-wheeler determines.
    helmet: whether a full helmet hides the head.
    rng: source of colours.
  """
  skin, hair, top, legs = (pick(colors, rng) for colors in (_SKINS, _HAIRS, _CLOTHES, _TROUSERS))

  def paint(outline, color):
    canvas.paint(plane, outline, color, "rider")

  hips, hands, feet = np.array(hips), np.array(hands), np.array(feet)
  shoulders = hips + np.array([0.26, 0.5]) if not helmet else hips + np.array([0.16, 0.52])
  knee = (hips + feet) / 2 + np.array([0.24, 0.12])
  elbow = (shoulders + hands) / 2 + np.array([0.0, -0.1])
  paint(stroke(tuple(hips), tuple(knee), 0.17), legs)
  paint(stroke(tuple(knee), tuple(feet), 0.13), legs * 0.9)
  paint(ellipse(feet[0] + 0.06, feet[1], 0.13, 0.05, 8), np.array([30, 28, 28]))
  paint(stroke(tuple(hips - np.array([0.02, 0.06])), tuple(shoulders), 0.27), top)
  paint(ellipse(*shoulders, 0.15, 0.15, 12), top)
  paint(stroke(tuple(shoulders), tuple(elbow), 0.11), top * 0.78)
  paint(stroke(tuple(elbow), tuple(hands), 0.1), top * 0.78)
  paint(ellipse(*hands, 0.055, 0.055, 8), skin)
  head = shoulders + np.array([0.08, 0.26])
  if helmet:
    paint(ellipse(*head, 0.16, 0.165, 16), top * 0.9 + 20)
    paint(ellipse(head[0] + 0.08, head[1], 0.08, 0.06, 10), np.array([26, 28, 32]))
  else:
    paint(ellipse(*head, 0.1, 0.125, 14), skin)
    paint(ellipse(head[0] - 0.03, head[1] + 0.05, 0.115, 0.09, 14), hair)


def draw_figure_behind(canvas: Canvas, plane: Plane, seat: float, helmet: bool, rng) -> None:
  """Draws a rider as seen from behind or from the front, sitting at a height above the ground."""
  skin, hair, top, legs = (pick(colors, rng) for colors in (_SKINS, _HAIRS, _CLOTHES, _TROUSERS))

  def paint(outline, color):
    canvas.paint(plane, outline, color, "rider")

  for sign in (-1, 1):
    paint(stroke((sign * 0.1, seat), (sign * 0.25, seat - 0.3), 0.17), legs)
    paint(stroke((sign * 0.25, seat - 0.3), (sign * 0.17, 0.25), 0.12), legs * 0.9)
    paint(stroke((sign * 0.2, seat + 0.5), (sign * 0.36, seat + 0.22), 0.12), top * 0.8)
    paint(stroke((sign * 0.36, seat + 0.22), (sign * 0.3, seat + 0.1), 0.1), skin)
  torso = [
    (-0.16, -0.08),
    (0.16, -0.08),
    (0.17, 0.3),
    (0.24, 0.5),
    (0.1, 0.58),
    (-0.1, 0.58),
    (-0.24, 0.5),
    (-0.17, 0.3),
  ]
  paint(np.array(torso) + np.array([0, seat]), top)
  paint(stroke((0, seat + 0.56), (0, seat + 0.64), 0.1), skin * 0.85)
  if helmet:
    paint(ellipse(0, seat + 0.74, 0.15, 0.165, 16), top * 0.9 + 20)
  else:
    paint(ellipse(0, seat + 0.74, 0.1, 0.125, 14), hair)
