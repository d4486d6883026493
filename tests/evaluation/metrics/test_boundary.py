import math

import numpy as np
import pytest
from scipy import ndimage

from flax_unet.data.label_space import IGNORED
from flax_unet.evaluation.metrics import boundary

# A square of 4 x 4 pixels in an image of 8 x 8, and the same square one pixel to the right.
LABEL, PREDICTION = np.zeros((2, 8, 8), np.uint8)
LABEL[2:6, 2:6] = PREDICTION[2:6, 3:7] = 1


def test_a_square_that_is_a_pixel_off():
  intersections, unions = boundary.strip_overlap(LABEL, PREDICTION, 2)
  # Strips are one pixel wide. Each square's strip has 12 pixels, which overlap in the rows at
  # the top and bottom. Around the square, all 48 pixels of the label are next to it or to the
  # border; of the prediction's, 6 in one column are not, and 4 are in the true square.
  assert intersections.tolist() == [38, 6]
  assert unions.tolist() == [48 + 42 - 38, 12 + 12 - 6]


@pytest.mark.parametrize(("tolerance", "expected"), [(0.0075, [6 / 16, 6 / 12]), (0.1, [1.0, 1.0])])
def test_its_outline(tolerance, expected):
  np.testing.assert_allclose(boundary.f_scores(LABEL, PREDICTION, 2, tolerance), expected)


def test_equal_maps_have_a_score_of_one():
  label = np.random.default_rng(0).integers(0, 3, (20, 30), np.uint8)
  intersections, unions = boundary.strip_overlap(label, label, 4)
  np.testing.assert_array_equal(intersections, unions)
  assert unions[3] == 0
  np.testing.assert_array_equal(boundary.f_scores(label, label, 4), [1, 1, 1, np.nan])


def test_a_class_that_is_only_in_one_of_them_has_a_score_of_zero():
  nothing = np.zeros_like(LABEL)
  for pair in ((LABEL, nothing), (nothing, LABEL)):
    assert boundary.strip_overlap(*pair, 2)[0][1] == 0
    np.testing.assert_array_equal(boundary.f_scores(*pair, 2), [0, 0])


def test_towards_ignored_pixels_there_is_no_outline():
  label = np.zeros((16, 16), np.uint8)
  label[4:9, 4:9] = IGNORED
  prediction = np.zeros_like(label)
  prediction[4:9, 4:9] = 1  # pixels with this label do not count
  assert np.isnan(boundary.f_scores(label, prediction, 2)).all()
  intersections, unions = boundary.strip_overlap(label, prediction, 2)
  border = 16 * 4 - 4
  assert intersections.tolist() == unions.tolist() == [border, 0]


@pytest.mark.parametrize("seed", range(3))
def test_strips_and_outlines_equal_those_of_distance_transforms(seed):
  rng = np.random.default_rng(seed)
  label, prediction = (
    np.kron(rng.integers(0, 3, (6, 8)), np.ones((9, 7), int)).astype(np.uint8) for _ in range(2)
  )
  width, tolerance = 0.05, 0.03
  diagonal = math.hypot(*label.shape)

  def strip(mask):
    inside = ndimage.distance_transform_cdt(np.pad(mask, 1), "chessboard")[1:-1, 1:-1]
    return mask & (inside <= round(width * diagonal))

  def outline(mask):
    return mask & ~ndimage.binary_erosion(mask, border_value=1)

  def matched(outlines, others):
    distances = ndimage.distance_transform_edt(~others)
    return (distances[outlines] <= tolerance * diagonal).mean()

  intersections, unions = boundary.strip_overlap(label, prediction, 3, width)
  scores = boundary.f_scores(label, prediction, 3, tolerance)
  for index in range(3):
    true, predicted = strip(label == index), strip(prediction == index)
    assert intersections[index] == (true & predicted).sum()
    assert unions[index] == (true | predicted).sum()
    true, predicted = outline(label == index), outline(prediction == index)
    precision, recall = matched(predicted, true), matched(true, predicted)
    assert scores[index] == pytest.approx(2 * precision * recall / (precision + recall))
