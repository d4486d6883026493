"""The canvas: paints outlines on planes in the world into a picture, its labels and its depths."""

from collections.abc import Callable

import cv2
import numpy as np

from flax_unet.data.label_spaces import CITYSCAPES_IDS
from flax_unet.data.street_scenes.geometry import Camera, Plane
from flax_unet.data.street_scenes.weather import Weather

# Where a texture is evaluated, in metres on its plane, `[pixels]` each, to colours `[pixels, 3]`.
Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]
# The same to booleans `[pixels]`: True where one can see through.
Holes = Callable[[np.ndarray, np.ndarray], np.ndarray]
Color = tuple[float, float, float] | np.ndarray

_NEAR = 0.4  # metres; nothing nearer to the camera is drawn
_SUBPIXEL_BITS = 4


class Canvas:
  """A picture in the making, painted from far to near.

  Attributes:
    camera: the camera, which also gives the canvas' size.
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
      holes: where the picture keeps what lies behind, while the label is painted.
      glow: whether the colour is that of a lamp, which no light changes.
    """
    homography = plane.homography(self.camera)
    corners, depth = self._project(homography, outline)
    if corners is None:
      return
    normal = plane.normal if plane.faces(self.camera) else -plane.normal
    light = np.ones(3) if glow else self.weather.light_on(normal)
    if callable(color) or holes is not None:
      self._paint_texture(homography, corners, color, light, holes)
    else:
      rgb = tuple(float(c) for c in np.asarray(color) * light)
      cv2.fillPoly(self.image, [corners], rgb, shift=_SUBPIXEL_BITS)
      cv2.fillPoly(self.depth, [corners], depth, shift=_SUBPIXEL_BITS)
    if label is not None:
      cv2.fillPoly(self.label, [corners], CITYSCAPES_IDS[label], shift=_SUBPIXEL_BITS)

  def cover(self, plane: Plane, outline: np.ndarray, label: str) -> None:
    """Labels an outline without painting it: things one can see through."""
    corners, _ = self._project(plane.homography(self.camera), outline)
    if corners is not None:
      cv2.fillPoly(self.label, [corners], CITYSCAPES_IDS[label], shift=_SUBPIXEL_BITS)

  def tint(self, plane: Plane, outline: np.ndarray, factor: Color | float) -> None:
    """Multiplies what is painted in an outline: shadows, stains, reflections."""
    corners, _ = self._project(plane.homography(self.camera), outline)
    if corners is not None:
      rows, columns = self._pixels(corners)
      self.image[rows, columns] *= np.asarray(factor, np.float32)

  def _project(self, homography: np.ndarray, outline: np.ndarray):
    """Returns corners `[n, 2]`, int32 in 1/16 pixel, and mean depth; (None, 0) if out of sight."""
    points = outline @ homography[:, :2].T + homography[:, 2]
    if points[:, 2].min() < _NEAR:
      points = _clip(points)
      if len(points) < 3:
        return None, 0.0
    pixels = points[:, :2] / points[:, 2:]
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    height, width = self.label.shape
    if high[0] < 0 or high[1] < 0 or low[0] > width or low[1] > height:
      return None, 0.0
    scale = 1 << _SUBPIXEL_BITS
    # Pixel centres have whole coordinates in OpenCV.
    corners = np.rint((pixels - 0.5) * scale).astype(np.int32)
    return corners, float(points[:, 2].mean())

  def _pixels(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns `[pixels]` within an outline."""
    low = np.maximum((corners.min(axis=0) >> _SUBPIXEL_BITS) - 1, 0)
    high = (corners.max(axis=0) >> _SUBPIXEL_BITS) + 2
    height, width = self.label.shape
    size = np.minimum(high, (width, height)) - low
    mask = np.zeros((max(size[1], 1), max(size[0], 1)), np.uint8)
    cv2.fillPoly(mask, [corners - (low << _SUBPIXEL_BITS)], 1, shift=_SUBPIXEL_BITS)
    rows, columns = np.nonzero(mask)
    return rows + low[1], columns + low[0]

  def _paint_texture(self, homography, corners, color, light, holes) -> None:
    """Paints a texture, or a colour with holes, pixel by pixel."""
    rows, columns = self._pixels(corners)
    inverse = np.linalg.inv(homography).astype(np.float32)
    x, y = columns.astype(np.float32) + 0.5, rows.astype(np.float32) + 0.5
    # Since the last row of the homography gives depth, this is 1 / depth.
    nearness = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
    u = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) / nearness
    v = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) / nearness
    if holes is not None:
      solid = ~holes(u, v)
      rows, columns, nearness = rows[solid], columns[solid], nearness[solid]
      u, v = u[solid], v[solid]
    rgb = color(u, v) if callable(color) else np.asarray(color)
    self.image[rows, columns] = rgb * light.astype(np.float32)
    self.depth[rows, columns] = 1 / nearness


def _clip(points: np.ndarray) -> np.ndarray:
  """Clips a polygon of homogeneous pixels `[n, 3]` to what is not nearer than `_NEAR`."""
  kept = []
  for start, stop in zip(points, np.roll(points, -1, axis=0), strict=True):
    if start[2] >= _NEAR:
      kept.append(start)
    if (start[2] >= _NEAR) != (stop[2] >= _NEAR):
      share = (_NEAR - start[2]) / (stop[2] - start[2])
      kept.append(start + share * (stop - start))
  return np.array(kept)
