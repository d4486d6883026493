"""Counts confusion matrices on the host, exactly, including predictions of unscored classes.

Masks from other programs may hold ids that belong to no scored class, so these matrices have a last
column for them. Everything in this package that takes a confusion matrix accepts both forms,
`[classes, classes]` and `[classes, classes + 1]`.
"""

import numpy as np


def joint_histogram(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Counts how often each pair of values occurs at the same pixel.

  Args:
    first: uint8 `[height, width]`.
    second: uint8, the same shape.

  Returns:
    int64 `[256, 256]`, pixels by the values of both.

  Raises:
    ValueError: the shapes differ.
  """
  if first.shape != second.shape:
    raise ValueError(f"maps of {first.shape} and {second.shape} cannot be compared")
  pairs = np.left_shift(first, 8, dtype=np.uint16) | second
  return np.bincount(pairs.reshape(-1), minlength=2**16).reshape(256, 256)


def fold(histogram: np.ndarray, class_of: np.ndarray, num_classes: int) -> np.ndarray:
  """Turns counts of values into counts of classes.

  Args:
    histogram: int64 `[256, 256]`, a `joint_histogram` of label and prediction.
    class_of: uint8 `[256]`, the class index of each value; `num_classes` and above: no class.
    num_classes: number of classes.

  Returns:
    int64 `[num_classes + 1, num_classes + 1]`: the last row counts the pixels whose label is
    ignored, the last column the predictions of no scored class.
  """
  groups = np.minimum(class_of, num_classes)
  rows = np.zeros((num_classes + 1, 256), np.int64)
  np.add.at(rows, groups, histogram)
  counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
  np.add.at(counts.T, groups, rows.T)
  return counts


def count_with_ignored(label: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
  """Counts one image, with a row for ignored pixels.

  Args:
    label: uint8 `[height, width]`, class indices; values from `num_classes` on are ignored.
    prediction: uint8, the same shape; values from `num_classes` on are no scored class.
    num_classes: number of classes.

  Returns:
    int64 `[num_classes + 1, num_classes + 1]`, see `fold`.

  Raises:
    ValueError: the shapes differ.
  """
  return fold(joint_histogram(label, prediction), np.arange(256, dtype=np.uint8), num_classes)


def count(label: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
  """Counts one image: int64 `[num_classes, num_classes + 1]`, without the ignored pixels.

  The last column counts the predictions of no scored class; arguments and errors are those of
  `count_with_ignored`.
  """
  return count_with_ignored(label, prediction, num_classes)[:num_classes]
