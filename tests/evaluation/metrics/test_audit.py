import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from flax_unet.evaluation.metrics import audit, counting, segmentation

CLASSES = 6


def _pictures(pictures=5, shape=(16, 24), noise=0.3):
  """Labels in blocks, some ignored, later classes rarer; predictions with noise."""
  rng = np.random.default_rng(0)
  blocks = np.minimum(rng.geometric(0.4, (pictures, shape[0] // 4, shape[1] // 4)) - 1, CLASSES - 1)
  labels = blocks.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
  wrong = rng.random(labels.shape) < noise
  predictions = np.where(wrong, rng.integers(0, CLASSES, labels.shape), labels).astype(np.uint8)
  labels[rng.random(labels.shape) < 0.1] = 255
  return labels, predictions


@pytest.fixture(name="maps")
def _maps():
  return _pictures()


@pytest.fixture(name="confusions")
def _confusions(maps):
  return np.stack([counting.count(*pair, CLASSES) for pair in zip(*maps, strict=True)])


@pytest.fixture(name="values")
def _values(maps, confusions):
  extra = audit.sum_counts(audit.extra_counts(*pair, CLASSES) for pair in zip(*maps, strict=True))
  return {row.name: row.value for row in audit.definitions(confusions, extra, batch_sizes=(2,))}


def _valid(maps):
  labels, predictions = maps
  return labels[labels != 255], predictions[labels != 255]


def _iou(label_mask, prediction_mask):
  return (label_mask & prediction_mask).sum() / (label_mask | prediction_mask).sum()


def test_every_definition_is_there_under_its_name(values):
  assert list(values) == [
    "official mean IoU",
    "F1 called IoU",
    "micro IoU",
    "per-image IoU",
    "per-image, absent = 1",
    "absent = 1, per split",
    "per-batch mean, B = 2",
    "accuracy with true negatives",
    "one-hot binary IoU",
    "truthiness IoU",
    "void counted",
    "at 1/2 resolution",
    "at 1/4 resolution",
    "at 1/8 resolution",
  ]


def test_one_hot_definitions_by_brute_force_and_closed_form(maps, confusions, values):
  labels, predictions = _valid(maps)
  label_mask, prediction_mask = (np.eye(CLASSES, dtype=bool)[x] for x in (labels, predictions))
  binary = (_iou(label_mask, prediction_mask) + _iou(~label_mask, ~prediction_mask)) / 2
  assert values["micro IoU"] == pytest.approx(_iou(label_mask, prediction_mask), abs=1e-12)
  assert values["one-hot binary IoU"] == pytest.approx(binary, abs=1e-12)
  by_class = (label_mask == prediction_mask).mean(axis=0)
  assert values["accuracy with true negatives"] == pytest.approx(by_class.mean(), abs=1e-12)

  pa, c = segmentation.pixel_accuracy(confusions.sum(axis=0)), CLASSES
  assert values["micro IoU"] == pytest.approx(pa / (2 - pa), abs=1e-12)
  closed = (pa / (2 - pa) + (c - 2 + pa) / (c - pa)) / 2
  assert values["one-hot binary IoU"] == pytest.approx(closed, abs=1e-12)
  closed = 1 - 2 * (1 - pa) / c
  assert values["accuracy with true negatives"] == pytest.approx(closed, abs=1e-12)


def test_truthiness_is_what_the_two_numpy_calls_give(maps, values):
  labels, predictions = _valid(maps)
  naive = np.logical_and(labels, predictions).sum() / np.logical_or(labels, predictions).sum()
  assert values["truthiness IoU"] == pytest.approx(naive, abs=1e-12)


def test_predictions_of_no_class_are_misses_and_truthy():
  label, prediction = np.array([[0, 1, 1, 0]], np.uint8), np.array([[0, 1, 255, 255]], np.uint8)
  counts = counting.count(label, prediction, 2)
  assert audit.micro_iou(counts) == 2 / 4
  assert audit.true_negative_accuracy(counts) == 6 / 8  # two classes, four pixels, two misses
  assert audit.truthiness_iou(counts) == 2 / 3


def test_definitions_by_picture_and_batch(maps, values):
  labels, predictions = maps

  def scores(label, prediction):
    return [
      _iou(label[label != 255] == c, prediction[label != 255] == c)
      if ((label == c) | ((prediction == c) & (label != 255))).any()
      else np.nan
      for c in range(CLASSES)
    ]

  by_picture = [scores(*pair) for pair in zip(labels, predictions, strict=True)]
  assert values["per-image IoU"] == pytest.approx(np.mean([np.nanmean(x) for x in by_picture]))
  filled = [np.nan_to_num(x, nan=1.0).mean() for x in by_picture]
  assert values["per-image, absent = 1"] == pytest.approx(np.mean(filled))
  batches = [np.nanmean(scores(labels[at : at + 2], predictions[at : at + 2])) for at in (0, 2, 4)]
  assert values["per-batch mean, B = 2"] == pytest.approx(np.mean(batches))


def test_absent_classes_count_as_one():
  label = np.array([[0, 0, 1, 1]], np.uint8)
  prediction = np.array([[0, 0, 0, 1]], np.uint8)  # IoU 2/3 and 1/2
  rows = audit.definitions(counting.count(label, prediction, 4)[None])
  values = {row.name: row.value for row in rows}
  assert values["official mean IoU"] == pytest.approx((2 / 3 + 1 / 2) / 2)
  assert values["absent = 1, per split"] == pytest.approx((2 / 3 + 1 / 2 + 2) / 4)
  assert "void counted" not in values  # needs the predictions


def test_void_as_a_class_equals_scikit_learn(maps, values):
  labels, predictions = (x.reshape(-1) for x in maps)
  labels = np.where(labels == 255, CLASSES, labels)
  expected = jaccard_score(labels, predictions, average="macro")
  assert values["void counted"] == pytest.approx(expected, abs=1e-12)
  assert values["void counted"] < values["official mean IoU"] * CLASSES / (CLASSES + 1)


def test_reduced_resolution_scores_the_centre_pixels(maps, values):
  small = np.stack([x[:, 2::4, 2::4] for x in maps])
  total = sum(counting.count(*pair, CLASSES) for pair in zip(*small, strict=True))
  assert values["at 1/4 resolution"] == segmentation.mean_iou(total)


def test_ceiling_by_hand():
  label = np.array([[0, 0, 1, 0, 0]], np.uint8).repeat(2, axis=0)
  extra = audit.extra_counts(label, label, 2)
  # At 1/2, each pair of columns becomes its second, and the odd last column stays: 0 0 | 0 0 | 0.
  np.testing.assert_array_equal(extra["ceiling/2"], [[8, 0, 0], [2, 0, 0]])
  assert audit.ceilings(extra)[0].value == pytest.approx((8 / 10 + 0) / 2)


def test_a_label_in_blocks_reaches_its_ceiling():
  labels, _ = _pictures()
  labels = np.where(labels == 255, 0, labels)[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)
  extra = audit.sum_counts(audit.extra_counts(x, x, CLASSES) for x in labels)
  assert [row.value for row in audit.ceilings(extra)[:2]] == [1, 1]
  assert audit.ceilings(extra)[2].value < 1


def test_highest_mean_f1(confusions):
  total = confusions.sum(axis=0)
  mean_iou = segmentation.mean_iou(total)
  assert np.nanmean(segmentation.class_f1(total)) <= audit.highest_mean_f1(mean_iou)
  # Reached if all classes have the same IoU.
  even = np.array([[6, 2], [2, 6]])
  assert np.mean(segmentation.class_f1(even)) == pytest.approx(
    audit.highest_mean_f1(float(segmentation.mean_iou(even)))
  )


def test_table_names_each_value():
  rows = audit.definitions(np.array([[[3, 1], [0, 4]]]))
  lines = audit.table(rows).splitlines()
  assert len(lines) == len(rows) + 4
  assert "is 0.8732 at most" in lines[-1]  # 2 m / (1 + m) of m = 0.775
  assert lines[4].split()[:4] == ["micro", "IoU", "0.7778", "+0.0028"]
