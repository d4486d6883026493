import jax
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from flax_unet.evaluation import confusion


def _maps(num_classes, shape=(2, 24, 32), ignored=0.2):
  rng = np.random.default_rng(0)
  labels = rng.integers(0, num_classes, shape).astype(np.uint8)
  labels[rng.random(shape) < ignored] = 255
  return labels, rng.integers(0, num_classes, shape).astype(np.uint8)


def test_device_host_and_scikit_learn_count_alike():
  labels, predictions = _maps(5)
  on_device = jax.jit(confusion.confusion_matrices, static_argnums=2)(labels, predictions, 5)
  assert on_device.dtype == np.int32
  for label, prediction, counts in zip(labels, predictions, on_device, strict=True):
    valid = label != 255
    expected = confusion_matrix(label[valid], prediction[valid], labels=range(5))
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(confusion.count(label, prediction, 5)[:, :5], expected)


def test_ignored_pixels_and_unscored_predictions_by_hand():
  label = np.array([[0, 0, 1, 255]], np.uint8)
  prediction = np.array([[0, 9, 0, 1]], np.uint8)
  expected = [
    [1, 0, 1],  # one right, one that names no class
    [1, 0, 0],
    [0, 1, 0],  # the ignored pixel
  ]
  np.testing.assert_array_equal(confusion.count_with_ignored(label, prediction, 2), expected)
  np.testing.assert_array_equal(confusion.count(label, prediction, 2), expected[:2])


def test_any_number_of_classes_fits_the_narrow_cells():
  labels, predictions = _maps(255, ignored=0)
  counts = confusion.count(labels[0], predictions[0], 255)
  assert counts.sum() == labels[0].size
  assert counts[labels[0, 0, 0], predictions[0, 0, 0]] >= 1


def test_counts_past_the_exact_floats():
  # 2^24 + 1 equal pixels: float32 counts stop at 2^24.
  pixels = np.zeros((1, 1, 2**24 + 1), np.uint8)
  on_device = jax.jit(confusion.confusion_matrices, static_argnums=2)(pixels, pixels, 1)
  assert int(on_device[0, 0, 0]) == 2**24 + 1
  assert confusion.count(pixels[0], pixels[0], 1)[0, 0] == 2**24 + 1


def test_sizes_must_agree():
  with pytest.raises(ValueError, match=r"\(2, 3\) but the prediction \(3, 2\)"):
    confusion.count(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)
