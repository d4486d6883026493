import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from flax_unet.evaluation.metrics import counting


def test_counts_equal_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  label, prediction = rng.integers(0, 256, (2, 40, 50)).astype(np.uint8)
  expected = confusion_matrix(label.ravel(), prediction.ravel(), labels=range(256))
  np.testing.assert_array_equal(counting.joint_histogram(label, prediction), expected)
  np.testing.assert_array_equal(counting.count(label, prediction, 30)[:, :30], expected[:30, :30])


def test_ignored_pixels_and_unscored_predictions_by_hand():
  label = np.array([[0, 0, 1, 255]], np.uint8)
  prediction = np.array([[0, 9, 0, 1]], np.uint8)
  expected = [
    [1, 0, 1],  # one correct, one of no class
    [1, 0, 0],
    [0, 1, 0],  # the ignored pixel
  ]
  np.testing.assert_array_equal(counting.count_with_ignored(label, prediction, 2), expected)
  np.testing.assert_array_equal(counting.count(label, prediction, 2), expected[:2])


def test_fold_merges_the_values_of_a_class():
  label, prediction = np.array([[7, 8, 9]], np.uint8), np.array([[8, 8, 0]], np.uint8)
  class_of = np.full(256, 255, np.uint8)
  class_of[[7, 8]], class_of[9] = 1, 0
  counts = counting.fold(counting.joint_histogram(label, prediction), class_of, 2)
  np.testing.assert_array_equal(counts, [[0, 0, 1], [0, 2, 0], [0, 0, 0]])


def test_counts_past_the_exact_floats():
  pixels = np.zeros((1, 2**24 + 1), np.uint8)
  assert counting.count(pixels, pixels, 1)[0, 0] == 2**24 + 1


def test_sizes_must_agree():
  with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\) cannot be compared"):
    counting.count(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)
