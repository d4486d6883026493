import base64

import cv2
import numpy as np
import pytest

from flax_unet.data import label_spaces
from flax_unet.data.label_space import IGNORED
from flax_unet.evaluation.evaluators.base import Picture
from flax_unet.evaluation.report import page_pictures

SPACE = label_spaces.get("2_classes")


def _confusions(*accuracies):
  """Images of 100 pixels of one class, with that many predicted correctly; None: all ignored."""
  return np.array(
    [[[0, 0], [0, 0]] if a is None else [[a, 100 - a], [0, 0]] for a in accuracies], np.int64
  )


@pytest.mark.parametrize(
  ("accuracies", "worst", "best"),
  [
    ((50, 90, 10, 70, 30), [2, 4], [1, 3]),
    ((50, 90, 10), [2, 0], [1]),
    ((50,), [0], []),
    ((None, 50, None, 90), [1], [3]),
    ((None,), [], []),
    ((), [], []),
  ],
)
def test_no_picture_is_among_the_worst_and_the_best(accuracies, worst, best):
  confusions = _confusions(*accuracies).reshape(-1, 2, 2)
  assert page_pictures.choose(confusions, worst=2, best=2) == (worst, best)


def _decode(uri):
  content = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
  return cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)


def test_panels_show_label_prediction_and_errors():
  label = np.zeros((32, 48), np.uint8)
  label[:, 16:] = 1
  label[:, 32:] = IGNORED
  prediction = np.zeros((32, 48), np.uint8)
  image = np.full((32, 48, 3), 200, np.uint8)
  shown = page_pictures.show(
    Picture("a", image, label, prediction), np.array([[512, 0], [512, 0]]), SPACE
  )
  assert (shown.width, shown.height) == (48, 32)
  assert shown.mean_iou == 0.25 and shown.pixel_accuracy == 0.5
  assert shown.present == [0, 1]
  np.testing.assert_array_equal(_decode(shown.label), SPACE.colorize(label))
  np.testing.assert_array_equal(_decode(shown.prediction), SPACE.colorize(prediction))
  errors = _decode(shown.errors).astype(int)
  right, wrong, ignored = errors[16, 4], errors[16, 24], errors[16, 44]
  assert np.ptp(right) < 8 and abs(right.mean() - 110) < 8  # gray, dimmed
  assert wrong[0] > 170 and wrong[1] < 90 and wrong[2] < 90  # red
  assert ignored.max() < 50  # dark


def test_large_pictures_are_shrunk_to_equal_areas_and_small_ones_kept():
  sizes = {}
  for height, width in ((1024, 2048), (2000, 500), (30, 40)):
    label = np.zeros((height, width), np.uint8)
    picture = Picture("a", np.zeros((height, width, 3), np.uint8), label, label)
    shown = page_pictures.show(picture, np.eye(2, dtype=np.int64), SPACE)
    assert _decode(shown.image).shape == _decode(shown.label).shape
    sizes[height, width] = shown.width, shown.height
  assert sizes == {(1024, 2048): (720, 360), (2000, 500): (255, 1018), (30, 40): (40, 30)}


def test_an_image_of_another_resolution_is_shown_at_that_of_its_label():
  label = np.zeros((32, 64), np.uint8)
  picture = Picture("a", np.zeros((16, 32, 3), np.uint8), label, label)
  shown = page_pictures.show(picture, np.eye(2, dtype=np.int64), SPACE)
  assert _decode(shown.image).shape == (32, 64, 3)


def test_mistakes_of_a_class_have_their_own_colours():
  label = np.zeros((32, 64), np.uint8)
  label[:, 16:] = 1
  label[16:, 48:] = IGNORED
  prediction = np.zeros((32, 64), np.uint8)
  prediction[:, :16] = prediction[:, 32:] = 1  # columns: claimed, missed, found, found or ignored
  image = np.full((32, 64, 3), 100, np.uint8)
  shown = page_pictures.show(
    Picture("a", image, label, prediction), np.array([[0, 512], [512, 768]]), SPACE, 1
  )
  errors = _decode(shown.errors).astype(int)
  claimed, missed, found, ignored = (errors[24, x] for x in (8, 24, 40, 56))
  assert claimed[2] > 150 and claimed[2] - claimed[0] > 80  # blue
  assert missed[0] > 150 and missed[0] - missed[2] > 80  # orange
  assert found.min() > 180  # white
  assert abs(ignored - 55).max() < 12  # as the image, dimmed


def test_thin_mistakes_are_not_lost_in_a_small_picture():
  label = np.zeros((1024, 2048), np.uint8)
  prediction = label.copy()
  prediction[:, 1001] = 1  # one column of 2048
  picture = Picture("a", np.full((1024, 2048, 3), 100, np.uint8), label, prediction)
  shown = page_pictures.show(picture, np.array([[2096128, 1024], [0, 0]]), SPACE, 1)
  assert (shown.width, shown.height) == (480, 240)
  errors = _decode(shown.errors).astype(int)
  blue = errors[..., 2] - errors[..., 0]
  assert blue[:, 234].min() > 15  # 1001 * 480 / 2048 = 234.6
  assert abs(blue[:, :200]).max() < 5
