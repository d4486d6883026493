"""The scores of a confusion matrix, as Cityscapes and scikit-learn define them.

With `n[i, j]` the pixels of true class `i` and predicted class `j`:

    TP_c = n[c, c]    FN_c = sum_j n[c, j] - TP_c    FP_c = sum_{i != c} n[i, c]

A matrix is int64 `[classes, classes]`, or `[classes, classes + 1]` if a last column holds the
predictions of no scored class: a false negative of the true class, and no false positive. Counts
are summed over the whole split before anything is divided. A ratio 0 / 0 is undefined: NaN here,
omitted from every mean, and `null` in JSON.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from flax_unet.data.label_spaces import LabelSpace
from flax_unet.evaluation.metrics.score import Score

SCORES = (
  Score("mean_iou", "mean IoU", "mean over classes of TP / (TP + FP + FN)"),
  Score("category_iou", "category IoU", "mean IoU after merging the classes of each category"),
  Score(
    "iiou", "iIoU", "mean IoU in which every instance has the same weight; needs instance maps"
  ),
  Score("category_iiou", "category iIoU", "the same after merging the classes of each category"),
  Score("pixel_accuracy", "pixel accuracy", "fraction of pixels that are predicted correctly"),
  Score("mean_accuracy", "mean accuracy", "mean over classes of TP / (TP + FN)"),
  Score("mean_f1", "mean F1", "mean over classes of 2 TP / (2 TP + FP + FN)"),
  Score("mean_dice", "mean Dice", "mean over classes of the Dice coefficient, which equals F1"),
  Score(
    "frequency_weighted_iou",
    "frequency-weighted IoU",
    "IoU weighted by the number of pixels of each class",
  ),
)
CLASS_SCORES = (
  Score("iou", "IoU", "TP / (TP + FP + FN)"),
  Score("iiou", "iIoU", "IoU in which every instance has the same weight"),
  Score("f1", "F1", "2 TP / (2 TP + FP + FN)"),
  Score("precision", "precision", "TP / (TP + FP)"),
  Score("recall", "recall", "TP / (TP + FN)"),
  Score("share", "share of pixels", "(TP + FN) / all scored pixels"),
)


class Outcomes(NamedTuple):
  """True positives, false positives and false negatives, each int64 `[..., classes]`."""

  tp: np.ndarray
  fp: np.ndarray
  fn: np.ndarray


def outcomes(confusion: np.ndarray) -> Outcomes:
  """Returns the outcomes by class of confusion matrices `[..., classes, classes (+ 1)]`.

  Raises:
    ValueError: the array has another shape.
  """
  confusion = np.asarray(confusion)
  if confusion.ndim < 2 or confusion.shape[-1] - confusion.shape[-2] not in (0, 1):
    raise ValueError(
      f"a confusion matrix is [classes, classes] or [classes, classes + 1], not {confusion.shape}"
    )
  if np.issubdtype(confusion.dtype, np.integer):
    confusion = confusion.astype(np.int64)  # sums of int32 counts over a split overflow
  num_classes = confusion.shape[-2]
  tp = np.diagonal(confusion, axis1=-2, axis2=-1)
  fp = confusion[..., :num_classes].sum(axis=-2) - tp
  fn = confusion.sum(axis=-1) - tp
  return Outcomes(tp, fp, fn)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
  """Divides elementwise; 0 / 0 gives NaN without a warning."""
  with np.errstate(invalid="ignore"):
    return np.true_divide(numerator, denominator)


def mean_of_defined(values: np.ndarray, axis: int = -1) -> np.ndarray:
  """The mean over an axis, ignoring NaNs; NaN if there are only NaNs."""
  return ratio(np.nansum(values, axis=axis), np.sum(~np.isnan(values), axis=axis))


def class_iou(confusion: np.ndarray) -> np.ndarray:
  """TP / (TP + FP + FN) of `[..., classes, classes (+ 1)]`: float64 `[..., classes]`."""
  tp, fp, fn = outcomes(confusion)
  return ratio(tp, tp + fp + fn)


def class_f1(confusion: np.ndarray) -> np.ndarray:
  """2 TP / (2 TP + FP + FN) of `[..., classes, classes (+ 1)]`: float64 `[..., classes]`."""
  tp, fp, fn = outcomes(confusion)
  return ratio(2 * tp, 2 * tp + fp + fn)


def mean_iou(confusion: np.ndarray) -> np.ndarray:
  """The mean of `class_iou` over the classes that have one: float64 `[...]`."""
  return mean_of_defined(class_iou(confusion))


def pixel_accuracy(confusion: np.ndarray) -> np.ndarray:
  """The share of correctly predicted pixels, also the micro-averaged F1: float64 `[...]`."""
  confusion = np.asarray(confusion)
  return ratio(outcomes(confusion).tp.sum(axis=-1), confusion.sum(axis=(-2, -1), dtype=np.int64))


def merge_classes(confusion: np.ndarray, groups: Iterable[Sequence[int]]) -> np.ndarray:
  """Merges classes, so that confusion inside a group becomes correct.

  Args:
    confusion: int64 `[classes, classes (+ 1)]`.
    groups: class indices, each class in one group.

  Returns:
    int64 `[groups, groups (+ 1)]`.
  """
  num_classes = confusion.shape[0]
  members = [list(group) for group in groups]
  columns = members + [[column] for column in range(num_classes, confusion.shape[1])]
  by_column = np.stack([confusion[:, group].sum(axis=1) for group in columns], axis=1)
  return np.stack([by_column[group].sum(axis=0) for group in members])


def scores(confusion: np.ndarray, label_space: LabelSpace) -> dict[str, Any]:
  """Computes all scores that a confusion matrix determines.

  Args:
    confusion: int64 `[classes, classes (+ 1)]`, summed over the split.
    label_space: names of the classes and categories.

  Returns:
    Python floats, NaN if undefined: those of `SCORES`; `per_class`, by class name, with those of
    `CLASS_SCORES`, `dice` (the name of F1 in medical imaging) and `accuracy` (another name of
    recall); and `per_category`, by category name, with `iou`. Precision, recall and F1 are those of
    scikit-learn with `zero_division=nan`; the category IoU is that of cityscapesScripts.

  Raises:
    ValueError: the matrix does not have the label space's number of classes.
  """
  confusion = np.asarray(confusion)
  if confusion.shape[0] != label_space.num_classes:
    raise ValueError(
      f"a confusion matrix of {confusion.shape[0]} classes does not belong to label space "
      f"'{label_space.name}', which has {label_space.num_classes}"
    )
  tp, fp, fn = outcomes(confusion)
  iou, f1, recall = class_iou(confusion), class_f1(confusion), ratio(tp, tp + fn)
  share = ratio(tp + fn, np.sum(tp + fn))
  by_class = {
    "iou": iou,
    "f1": f1,
    "dice": f1,
    "precision": ratio(tp, tp + fp),
    "recall": recall,
    "accuracy": recall,
    "share": share,
  }
  category_iou = class_iou(merge_classes(confusion, label_space.categories.values()))
  return {
    "mean_iou": float(mean_of_defined(iou)),
    "pixel_accuracy": float(pixel_accuracy(confusion)),
    "mean_accuracy": float(mean_of_defined(recall)),
    "mean_f1": float(mean_of_defined(f1)),
    "mean_dice": float(mean_of_defined(f1)),
    "frequency_weighted_iou": _weighted_sum(share, iou),
    "category_iou": float(mean_of_defined(category_iou)),
    "per_class": {
      name: {score: float(values[index]) for score, values in by_class.items()}
      for index, name in enumerate(label_space.class_names)
    },
    "per_category": {
      name: {"iou": float(value)}
      for name, value in zip(label_space.categories, category_iou, strict=True)
    },
  }


def _weighted_sum(weights: np.ndarray, values: np.ndarray) -> float:
  """The sum of weighted values; a class without a value has no pixels, hence no weight."""
  return float(np.sum(weights * np.where(np.isnan(values), 0.0, values)))
