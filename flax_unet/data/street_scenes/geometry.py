"""Where things are: a pinhole camera, planes in the world, places on the ground, outlines.

World coordinates are metres: x to the right, y up, z away from the camera; the origin lies on the
ground below the camera, which looks along z. Everything drawn lies on some `Plane`, and has an
outline in that plane's own coordinates (u, v).
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping

import numpy as np

UP = np.array([0.0, 1.0, 0.0])

# A side view to be extruded: (along, height) in metres by the name of the edge that starts there,
# counter-clockwise when the front is to the right.
Profile = Mapping[str, tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Camera:
  """A pinhole camera that looks along the street.

  Attributes:
    height, width: of the canvas, pixels.
    eye: height of the camera above the ground, metres.
    focal: focal length in canvas widths.
    vanishing: where the street vanishes, as fractions of the canvas' width and height. Off the
      centre it stands for a camera that is turned by a few degrees.
  """

  height: int
  width: int
  eye: float = 1.4
  focal: float = 1.05
  vanishing: tuple[float, float] = (0.5, 0.43)

  @functools.cached_property
  def matrix(self) -> np.ndarray:
    """Float `[3, 4]`: homogeneous world coordinates to homogeneous pixels, the last one depth."""
    pixels = self.focal * self.width
    x, y = self.vanishing[0] * self.width, self.vanishing[1] * self.height
    return np.array([[pixels, 0, x, 0], [0, -pixels, y, pixels * self.eye], [0, 0, 1, 0]])


@dataclasses.dataclass(frozen=True)
class Plane:
  """A plane in the world: `origin + u * across + v * up`, each `[3]`, the axes of length 1."""

  origin: np.ndarray
  across: np.ndarray
  up: np.ndarray

  @functools.cached_property
  def normal(self) -> np.ndarray:
    (a, b, c), (d, e, f) = self.across, self.up
    return np.array([b * f - c * e, c * d - a * f, a * e - b * d])

  def homography(self, camera: Camera) -> np.ndarray:
    """Float `[3, 3]`: homogeneous (u, v) to homogeneous pixels, the last one depth."""
    matrix = camera.matrix
    columns = np.stack([self.across, self.up, self.origin], axis=1)
    homography = matrix[:, :3] @ columns
    homography[:, 2] += matrix[:, 3]
    return homography

  def faces(self, camera: Camera) -> bool:
    """Whether the side that the normal points to is seen."""
    to_camera = np.array([0.0, camera.eye, 0.0]) - self.origin
    return float(self.normal @ to_camera) > 0


def upright(x: float, z: float, y: float = 0.0) -> Plane:
  """The vertical plane through a point that is parallel to the picture."""
  return Plane(np.array([x, y, z]), np.array([1.0, 0.0, 0.0]), UP)


def along_street(x: float, y: float = 0.0) -> Plane:
  """The vertical plane along the street at `x`: u is the distance from the camera, v the height."""
  return Plane(np.array([x, y, 0.0]), np.array([0.0, 0.0, 1.0]), UP)


def level(y: float = 0.0) -> Plane:
  """The horizontal plane at a height: u is x, v is z."""
  return Plane(np.array([0.0, y, 0.0]), np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0]))


@dataclasses.dataclass(frozen=True)
class Place:
  """Where an object stands, and where it heads: yaw 0 is away from the camera, pi / 2 right."""

  x: float
  z: float
  yaw: float = 0.0

  @property
  def forward(self) -> np.ndarray:
    return np.array([np.sin(self.yaw), 0.0, np.cos(self.yaw)])

  @property
  def right(self) -> np.ndarray:
    return np.array([np.cos(self.yaw), 0.0, -np.sin(self.yaw)])

  def side(self, aside: float = 0.0) -> Plane:
    """The vertical plane along the object, `aside` metres to its right: u forward, v up."""
    origin = np.array([self.x, 0.0, self.z]) + aside * self.right
    return Plane(origin, self.forward, UP)

  def end(self, ahead: float = 0.0) -> Plane:
    """The vertical plane across the object, `ahead` metres before its centre: u right, v up."""
    origin = np.array([self.x, 0.0, self.z]) + ahead * self.forward
    return Plane(origin, self.right, UP)

  def top(self, height: float) -> Plane:
    """The horizontal plane through the object at a height: u right, v forward."""
    return Plane(np.array([self.x, height, self.z]), self.right, self.forward)

  def ahead(self, distance: float) -> "Place":
    """The place that many metres before this one, with the same heading."""
    step = distance * self.forward
    return Place(self.x + step[0], self.z + step[2], self.yaw)


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
  points = np.array(list(profile.values()))
  for name, start, stop in zip(profile, points, np.roll(points, -1, axis=0), strict=True):
    length = float(np.hypot(*(stop - start)))
    direction = (stop - start) / length
    origin = place.ahead(start[0])
    plane = Plane(
      np.array([origin.x, start[1], origin.z]),
      place.right,
      direction[0] * place.forward + direction[1] * UP,
    )
    if plane.faces(camera) and name != "under":
      yield name, plane, rectangle(-width / 2, 0, width / 2, length)
  right, left = place.side(width / 2), place.side(-width / 2)
  if np.dot(-right.origin, place.right) > 0:
    yield "right", right, points
  elif np.dot(-left.origin, -place.right) > 0:
    yield "left", left, points


def rectangle(left: float, bottom: float, right: float, top: float) -> np.ndarray:
  """Outline `[4, 2]` of an upright rectangle."""
  return np.array([(left, bottom), (right, bottom), (right, top), (left, top)])


def ellipse(u: float, v: float, radius_u: float, radius_v: float, corners: int = 18) -> np.ndarray:
  """Outline `[corners, 2]` of an ellipse."""
  angles = np.arange(corners) * (2 * np.pi / corners)
  return np.stack([u + radius_u * np.cos(angles), v + radius_v * np.sin(angles)], axis=1)


def stroke(start: tuple[float, float], stop: tuple[float, float], width: float) -> np.ndarray:
  """Outline `[4, 2]` of a straight stroke between two points."""
  (u0, v0), (u1, v1) = start, stop
  length = max(np.hypot(u1 - u0, v1 - v0), 1e-6)
  du, dv = (v0 - v1) / length * width / 2, (u1 - u0) / length * width / 2
  return np.array([(u0 + du, v0 + dv), (u1 + du, v1 + dv), (u1 - du, v1 - dv), (u0 - du, v0 - dv)])


def blob(
  rng: np.random.Generator, u: float, v: float, radius_u: float, radius_v: float, rough: float
) -> np.ndarray:
  """Outline `[40, 2]` of an ellipse whose radius varies by a share of about `rough`."""
  angles = np.arange(40) * (2 * np.pi / 40)
  waves = np.arange(2, 12)
  phases = rng.uniform(0, 2 * np.pi, len(waves))
  ripple = (np.sin(angles[:, None] * waves + phases) / np.sqrt(waves)).sum(axis=1)
  radius = 1 + rough * ripple
  return np.stack(
    [u + radius_u * radius * np.cos(angles), v + radius_v * radius * np.sin(angles)], axis=1
  )
