import json

import cv2
import numpy as np
import scipy.ndimage

from flax_unet.data import label_spaces
from flax_unet.evaluation.inference import regions

FOUR = label_spaces.get("4_classes")


def _masks(number):
  """Random pixels, every other time enlarged."""
  rng = np.random.default_rng(0)
  for index in range(number):
    mask = rng.integers(4, size=rng.integers(1, 14, 2)).astype(np.uint8)
    yield mask.repeat(3, 0).repeat(3, 1) if index % 2 else mask


def _filled(rings, shape):
  """The pixels whose centres are inside of rings that run along edges of pixels."""
  y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
  inside = np.zeros(shape, bool)
  for ring in rings:
    assert ring[0] == ring[-1]
    for (x0, y0), (x1, y1) in zip(ring[:-1], ring[1:], strict=True):
      assert (x0 == x1) != (y0 == y1)
      if x0 == x1:
        inside ^= (y > min(y0, y1)) & (y < max(y0, y1)) & (x < x0)
  return inside


def test_outlines_filled_again_are_the_mask():
  for mask in _masks(100):
    filled = np.full(mask.shape, 255, np.uint8)
    for feature in json.loads(regions.geojson(mask, FOUR))["features"]:
      inside = _filled(feature["geometry"]["coordinates"], mask.shape)
      assert (filled[inside] == 255).all()
      assert feature["properties"]["pixels"] == inside.sum()
      assert feature["properties"]["class"] == FOUR.class_names[mask[inside][0]]
      filled[inside] = feature["properties"]["label_id"]
      assert (regions.instances(mask)[inside] == feature["properties"]["instance"]).all()
    np.testing.assert_array_equal(filled, mask)


def test_a_square_with_a_hole_by_hand():
  mask = np.zeros((5, 6), np.uint8)
  mask[1:4, 2:5] = 1
  mask[2, 3] = 0
  first, hole, ring = json.loads(regions.geojson(mask, FOUR))["features"]
  assert ring["properties"] == {"class": "1", "label_id": 1, "pixels": 8, "instance": 3}
  outer, inner = ring["geometry"]["coordinates"]
  assert sorted(outer[:-1]) == [[2, 1], [2, 4], [5, 1], [5, 4]]
  assert sorted(inner[:-1]) == [[3, 2], [3, 3], [4, 2], [4, 3]]
  area = [cv2.contourArea(np.array(r, np.float32), oriented=True) for r in (outer, inner)]
  assert area == [9, -1]  # the outer ring one way, the hole the other
  assert (first["properties"]["pixels"], hole["properties"]["pixels"]) == (21, 1)


def test_regions_are_connected_by_edges():
  for mask in _masks(20):
    number = sum(scipy.ndimage.label(mask == index)[1] for index in np.unique(mask))
    assert regions.instances(mask).max() == number
    assert (regions.instances(mask) > 0).all()
