"""The canvas: paints outlines on planes in the world into an image, its labels and its depths."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from flax_unet.data.label_spaces import CITYSCAPES_IDS
from flax_unet.street_scenes.colors import Color
from flax_unet.street_scenes.geometry import Camera, Plane
from flax_unet.street_scenes.textures import Texture
from flax_unet.street_scenes.weather import Weather

# Maps places on a plane, in metres, `[pixels]` each, to booleans `[pixels]`: transparent or not.
Holes = Callable[[np.ndarray, np.ndarray], np.ndarray]

_NEAR = 0.4  # metres; nothing closer to the camera is drawn
_SUBPIXEL_BITS = 4
_SUBPIXELS = 1 << _SUBPIXEL_BITS
_BAND_PIXELS = 16384
_LAMP = np.ones(3)  # the light on surfaces that shine by themselves


class Canvas:
  """An image in progress, painted from far to near.

  Attributes:
    camera: the camera, which also determines the size of the canvas.
    weather: light and air.
    image: float32 `[height, width, 3]`, RGB, 0 to 255 (brighter where the sun is strong).
    label: uint8 `[height, width]`, Cityscapes label ids.
    depth: float32 `[height, width]`, metres along the camera's axis.
  """

  def __init__(self, camera: Camera, weather: Weather):
    self.camera = camera
    self.weather = weather
    self.image = np.zeros((camera.height, camera.width, 3), np.float32)
    self.label = np.full((camera.height, camera.width), CITYSCAPES_IDS["unlabeled"], np.uint8)
    self.depth = np.full((camera.height, camera.width), np.inf, np.float32)
    self._latest: _View | None = None

  def paint(
    self,
    plane: Plane,
    outline: np.ndarray,
    color: Color | Texture,
    label: str | None = None,
    *,
    holes: Holes | None = None,
    glow: bool = False,
  ) -> None:
    """Fills an outline on a plane.

    Args:
      plane: the plane.
      outline: float `[corners, 2]`, metres on the plane; may be concave.
      color: RGB 0 to 255, or a texture.
      label: name of the Cityscapes label; None keeps the labels that are there.
      holes: where the image keeps what lies behind, while the label is painted.
      glow: whether the colour is that of a lamp, which ignores the light.
    """
    view = self._view(plane)
    corners, depths = self._project(view, outline)
    if corners is None:
      return
    light = _LAMP if glow else view.light
    if callable(color) or holes is not None:
      self._paint_texture(view, corners, color, light, holes)
    else:
      rgb = np.asarray(color) * light
      cv2.fillPoly(self.image, [corners], rgb.tolist(), shift=_SUBPIXEL_BITS)
      if label is not None:  # details without a label lie on something that already has a depth
        self._paint_depth(view, corners, depths)
    if label is not None:
      cv2.fillPoly(self.label, [corners], CITYSCAPES_IDS[label], shift=_SUBPIXEL_BITS)

  def cover(self, plane: Plane, outline: np.ndarray, label: str) -> None:
    """Labels an outline without painting it, for transparent things."""
    corners, _ = self._project(self._view(plane), outline)
    if corners is not None:
      cv2.fillPoly(self.label, [corners], CITYSCAPES_IDS[label], shift=_SUBPIXEL_BITS)

  def tint(self, plane: Plane, outline: np.ndarray, factor: float) -> None:
    """Multiplies the colours in an outline: shadows, stains, joints."""
    corners, _ = self._project(self._view(plane), outline)
    if corners is not None:
      for rows, columns in self._pixels(corners):
        pixels = rows * self.label.shape[1] + columns
        for channel in self._channels():
          channel[pixels] *= np.float32(factor)

  def _view(self, plane: Plane) -> "_View":
    """Returns the camera's view of a plane; cached, as most planes are painted many times."""
    if self._latest is None or self._latest.plane is not plane:
      x, y, z = plane.normal
      sign = 1 if plane.faces(self.camera) else -1
      light = self.weather.light_on((sign * x, sign * y, sign * z))
      self._latest = _View(plane, plane.homography(self.camera), light)
    return self._latest

  def _project(
    self, view: "_View", outline: np.ndarray
  ) -> tuple[np.ndarray, list[float]] | tuple[None, None]:
    """Projects an outline.

    Returns:
      The corners in the image, int32 `[n, 2]` in 1/16 pixel, and their depths in metres; or
      (None, None) if the outline is out of sight.
    """
    points = outline @ view.homography[:, :2].T + view.homography[:, 2]
    depths = points[:, 2].tolist()
    if min(depths) < _NEAR:
      points = _clip(points)
      if len(points) < 3:
        return None, None
      depths = points[:, 2].tolist()
    # OpenCV has pixel centres at integers: subtract half a pixel, and add half a unit to round.
    corners = (points[:, :2] / points[:, 2:] * _SUBPIXELS - (_SUBPIXELS - 1) / 2).astype(np.int32)
    left, top, width, height = cv2.boundingRect(corners)
    rows, columns = self.label.shape
    if left + width < 0 or left >= columns * _SUBPIXELS:
      return None, None
    if top + height < 0 or top >= rows * _SUBPIXELS:
      return None, None
    return corners, depths

  def _pixels(self, corners: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields rows and columns of the pixels in an outline, int64 `[pixels]`, in bands of rows.

    Bands keep the arrays of a texture in the cache, and away from the system's allocator.
    """
    left, top, width, height = cv2.boundingRect(corners)
    left, right = left >> _SUBPIXEL_BITS, (left + width >> _SUBPIXEL_BITS) + 2
    top, bottom = top >> _SUBPIXEL_BITS, (top + height >> _SUBPIXEL_BITS) + 2
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, self.label.shape[1]), min(bottom, self.label.shape[0])
    width = max(right - left, 1)
    mask = np.zeros((max(bottom - top, 1), width), np.uint8)
    corners = corners - np.int32((left * _SUBPIXELS, top * _SUBPIXELS))
    cv2.fillPoly(mask, [corners], 1, shift=_SUBPIXEL_BITS)
    band = max(_BAND_PIXELS // width, 1)
    for first in range(0, len(mask), band):
      # NumPy finds non-zeros by far the fastest in a flat array of booleans.
      (pixels,) = mask[first : first + band].view(bool).reshape(-1).nonzero()
      if len(pixels):
        rows = pixels // width
        yield rows + (top + first), pixels - rows * width + left

  def _channels(self) -> np.ndarray:
    """Views `[3, pixels]` of red, green and blue: NumPy indexes these faster than the image."""
    return self.image.reshape(-1, 3).T

  def _paint_depth(self, view: "_View", corners: np.ndarray, depths: list[float]) -> None:
    """Fills in the depth, a single value for all pixels if it hardly varies."""
    near, far = min(depths), max(depths)
    if far < 1.5 * near:
      cv2.fillPoly(self.depth, [corners], (near + far) / 2, shift=_SUBPIXEL_BITS)
    else:
      for rows, columns in self._pixels(corners):
        self.depth[rows, columns] = view.locate(rows, columns)[2]

  def _paint_texture(
    self,
    view: "_View",
    corners: np.ndarray,
    color: Color | Texture,
    light: np.ndarray,
    holes: Holes | None,
  ) -> None:
    """Paints a texture, or a colour with holes, pixel by pixel."""
    light = light.astype(np.float32)
    for rows, columns in self._pixels(corners):
      u, v, depth = view.locate(rows, columns)
      if holes is not None:
        solid = ~holes(u, v)
        rows, columns, u, v, depth = (array[solid] for array in (rows, columns, u, v, depth))
      rgb = color(u, v) if callable(color) else np.asarray(color)
      pixels = rows * self.label.shape[1] + columns
      self.depth.reshape(-1)[pixels] = depth
      for channel, values in zip(self._channels(), (rgb * light).T, strict=True):
        channel[pixels] = values


@dataclasses.dataclass(frozen=True, eq=False)
class _View:
  """A plane as the camera sees it.

  Attributes:
    plane: the plane.
    homography: float `[3, 3]`, homogeneous (u, v) to homogeneous pixels, the last one depth.
    light: float `[3]`, the factor by which light changes colours on the plane.
  """

  plane: Plane
  homography: np.ndarray
  light: np.ndarray

  @functools.cached_property
  def inverse(self) -> np.ndarray:
    return np.linalg.inv(self.homography).astype(np.float32)

  def locate(
    self, rows: np.ndarray, columns: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns u, v and depth of the plane at pixels, float32 `[pixels]` each, in metres."""
    inverse = self.inverse
    x, y = columns.astype(np.float32) + 0.5, rows.astype(np.float32) + 0.5
    # The last row of the homography gives depth, so that of its inverse gives 1 / depth.
    depth = 1 / (inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2])
    u = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) * depth
    v = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) * depth
    return u, v, depth


def _clip(points: np.ndarray) -> np.ndarray:
  """Clips a polygon of homogeneous pixels `[n, 3]` to depths of at least `_NEAR`."""
  kept = []
  for start, stop in zip(points, np.roll(points, -1, axis=0), strict=True):
    if start[2] >= _NEAR:
      kept.append(start)
    if (start[2] >= _NEAR) != (stop[2] >= _NEAR):
      share = (_NEAR - start[2]) / (stop[2] - start[2])
      kept.append(start + share * (stop - start))
  return np.array(kept)
