"""Finds the images on which groups of runs differ most."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report.finished_runs import Run


@dataclasses.dataclass(frozen=True)
class Changed:
  """An image on which two groups differ; scores are means over the runs of a group.

  Attributes:
    id: the id of the image.
    first: its mean IoU in the first group, over the classes in its label or prediction.
    other: its mean IoU in the other group.
    class_index: the class with the largest change in correct pixels.
    pixels: that change.
  """

  id: str
  first: float
  other: float
  class_index: int
  pixels: int

  @property
  def difference(self) -> float:
    """The other group's mean IoU minus the first's."""
    return self.other - self.first


def most_changed(
  first: Sequence[Run], other: Sequence[Run], number: int
) -> tuple[list[Changed], list[Changed]]:
  """Returns the images that lose most from the first group to the other, and those that gain most.

  Args:
    first: the runs of the first group, on the same images as the others.
    other: the runs of the other group.
    number: how many images to return of each, at most.

  Returns:
    Images that are worse in the other group, worst first, and images that are better, best first.
    Images without a score in one of the runs are left out.
  """
  before, after = (_image_scores(side) for side in (first, other))
  correct = _correct_pixels(other) - _correct_pixels(first)
  classes = np.abs(correct).argmax(axis=1)
  difference = after - before
  order = np.argsort(difference, kind="stable")

  def changed(index: int) -> Changed:
    of_class = int(classes[index])
    pixels = round(float(correct[index, of_class]))
    scores = float(before[index]), float(after[index])
    return Changed(str(first[0].ids[index]), *scores, of_class, pixels)

  lost = [changed(index) for index in order if difference[index] < 0]
  gained = [changed(index) for index in order[::-1] if difference[index] > 0]
  return lost[:number], gained[:number]


def _image_scores(runs: Sequence[Run]) -> np.ndarray:
  """float64 `[images]`: the mean IoU of each image, NaN if a run has none."""
  return np.mean([segmentation.mean_iou(run.confusions) for run in runs], axis=0)


def _correct_pixels(runs: Sequence[Run]) -> np.ndarray:
  """float64 `[images, classes]`: the correctly predicted pixels."""
  return np.mean([segmentation.outcomes(run.confusions).tp for run in runs], axis=0)
