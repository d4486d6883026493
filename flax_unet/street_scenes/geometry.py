"""Geometry: a pinhole camera, planes in the world, places on the ground, outlines.

World coordinates are in metres: x to the right, y up, z away from the camera; the origin is on the
ground below the camera, which looks along z. Everything drawn lies on a `Plane` and has an outline
in the coordinates (u, v) of that plane.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping

import numpy as np

Vector = tuple[float, float, float]

RIGHT: Vector = (1.0, 0.0, 0.0)
UP: Vector = (0.0, 1.0, 0.0)
AWAY: Vector = (0.0, 0.0, 1.0)

# A side view to extrude: (along, height) in metres by the name of the edge that starts there,
# counter-clockwise with the front to the right.
Profile = Mapping[str, tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Camera:
  """A pinhole camera that looks along the street.

  Attributes:
    height, width: of the canvas, pixels.
    eye: height of the camera above the ground, metres.
    focal: focal length in canvas widths.
    vanishing: the vanishing point of the street, as fractions of the canvas' width and height. Off
      the centre it mimics a camera that is rotated by a few degrees.
  """

  height: int
  width: int
  eye: float = 1.4
  focal: float = 1.05
  vanishing: tuple[float, float] = (0.5, 0.43)

  def project(self, point: Vector, weight: float = 1.0) -> Vector:
    """Projects a point (weight 1) or a direction (weight 0) to homogeneous pixels.

    Returns:
      (column * depth, row * depth, depth).
    """
    x, y, z = point
    focal = self.focal * self.width
    return (
      focal * x + self.vanishing[0] * self.width * z,
      focal * (weight * self.eye - y) + self.vanishing[1] * self.height * z,
      z,
    )


@dataclasses.dataclass(frozen=True)
class Plane:
  """A plane in the world: `origin + u * across + v * up`, with unit axes."""

  origin: Vector
  across: Vector
  up: Vector

  @functools.cached_property
  def normal(self) -> Vector:
    """The unit normal of the plane."""
    (a, b, c), (d, e, f) = self.across, self.up
    return b * f - c * e, c * d - a * f, a * e - b * d

  def homography(self, camera: Camera) -> np.ndarray:
    """Float `[3, 3]`: homogeneous (u, v) to homogeneous pixels, the last one depth."""
    axes = camera.project(self.across, 0), camera.project(self.up, 0), camera.project(self.origin)
    return np.array(axes).T

  def faces(self, camera: Camera) -> bool:
    """Whether the camera sees the side that the normal points to."""
    (x, y, z), (a, b, c) = self.origin, self.normal
    return b * camera.eye > a * x + b * y + c * z


def nearest_in_view(x: float) -> float:
  """The depth from which a camera looking straight along the street sees a point at `x`."""
  return abs(x) * 2 * Camera.focal


def upright(x: float, z: float, y: float = 0.0) -> Plane:
  """The vertical plane through a point, parallel to the image plane."""
  return Plane((x, y, z), RIGHT, UP)


def along_street(x: float) -> Plane:
  """The vertical plane along the street at `x`: u is the distance from the camera, v the height."""
  return Plane((x, 0.0, 0.0), AWAY, UP)


def level(y: float = 0.0) -> Plane:
  """The horizontal plane at a height: u is x, v is z."""
  return Plane((0.0, y, 0.0), RIGHT, AWAY)


@dataclasses.dataclass(frozen=True)
class Place:
  """Where an object stands, and its heading: yaw 0 is away from the camera, pi / 2 right."""

  x: float
  z: float
  yaw: float = 0.0

  @functools.cached_property
  def forward(self) -> Vector:
    """The unit vector along the ground in which it is seen."""
    return math.sin(self.yaw), 0.0, math.cos(self.yaw)

  @functools.cached_property
  def right(self) -> Vector:
    """The unit vector to the right of `forward`."""
    return math.cos(self.yaw), 0.0, -math.sin(self.yaw)

  def point(self, aside: float, ahead: float, height: float) -> Vector:
    """The point this far to the object's right, in front of its centre, and above the ground."""
    (a, _, b), (c, _, d) = self.right, self.forward
    return self.x + aside * a + ahead * c, height, self.z + aside * b + ahead * d

  def side(self, aside: float = 0.0) -> Plane:
    """The vertical plane along the object, `aside` metres to its right: u forward, v up."""
    return Plane(self.point(aside, 0, 0), self.forward, UP)

  def end(self, ahead: float = 0.0) -> Plane:
    """The vertical plane across the object, `ahead` metres before its centre: u right, v up."""
    return Plane(self.point(0, ahead, 0), self.right, UP)

  def top(self, height: float) -> Plane:
    """The horizontal plane through the object at a height: u right, v forward."""
    return Plane((self.x, height, self.z), self.right, self.forward)

  def slope(self, start: tuple[float, float], stop: tuple[float, float]) -> Plane:
    """The plane across the object through two points (ahead, height): u right, v to the second."""
    length = math.dist(start, stop)
    ahead, rise = (stop[0] - start[0]) / length, (stop[1] - start[1]) / length
    up = (ahead * self.forward[0], rise, ahead * self.forward[2])
    return Plane(self.point(0, *start), self.right, up)


def box(length: float, height: float, base: float = 0.0, middle: float = 0.0) -> Profile:
  """The profile of a box around `middle` (along the object), from `base` up to `height`."""
  rear, front = middle - length / 2, middle + length / 2
  return {
    "under": (rear, base),
    "front": (front, base),
    "top": (front, height),
    "rear": (rear, height),
  }


def visible_faces(
  camera: Camera, place: Place, profile: Profile, width: float
) -> Iterator[tuple[str, Plane, np.ndarray]]:
  """Yields name, plane and outline of the faces of an extruded profile that the camera sees.

  The faces are the profile's edges, by name, and then the sides, "left" or "right". An edge's
  plane starts at its first point, with u to the object's right and v along the edge.
  """
  points = list(profile.values())
  for name, start, stop in zip(profile, points, points[1:] + points[:1], strict=True):
    plane = place.slope(start, stop)
    if plane.faces(camera) and name != "under":
      yield name, plane, rectangle(-width / 2, 0, width / 2, math.dist(start, stop))
  for name, aside in (("left", -width / 2), ("right", width / 2)):
    plane = place.side(aside)
    (x, _, z), (a, _, b) = plane.origin, place.right
    if (a * x + b * z) * aside < 0:
      yield name, plane, np.array(points)


def rectangle(left: float, bottom: float, right: float, top: float) -> np.ndarray:
  """Outline `[4, 2]` of an upright rectangle."""
  return np.array([(left, bottom), (right, bottom), (right, top), (left, top)])


def ellipse(u: float, v: float, radius_u: float, radius_v: float, corners: int = 18) -> np.ndarray:
  """Outline `[corners, 2]` of an ellipse."""
  angles = np.arange(corners) * (2 * np.pi / corners)
  return np.array([u + radius_u * np.cos(angles), v + radius_v * np.sin(angles)]).T


def stroke(start: tuple[float, float], stop: tuple[float, float], width: float) -> np.ndarray:
  """Outline `[4, 2]` of a straight line between two points."""
  (u0, v0), (u1, v1) = start, stop
  length = max(math.hypot(u1 - u0, v1 - v0), 1e-6)
  du, dv = (v0 - v1) / length * width / 2, (u1 - u0) / length * width / 2
  return np.array([(u0 + du, v0 + dv), (u1 + du, v1 + dv), (u1 - du, v1 - dv), (u0 - du, v0 - dv)])


_ANGLES = np.arange(40) * (2 * np.pi / 40)
_WAVES = np.arange(2, 12)
_WAVE_ANGLES = _ANGLES[:, None] * _WAVES


def blob(
  rng: np.random.Generator, u: float, v: float, radius_u: float, radius_v: float, rough: float
) -> np.ndarray:
  """Outline `[40, 2]` of an ellipse whose radius varies by a share of about `rough`."""
  phases = rng.uniform(0, 2 * np.pi, len(_WAVES))
  radius = 1 + rough * (np.sin(_WAVE_ANGLES + phases) / np.sqrt(_WAVES)).sum(axis=1)
  outline_u = u + radius_u * radius * np.cos(_ANGLES)
  outline_v = v + radius_v * radius * np.sin(_ANGLES)
  return np.array([outline_u, outline_v]).T
