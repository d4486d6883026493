"""Solid bodies: an outline seen from the side, extruded to a width, and the shadow below it."""

import cv2
import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas, Color, Texture
from flax_unet.data.street_scenes.geometry import (
  Place,
  Plane,
  Profile,
  ellipse,
  rectangle,
  visible_faces,
)


def draw_solid(
  canvas: Canvas,
  place: Place,
  profile: Profile,
  width: float,
  color: Color | Texture,
  label: str,
) -> dict[str, Plane]:
  """Paints the visible faces of an extruded profile.

  Returns:
    The planes of the faces that were painted by name ("left", "right", or that of an edge), for
    the details on them.
  """
  faces = {}
  for name, plane, outline in visible_faces(canvas.camera, place, profile, width):
    canvas.paint(plane, outline, color, label)
    faces[name] = plane
  return faces


def draw_wheels(
  canvas: Canvas, plane: Plane, axles: tuple[float, ...], radius: float, label: str
) -> None:
  """Paints wheels on the side of a vehicle."""
  for along in axles:
    canvas.paint(
      plane, ellipse(along, radius * 1.02, radius * 1.18, radius * 1.2), (16, 16, 18), label
    )
    canvas.paint(plane, ellipse(along, radius, radius, radius), (34, 34, 36), label)
    canvas.paint(
      plane, ellipse(along, radius, radius * 0.58, radius * 0.58), (158, 160, 165), label
    )
    canvas.paint(plane, ellipse(along, radius, radius * 0.2, radius * 0.2), (70, 72, 76), label)


def draw_tyres(
  canvas: Canvas, place: Place, axle: float, width: float, radius: float, label: str
) -> None:
  """Paints the pair of tyres that is seen below a vehicle's end."""
  tyre = 0.28 * radius / 0.33
  for left in (-width / 2 + 0.04, width / 2 - 0.04 - tyre):
    canvas.paint(
      place.end(axle), rectangle(left, 0, left + tyre, radius * 1.4), (22, 22, 24), label
    )


def draw_shadow(canvas: Canvas, place: Place, length: float, width: float, height: float) -> None:
  """Darkens the ground below an object, and where the sun would have reached without it."""
  sun = canvas.weather.sun
  ground = place.top(0.01)
  strength = float(canvas.weather.sunlight.mean())
  reach = height * min(1.2, np.hypot(sun[0], sun[2]) / max(sun[1], 0.3))
  away = -np.array([sun[0], sun[2]]) / max(np.hypot(sun[0], sun[2]), 1e-6) * reach
  # From world axes to the place's right and forward.
  shift = np.array(
    [
      away[0] * place.right[0] + away[1] * place.right[2],
      away[0] * place.forward[0] + away[1] * place.forward[2],
    ]
  )
  foot = rectangle(-width / 2, -length / 2, width / 2, length / 2)
  if strength > 0.1:
    canvas.tint(ground, _hull(np.concatenate([foot, foot + shift])), 1 - 0.45 * strength)
  for grow, factor in ((0.25, 0.86), (0.08, 0.72)):
    around = rectangle(-width / 2 - grow, -length / 2 - grow, width / 2 + grow, length / 2 + grow)
    canvas.tint(ground, around, factor)


def _hull(points: np.ndarray) -> np.ndarray:
  """Convex hull `[corners, 2]` of points `[n, 2]`."""
  return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
