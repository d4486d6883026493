"""Regions of a predicted mask: its connected components, and their outlines."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np

from flax_unet.data.label_space import LabelSpace


class Region(NamedTuple):
  """A connected component of a class; pixels that share an edge are connected.

  Attributes:
    class_index: its class.
    top: first row.
    left: first column.
    inside: bool `[height, width]` of its bounding box.
  """

  class_index: int
  top: int
  left: int
  inside: np.ndarray


def find(mask: np.ndarray) -> Iterator[Region]:
  """Yields the regions of a mask, uint8 `[height, width]`, class by class."""
  for index in np.unique(mask):
    number, parts, boxes, _ = cv2.connectedComponentsWithStats(
      (mask == index).astype(np.uint8), connectivity=4
    )
    for part in range(1, number):
      left, top, width, height, _ = boxes[part].tolist()
      box = np.s_[top : top + height, left : left + width]
      yield Region(int(index), top, left, parts[box] == part)


def instances(mask: np.ndarray) -> np.ndarray:
  """Numbers the regions of a mask from 1 on.

  Returns:
    int32 `[height, width]`.
  """
  numbers = np.zeros(mask.shape, np.int32)
  for number, region in enumerate(find(mask), start=1):
    height, width = region.inside.shape
    box = numbers[region.top : region.top + height, region.left : region.left + width]
    box[region.inside] = number
  return numbers


def geojson(mask: np.ndarray, label_space: LabelSpace) -> str:
  """Describes the regions of a mask as GeoJSON polygons, along the edges of their pixels.

  Coordinates are pixels: x to the right and y down, `[0, 0]` the top left corner of the image. Each
  feature has the properties `class`, `label_id`, `pixels` and `instance`, as in `instances`.
  """
  features = []
  for number, region in enumerate(find(mask), start=1):
    properties: dict[str, Any] = {
      "class": label_space.class_names[region.class_index],
      "label_id": int(label_space.index_to_id[region.class_index]),
      "pixels": int(region.inside.sum()),
      "instance": number,
    }
    corner = np.array([region.left, region.top])
    polygon = [(corner + ring).tolist() for ring in _rings(region.inside)]
    geometry = {"type": "Polygon", "coordinates": polygon}
    features.append({"type": "Feature", "properties": properties, "geometry": geometry})
  return json.dumps({"type": "FeatureCollection", "features": features})


def _rings(inside: np.ndarray) -> list[np.ndarray]:
  """The closed outlines of a region: the outer one, then its holes; int `[corners, 2]`, x and y.

  OpenCV follows the centres of pixels. With four of them in place of each, those at a border are a
  quarter of a pixel away from an edge, so rounding gives the edge.
  """
  doubled = inside.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
  doubled = cv2.copyMakeBorder(doubled, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
  found, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
  rings = []
  for contour, (_, _, _, parent) in zip(found, hierarchy[0], strict=True):
    corners = _corners(contour[:, 0] // 2)
    # RFC 7946: the outer ring runs counterclockwise where y points up, its holes clockwise.
    area = np.sum(corners[:-1, 0] * corners[1:, 1] - corners[1:, 0] * corners[:-1, 1])
    rings.append(corners[::-1] if (area < 0) != (parent >= 0) else corners)
  return rings


def _corners(points: np.ndarray) -> np.ndarray:
  """Closes a line, and drops the points at which it goes straight on."""
  points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
  before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
  turns = (np.sign(before) != np.sign(after)).any(axis=1)
  points = points[turns]
  return np.concatenate([points, points[:1]]).astype(int)
