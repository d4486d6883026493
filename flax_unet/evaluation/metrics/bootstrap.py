"""Bootstrap over images: how much a mean IoU would vary on other images of the same kind.

Each resample draws as many images as there are, with replacement, and computes the score from their
summed counts (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 13:
percentile intervals). A resample is a vector that says how often each image is drawn, so one matrix
product with the images' counts evaluates all resamples.

A class that appears in no drawn image has no score in that resample, and its mean omits the class,
as in the official score. So rare classes widen the interval of a small split. The interval of a
single class is over the resamples that give it a score: a class in few images has too narrow an
interval, and one in a single image has none to speak of. No interval says anything about other
training runs: for those, train with other seeds.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from flax_unet.evaluation.metrics import segmentation

RESAMPLES = 1000
LEVEL = 0.95


class Interval(NamedTuple):
  """The bounds of a 95 % interval."""

  low: float
  high: float


def mean_iou_interval(
  confusions: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
  """The interval of the mean IoU.

  Args:
    confusions: int64 `[images, classes, classes (+ 1)]`.
    resamples: number of resamples.
    seed: seed of the resampling.

  Returns:
    The interval; NaN without images.
  """
  if not len(confusions):
    return Interval(np.nan, np.nan)
  return _interval(_resampled_mean_iou(confusions, _drawings(len(confusions), resamples, seed)))


def mean_iou_difference_interval(
  first: Sequence[np.ndarray],
  second: Sequence[np.ndarray],
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Interval:
  """The interval of the second side's mean IoU minus the first's, paired by image.

  Both sides use the same resamples, so what makes an image hard for both cancels out. If the
  interval excludes zero, the choice of images does not explain the difference.

  Args:
    first: the runs of one side, whose mean IoUs are averaged: a single run, or one for each seed.
      Each is int64 `[images, classes, classes (+ 1)]`.
    second: the runs of the other side, on the same images in the same order.
    resamples: number of resamples.
    seed: seed of the resampling.

  Raises:
    ValueError: the numbers of images differ.
  """
  difference = _resampled_difference(_resampled_mean_iou, first, second, resamples, seed)
  return _interval(difference)


def class_iou_difference_intervals(
  first: Sequence[np.ndarray],
  second: Sequence[np.ndarray],
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> list[Interval]:
  """The same intervals for the IoU of each class, from the same resamples.

  A resample in which the class has no IoU in one of the runs, because no drawn image has it in its
  label or prediction, says nothing about the class and is left out of its interval.

  Args:
    first: see `mean_iou_difference_interval`.
    second: likewise.
    resamples: number of resamples.
    seed: seed of the resampling.

  Returns:
    An interval for each class; NaN if a run has no IoU of the class.

  Raises:
    ValueError: the numbers of images differ.
  """
  differences = _resampled_difference(_resampled_class_iou, first, second, resamples, seed)
  return [_interval(of_class) for of_class in differences.T]


def _resampled_difference(
  score: Callable[[np.ndarray, np.ndarray], np.ndarray],
  first: Sequence[np.ndarray],
  second: Sequence[np.ndarray],
  resamples: int,
  seed: int,
) -> np.ndarray:
  """float64 `[resamples, ...]`: the second side's mean score minus the first's."""
  pictures = {len(confusions) for confusions in (*first, *second)}
  if len(pictures) != 1:
    raise ValueError(f"runs on {sorted(pictures)} images cannot be paired")
  drawings = _drawings(*pictures, resamples, seed)
  before, after = (
    np.mean([score(confusions, drawings) for confusions in side], axis=0)
    for side in (first, second)
  )
  return after - before


def _drawings(pictures: int, resamples: int, seed: int) -> np.ndarray:
  """int64 `[resamples, images]`: how often each image is drawn."""
  uniform = np.full(pictures, 1.0 / pictures)
  return np.random.default_rng(seed).multinomial(pictures, uniform, size=resamples)


def _resampled_mean_iou(confusions: np.ndarray, drawings: np.ndarray) -> np.ndarray:
  """float64 `[resamples]`: the mean IoU of each resample."""
  return segmentation.mean_of_defined(_resampled_class_iou(confusions, drawings))


def _resampled_class_iou(confusions: np.ndarray, drawings: np.ndarray) -> np.ndarray:
  """float64 `[resamples, classes]`: the IoU of each class in each resample; NaN without pixels."""
  # float64 makes the matrix product fast, and counts are exact up to 2^53.
  weights = drawings.astype(np.float64)
  tp, fp, fn = (weights @ counts for counts in segmentation.outcomes(confusions))
  return segmentation.ratio(tp, tp + fp + fn)


def _interval(values: np.ndarray) -> Interval:
  """The percentile interval of the values that are not NaN."""
  defined = values[~np.isnan(values)]
  if not defined.size:
    return Interval(np.nan, np.nan)
  tail = (1.0 - LEVEL) / 2.0
  low, high = np.quantile(defined, (tail, 1.0 - tail))
  return Interval(float(low), float(high))
