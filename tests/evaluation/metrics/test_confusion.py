import jax
import numpy as np
from sklearn.metrics import confusion_matrix

from flax_unet.evaluation.metrics import confusion

confusion_matrices = jax.jit(confusion.confusion_matrices, static_argnums=2)


def test_counts_equal_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  labels, predictions = rng.integers(0, 5, (2, 2, 24, 32)).astype(np.uint8)
  labels[rng.random(labels.shape) < 0.2] = 255
  counts = confusion_matrices(labels, predictions, 5)
  assert counts.dtype == np.int32
  for label, prediction, picture in zip(labels, predictions, counts, strict=True):
    valid = label != 255
    expected = confusion_matrix(label[valid], prediction[valid], labels=range(5))
    np.testing.assert_array_equal(picture, expected)


def test_signed_labels_may_mark_ignored_pixels_with_minus_one():
  labels, predictions = np.array([[[-1, 0, 1]]]), np.array([[[1, 1, 1]]])
  np.testing.assert_array_equal(confusion_matrices(labels, predictions, 2)[0], [[0, 1], [0, 1]])


def test_counts_past_the_exact_floats():
  pixels = np.zeros((1, 1, 2**24 + 1), np.uint8)  # a float32 count would stop at 2^24
  assert int(confusion_matrices(pixels, pixels, 1)[0, 0, 0]) == 2**24 + 1
