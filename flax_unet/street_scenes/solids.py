"""Solid bodies: an outline seen from the side, extruded to a width, and the shadow below it."""

import math

import cv2
import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import Color
from flax_unet.street_scenes.geometry import (
  Place,
  Plane,
  Profile,
  ellipse,
  level,
  rectangle,
  visible_faces,
)
from flax_unet.street_scenes.textures import Texture


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
    The planes of the painted faces by name ("left", "right", or the name of an edge), for details
    on them.
  """
  faces = {}
  for name, plane, outline in visible_faces(canvas.camera, place, profile, width):
    canvas.paint(plane, outline, color, label)
    faces[name] = plane
  return faces


def draw_wheels(
  canvas: Canvas, plane: Plane, axles: tuple[float, ...], radius: float, label: str
) -> None:
  """Paints wheels, each in its dark arch, on the side of a vehicle."""
  for along in axles:
    for share, color in ((1.2, (16, 16, 18)), (1.0, (36, 36, 38)), (0.6, (158, 160, 165))):
      outline = ellipse(along, radius, radius * share, radius * share)
      canvas.paint(plane, outline, color, label if share == 1 else None)
    canvas.paint(plane, ellipse(along, radius, radius * 0.2, radius * 0.2, 8), (70, 72, 76))


def draw_tyres(
  canvas: Canvas, place: Place, axle: float, width: float, radius: float, label: str
) -> None:
  """Paints the pair of tyres that show below a vehicle's front or rear."""
  plane, tyre = place.end(axle), 0.85 * radius
  for left in (0.04 - width / 2, width / 2 - 0.04 - tyre):
    canvas.paint(plane, rectangle(left, 0, left + tyre, radius * 1.4), (22, 22, 24), label)


def draw_shadow(canvas: Canvas, place: Place, length: float, width: float, height: float) -> None:
  """Darkens the ground below an object, and where it casts a shadow."""
  x, y, z = canvas.weather.sun
  strength = float(canvas.weather.sunlight.mean())
  if strength > 0.1:
    corners = [(-width, -length), (width, -length), (width, length), (-width, length)]
    foot = np.array([place.point(aside / 2, ahead / 2, 0)[::2] for aside, ahead in corners])
    # Cast shadows are kept short, or a low sun would fill the street with them.
    cast = foot - np.array([x, z]) * min(height / y, 1.2 * height / math.hypot(x, z))
    hull = cv2.convexHull(np.concatenate([foot, cast]).astype(np.float32))[:, 0]
    canvas.tint(level(), hull, 1 - 0.45 * strength)
  below = rectangle(-width / 2 - 0.1, -length / 2 - 0.1, width / 2 + 0.1, length / 2 + 0.1)
  canvas.tint(place.top(0.0), below, 0.64)
