"""The audit: what else gets called "mean IoU", computed from the same predictions.

Most definitions follow from one confusion matrix per image, `[images, classes, classes (+ 1)]`.
Three need the label and prediction themselves: void counted, reduced resolution, and the ceiling.
`extra_counts` counts those for one image; the counts add up over images, whole or in parts:

    extra = sum_counts(extra_counts(label, prediction, 19) for label, prediction in pairs)
    print(table(definitions(confusions, extra), ceilings(extra)))
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.metrics.counting import count_with_ignored, fold, joint_histogram
from flax_unet.tables import text_table

FACTORS = (2, 4, 8)  # by which images are shrunk
BATCH_SIZES = (4, 16)  # consecutive images per batch


class Row(NamedTuple):
  """One definition: its name, its value on these predictions, and how it is computed."""

  name: str
  value: float
  definition: str


def extra_counts(
  label: np.ndarray, prediction: np.ndarray, num_classes: int
) -> dict[str, np.ndarray]:
  """Counts what the audit needs besides an image's confusion matrix.

  Args:
    label: uint8 `[height, width]`, class indices; values from `num_classes` on are ignored.
    prediction: uint8, the same shape; values from `num_classes` on are no scored class.
    num_classes: number of classes.

  Returns:
    int64 arrays that may be summed over images: `ignored` `[classes + 1]`, the predictions where
    the label is ignored, and those of `shrunk_counts`.
  """
  ignored = count_with_ignored(label, prediction, num_classes)[-1]
  indices = np.arange(256, dtype=np.uint8)
  return {"ignored": ignored, **shrunk_counts(label, prediction, indices, num_classes)}


def shrunk_counts(
  label: np.ndarray, prediction: np.ndarray, class_of: np.ndarray, num_classes: int
) -> dict[str, np.ndarray]:
  """Counts an image after shrinking label and prediction by each of `FACTORS`.

  Shrinking takes the centre pixel of every square, since class values cannot be averaged.

  Args:
    label: uint8 `[height, width]`, values in any numbering.
    prediction: uint8, the same shape and numbering.
    class_of: uint8 `[256]`, the class index of each value; `num_classes` and above: no class.
    num_classes: number of classes.

  Returns:
    For each factor, `reduced/<factor>`, label against prediction after shrinking, and
    `ceiling/<factor>`, label against itself shrunk and enlarged again; both int64
    `[classes, classes + 1]`.
  """

  def count(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return fold(joint_histogram(first, second), class_of, num_classes)[:num_classes]

  counts = {}
  height, width = label.shape
  for factor in FACTORS:
    small = np.ix_(_centres(height, factor), _centres(width, factor))
    enlarged = label[small].repeat(factor, axis=1).repeat(factor, axis=0)[:height, :width]
    counts[f"reduced/{factor}"] = count(label[small], prediction[small])
    counts[f"ceiling/{factor}"] = count(label, enlarged)
  return counts


def _centres(size: int, factor: int) -> np.ndarray:
  """The centre of every group of `factor` pixels in a row of `size`; the last may be smaller."""
  return np.minimum(np.arange(factor // 2, size + factor // 2, factor), size - 1)


def sum_counts(pictures: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
  """Sums the extra counts of images, or of parts of a split."""
  totals: dict[str, np.ndarray] = {}
  for counts in pictures:
    for name, values in counts.items():
      totals[name] = totals.get(name, 0) + values
  return totals


def micro_iou(confusion: np.ndarray) -> float:
  """TP / (TP + FP + FN), with each summed over the classes."""
  tp, fp, fn = (int(np.sum(values)) for values in segmentation.outcomes(confusion))
  return float(segmentation.ratio(tp, tp + fp + fn))


def true_negative_accuracy(confusion: np.ndarray) -> float:
  """The mean over classes of (TP + TN) / N; for every class, most pixels are true negatives."""
  _, fp, fn = (int(np.sum(values)) for values in segmentation.outcomes(confusion))
  return 1.0 - float(segmentation.ratio(fp + fn, confusion.shape[0] * int(np.sum(confusion))))


def one_hot_binary_iou(confusion: np.ndarray) -> float:
  """The mean IoU of the two values, "is" and "is not", over one-hot masks `[pixels, classes]`."""
  tp, fp, fn = (int(np.sum(values)) for values in segmentation.outcomes(confusion))
  tn = confusion.shape[0] * int(np.sum(confusion)) - tp - fp - fn
  wrong = fp + fn
  return float((segmentation.ratio(tp, tp + wrong) + segmentation.ratio(tn, tn + wrong)) / 2)


def truthiness_iou(confusion: np.ndarray) -> float:
  """`logical_and(label, prediction)` over `logical_or` of class maps: the IoU of "not class 0"."""
  neither_is_zero, both_are_zero = int(confusion[1:, 1:].sum()), int(confusion[0, 0])
  return float(segmentation.ratio(neither_is_zero, int(confusion.sum()) - both_are_zero))


def per_batch_iou(confusions: np.ndarray, batch_size: int) -> float:
  """The mean IoU of each batch's counts, averaged over batches of consecutive images."""
  starts = np.arange(0, len(confusions), batch_size)
  batches = np.add.reduceat(confusions, starts, axis=0, dtype=np.int64)
  return float(segmentation.mean_of_defined(segmentation.mean_iou(batches)))


def void_counted_iou(confusion: np.ndarray, ignored: np.ndarray) -> float:
  """Mean IoU with ignored pixels as an additional class, which a model can never predict.

  Args:
    confusion: int64 `[classes, classes (+ 1)]`.
    ignored: int64 `[classes + 1]`, the predictions on ignored pixels.
  """
  num_classes = confusion.shape[0]
  counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
  counts[:-1, : confusion.shape[1]] = confusion
  counts[-1] = ignored
  return float(segmentation.mean_iou(counts))


def definitions(
  confusions: np.ndarray,
  extra: Mapping[str, np.ndarray] | None = None,
  batch_sizes: Sequence[int] = BATCH_SIZES,
) -> list[Row]:
  """Computes every definition of "mean IoU".

  Args:
    confusions: int64 `[images, classes, classes (+ 1)]`; without images all values are NaN.
    extra: the total of `extra_counts` over the same images; without it, the definitions that need
      it are omitted.
    batch_sizes: images per batch, for the per-batch mean.

  Returns:
    The official definition first.
  """
  total = confusions.sum(axis=0, dtype=np.int64)
  by_picture = segmentation.class_iou(confusions)
  absent_is_one = np.nan_to_num(by_picture, nan=1.0).mean(axis=-1)
  absent = segmentation.mean_of_defined(absent_is_one)
  per_split = np.nan_to_num(segmentation.class_iou(total), nan=1.0)
  per_picture = segmentation.mean_of_defined(segmentation.mean_of_defined(by_picture))
  f1 = segmentation.mean_of_defined(segmentation.class_f1(total))
  rows = [
    Row("official mean IoU", float(segmentation.mean_iou(total)), "counted over the whole split"),
    Row("F1 called IoU", float(f1), "mean of 2 TP / (2 TP + FP + FN)"),
    Row("micro IoU", micro_iou(total), "all classes' TP / (TP + FP + FN)"),
    Row("per-image IoU", float(per_picture), "over the classes in an image, then images"),
    Row("per-image, absent = 1", float(absent), "absent classes count as 1"),
    Row("absent = 1, per split", float(per_split.mean()), "likewise, over the whole split"),
  ]
  rows += [
    Row(f"per-batch mean, B = {size}", per_batch_iou(confusions, size), "mean IoU of each batch")
    for size in batch_sizes
  ]
  rows += [
    Row("accuracy with true negatives", true_negative_accuracy(total), "mean of (TP + TN) / N"),
    Row("one-hot binary IoU", one_hot_binary_iou(total), '"is" and "is not" in one-hot masks'),
    Row("truthiness IoU", truthiness_iou(total), 'IoU of "not class 0"; 1 with ids from 1 on'),
  ]
  if extra:
    void = void_counted_iou(total, extra["ignored"])
    rows += [Row("void counted", void, "ignored pixels are a separate class")]
    rows += [
      Row(f"at 1/{factor} resolution", value, "label and prediction shrunk first")
      for factor, value in _by_factor(extra, "reduced")
    ]
  return rows


def ceilings(extra: Mapping[str, np.ndarray]) -> list[Row]:
  """The mean IoU of the label itself, shrunk and enlarged again.

  A prediction that was enlarged by repeating pixels can only exceed it by luck. One whose class
  scores were enlarged before the argmax can exceed it.
  """
  return [
    Row(f"ceiling at 1/{factor}", value, "the label itself, shrunk and enlarged")
    for factor, value in _by_factor(extra, "ceiling")
  ]


def _by_factor(extra: Mapping[str, np.ndarray], kind: str) -> list[tuple[int, float]]:
  return [(factor, float(segmentation.mean_iou(extra[f"{kind}/{factor}"]))) for factor in FACTORS]


def highest_mean_f1(mean_iou: float) -> float:
  """The highest mean F1 possible for a mean IoU `m` over the same counts: 2 m / (1 + m).

  F1 is the concave function 2 x / (1 + x) of a class's IoU, so the mean F1 is no higher (Jensen). A
  pair that violates this was not computed from the same counts.
  """
  return 2.0 * mean_iou / (1.0 + mean_iou)


def table(rows: Sequence[Row], ceiling_rows: Sequence[Row] = ()) -> str:
  """The audit as text: each value, its difference from the official one, and the highest F1."""
  official = rows[0].value
  cells = [
    (row.name, f"{row.value:.4f}", f"{row.value - official:+.4f}", row.definition) for row in rows
  ]
  cells += [(row.name, f"{row.value:.4f}", "", row.definition) for row in ceiling_rows]
  return (
    text_table(("definition", "value", "difference", "how"), cells)
    + f"\n\nWith this mean IoU, the mean F1 of the same counts is {highest_mean_f1(official):.4f}"
    " at most."
  )
