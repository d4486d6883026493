"""How far a mean IoU would move on other pictures of the same kind: the bootstrap over pictures.

The pictures are drawn again with replacement, as many as there are, and the score is computed from
the drawn pictures' summed counts (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
chapters 6 and 13: percentile intervals). A drawing is a vector of how often each picture comes up,
so all drawings together are one matrix product with the pictures' counts.

A class that appears in no drawn picture has no score in that drawing, and is left out of its mean
just as in the official score. So the interval of a small split is also as wide as its rare classes
make it. It says nothing about other training runs: for those, train with other seeds.
"""

from collections.abc import Sequence
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
    confusions: int64 `[pictures, classes, classes (+ 1)]`.
    resamples: number of drawings.
    seed: of the drawings.

  Returns:
    The interval; NaN without pictures.
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
  """The interval of the second side's mean IoU minus the first's, paired by picture.

  Both sides get the same drawings, so what makes a picture hard for both cancels out. An interval
  without zero means that the difference is more than the choice of pictures.

  Args:
    first: the runs of one side, whose mean IoUs are averaged: one, or one for each seed. Each is
      int64 `[pictures, classes, classes (+ 1)]`.
    second: the same of the other side, for the same pictures in the same order.
    resamples: number of drawings.
    seed: of the drawings.

  Raises:
    ValueError: the numbers of pictures differ.
  """
  pictures = {len(confusions) for confusions in (*first, *second)}
  if len(pictures) != 1:
    raise ValueError(f"runs on {sorted(pictures)} pictures cannot be paired")
  drawings = _drawings(*pictures, resamples, seed)
  before, after = (
    np.mean([_resampled_mean_iou(confusions, drawings) for confusions in side], axis=0)
    for side in (first, second)
  )
  return _interval(after - before)


def _drawings(pictures: int, resamples: int, seed: int) -> np.ndarray:
  """int64 `[resamples, pictures]`: how often each picture is drawn."""
  uniform = np.full(pictures, 1.0 / pictures)
  return np.random.default_rng(seed).multinomial(pictures, uniform, size=resamples)


def _resampled_mean_iou(confusions: np.ndarray, drawings: np.ndarray) -> np.ndarray:
  """float64 `[resamples]`: the mean IoU of each drawing."""
  # In float64 for the sake of a fast matrix product: counts are exact up to 2^53.
  weights = drawings.astype(np.float64)
  tp, fp, fn = (weights @ counts for counts in segmentation.outcomes(confusions))
  return segmentation.mean_of_defined(segmentation.ratio(tp, tp + fp + fn))


def _interval(values: np.ndarray) -> Interval:
  """The percentile interval of the values that are defined."""
  defined = values[~np.isnan(values)]
  if not defined.size:
    return Interval(np.nan, np.nan)
  tail = (1.0 - LEVEL) / 2.0
  low, high = np.quantile(defined, (tail, 1.0 - tail))
  return Interval(float(low), float(high))
