import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score, precision_recall_fscore_support

from flax_unet import nested
from flax_unet.data import label_spaces
from flax_unet.evaluation.metrics import counting, segmentation

SPACE = label_spaces.CITYSCAPES_19

# Rows are true classes. Class 2 is never predicted, class 3 neither labelled nor predicted.
SMALL = np.array(
  [
    [6, 2, 0, 0, 1],
    [1, 3, 0, 0, 0],
    [2, 0, 0, 0, 0],
    [0, 0, 0, 0, 0],
  ]
)


def _space(num_classes):
  return label_spaces.LabelSpace(
    name="small",
    class_names=tuple("abcdefgh"[:num_classes]),
    colors=np.zeros((num_classes, 3), np.uint8),
    id_to_index={index: index for index in range(num_classes)},
    index_to_id=np.arange(num_classes, dtype=np.uint8),
    categories={"ab": (0, 1), "rest": tuple(range(2, num_classes))},
  )


def test_scores_by_hand():
  scores = segmentation.scores(SMALL, _space(4))
  # a: TP 6, FP 3, FN 3. b: TP 3, FP 2, FN 1. c: TP 0, FP 0, FN 2. d: nothing.
  ious = [6 / 12, 3 / 6, 0 / 2]
  assert [scores["per_class"][name]["iou"] for name in "abc"] == ious
  assert math.isnan(scores["per_class"]["d"]["iou"])
  assert scores["mean_iou"] == pytest.approx(np.mean(ious))
  assert scores["pixel_accuracy"] == pytest.approx(9 / 15)
  assert scores["mean_accuracy"] == pytest.approx(np.mean([6 / 9, 3 / 4, 0]))
  assert scores["mean_f1"] == pytest.approx(np.mean([12 / 18, 6 / 9, 0]))
  assert scores["frequency_weighted_iou"] == pytest.approx(9 / 15 / 2 + 4 / 15 / 2)
  assert scores["per_class"]["a"]["precision"] == pytest.approx(6 / 9)
  assert scores["per_class"]["b"]["accuracy"] == scores["per_class"]["b"]["recall"] == 3 / 4
  assert math.isnan(scores["per_class"]["c"]["precision"])  # 0 / 0: never predicted
  assert scores["per_class"]["c"]["share"] == pytest.approx(2 / 15)
  # Merged a and b: TP 12, FP 2, FN 1; the rest: TP 0, FP 0, FN 2.
  assert scores["per_category"]["ab"]["iou"] == pytest.approx(12 / 15)
  assert scores["category_iou"] == pytest.approx(12 / 15 / 2)


def test_scores_equal_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 17, 5000).astype(np.uint8)  # the last classes have no pixels
  predictions = np.where(rng.random(5000) < 0.6, labels, rng.integers(0, 18, 5000)).astype(np.uint8)
  scores = segmentation.scores(counting.count(labels, predictions, 19), SPACE)
  undefined = {"labels": range(19), "average": None, "zero_division": np.nan}
  precision, recall, f1, _ = precision_recall_fscore_support(labels, predictions, **undefined)
  for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
    ours = [scores["per_class"][class_name][name] for class_name in SPACE.class_names]
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
  assert scores["mean_f1"] == pytest.approx(np.nanmean(f1), abs=1e-12)
  assert scores["pixel_accuracy"] == pytest.approx(accuracy_score(labels, predictions), abs=1e-12)
  present = range(18)
  expected = jaccard_score(labels, predictions, labels=present, average="macro")
  assert scores["mean_iou"] == pytest.approx(expected, abs=1e-12)


def test_counts_past_int32_stay_exact():
  pictures = np.zeros((3, 19, 19), np.int32)
  pictures[:, 0, 0] = 2**31 - 1  # as many as one image can hold
  pictures[:, 0, 1] = 1
  summed = segmentation.outcomes(pictures.astype(np.int64).sum(axis=0))
  assert summed.tp[0] == 3 * (2**31 - 1)
  assert summed.fn[0] == summed.fp[1] == 3
  # A row of one int32 image that sums to more than int32 holds.
  picture = np.full((19, 19), 2**30, np.int32)
  assert segmentation.outcomes(picture).fn[0] == 18 * 2**30
  assert segmentation.pixel_accuracy(picture) == pytest.approx(1 / 19)


def test_leading_axes_are_pictures():
  pictures = np.random.default_rng(0).integers(0, 9, (4, 5, 6))
  expected = [segmentation.mean_iou(picture) for picture in pictures]
  np.testing.assert_array_equal(segmentation.mean_iou(pictures), expected)


def test_nothing_scored_is_nan_and_null_in_json():
  scores = segmentation.scores(np.zeros((19, 19), np.int64), SPACE)
  assert all(math.isnan(scores[name]) for name in ("mean_iou", "frequency_weighted_iou"))
  as_json = nested.nan_to_none(scores)
  assert as_json["mean_iou"] is None
  assert as_json["per_class"]["road"]["iou"] is None


def test_wrong_shapes_are_refused():
  with pytest.raises(ValueError, match=r"not \(3, 5\)"):
    segmentation.outcomes(np.zeros((3, 5)))
  with pytest.raises(ValueError, match="2 classes does not belong to label space 'cityscapes_19'"):
    segmentation.scores(np.zeros((2, 2)), SPACE)
