import numpy as np
import pytest

from flax_unet.evaluation.metrics import bootstrap, segmentation


def _pictures(number=40, classes=4, seed=0, accuracy=None):
  rng = np.random.default_rng(seed)
  accuracy = rng.uniform(0.5, 1, number) if accuracy is None else accuracy
  pictures = rng.integers(1, 30, (number, classes, classes + 1))
  diagonal = np.arange(classes)
  pictures[:, diagonal, diagonal] += (400 * accuracy).astype(int)[:, None]
  return pictures


def test_interval_is_that_of_pictures_drawn_one_by_one():
  pictures = _pictures()
  drawings = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=200)
  scores = [segmentation.mean_iou(pictures.repeat(drawn, axis=0).sum(axis=0)) for drawn in drawings]
  expected = np.quantile(scores, (0.025, 0.975))
  interval = bootstrap.mean_iou_interval(pictures, resamples=200)
  np.testing.assert_allclose(interval, expected, rtol=1e-12)
  assert interval.low < segmentation.mean_iou(pictures.sum(axis=0)) < interval.high


def test_interval_covers_the_score_of_all_pictures():
  everything = _pictures(4000, seed=1)
  score = segmentation.mean_iou(everything.sum(axis=0))
  intervals = [bootstrap.mean_iou_interval(part) for part in np.split(everything, 80)]
  covered = np.mean([interval.low <= score <= interval.high for interval in intervals])
  assert 0.85 < covered <= 1  # of 80 intervals, each of 95 %


def test_equal_pictures_leave_no_doubt():
  interval = bootstrap.mean_iou_interval(_pictures(1).repeat(10, axis=0))
  assert interval.high - interval.low < 1e-12


def test_the_same_seed_gives_the_same_interval():
  pictures = _pictures()
  assert bootstrap.mean_iou_interval(pictures) == bootstrap.mean_iou_interval(pictures)
  assert bootstrap.mean_iou_interval(pictures) != bootstrap.mean_iou_interval(pictures, seed=1)


def test_pairing_cancels_what_is_hard_for_both():
  hardness = np.random.default_rng(0).uniform(0.4, 0.9, 40)
  first, second = _pictures(accuracy=hardness), _pictures(accuracy=hardness + 0.05, seed=1)
  paired = bootstrap.mean_iou_difference_interval([first], [second])
  score = segmentation.mean_iou(second.sum(axis=0)) - segmentation.mean_iou(first.sum(axis=0))
  assert 0 < paired.low < score < paired.high
  alone = [bootstrap.mean_iou_interval(pictures) for pictures in (first, second)]
  assert alone[0].high > alone[1].low  # the unpaired intervals overlap
  assert bootstrap.mean_iou_difference_interval([first], [first]) == (0, 0)


def test_seeds_of_a_side_are_averaged():
  first, second = _pictures(), _pictures(seed=1)
  alone = bootstrap.mean_iou_difference_interval([first], [second])
  diluted = bootstrap.mean_iou_difference_interval([first, second], [second])
  np.testing.assert_allclose(diluted, np.array(alone) / 2, rtol=1e-9)


def test_a_class_missing_from_a_drawing_is_left_out_of_its_mean():
  pictures = np.zeros((2, 2, 2), np.int64)
  pictures[0, 0, 0] = 10  # class 0: IoU 1 in the first image, its only class
  pictures[1, 1] = [0, 10]  # class 1 only in the second
  assert bootstrap.mean_iou_interval(pictures) == (1, 1)
  assert np.isnan(bootstrap.mean_iou_interval(np.zeros((3, 2, 2)))).all()


def test_other_pictures_cannot_be_paired():
  with pytest.raises(ValueError, match=r"\[2, 3\] images cannot be paired"):
    bootstrap.mean_iou_difference_interval([_pictures(3)], [_pictures(2)])


def test_class_intervals_are_those_of_pictures_drawn_one_by_one():
  first, second = _pictures(12), _pictures(12, seed=1)
  first[3:, 2] = second[3:, 2] = first[3:, :, 2] = second[3:, :, 2] = 0  # a class in three images
  drawings = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=300)
  intervals = bootstrap.class_iou_difference_intervals([first], [second], resamples=300)
  for index, interval in enumerate(intervals):
    differences = []
    for drawn in drawings:
      before, after = (
        segmentation.class_iou(pictures.repeat(drawn, axis=0).sum(axis=0))[index]
        for pictures in (first, second)
      )
      differences += [] if np.isnan(after - before) else [after - before]
    np.testing.assert_allclose(interval, np.quantile(differences, (0.025, 0.975)), rtol=1e-12)
    assert (len(differences) < 300) == (index == 2)


def test_class_intervals_of_two_images_by_hand():
  """Resamples are (2, 0), (1, 1) and (0, 2) images, of which the outer two have 1/4 each."""
  first, second = np.zeros((2, 2, 3, 3), np.int64)
  first[0, 0], second[0, 0] = [5, 5, 0], [8, 2, 0]  # class 0: IoU 0.5 and 0.8
  first[1, 0], second[1, 0] = [5, 5, 0], [5, 5, 0]
  second[1, 1] = [0, 4, 0]  # class 1: in the second image, only one side has a true positive
  first[1, 1] = [4, 0, 0]
  road, wall, never = bootstrap.class_iou_difference_intervals([first], [second])
  # Class 0 of the first side: 5/10 in the first image, 5/14 in the second.
  np.testing.assert_allclose(road, (5 / 10 - 5 / 14, 8 / 10 - 5 / 10))
  # Class 1 is wrongly predicted in both images; only the second has its label.
  np.testing.assert_allclose(wall, (0, 4 / 9))
  assert np.isnan(never).all()


def test_a_class_that_one_side_never_has_has_no_interval():
  first, second = np.zeros((2, 2, 2, 2), np.int64)
  first[:, 0], second[:, 0] = [10, 0], [9, 1]  # class 1 occurs only in the second's predictions
  known, unknown = bootstrap.class_iou_difference_intervals([first], [second])
  np.testing.assert_allclose(known, (-0.1, -0.1))
  assert np.isnan(unknown).all()
