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
    class_index: the class whose own IoU in the image changed most, in the same direction.
    class_difference: that change; a class that is in neither label nor prediction counts as 1.
  """

  id: str
  first: float
  other: float
  class_index: int
  class_difference: float

  @property
  def difference(self) -> float:
    """The other group's mean IoU minus the first's."""
    return self.other - self.first


def changed(first: Sequence[Run], other: Sequence[Run]) -> tuple[list[Changed], list[Changed]]:
  """Returns the images that lose from the first group to the other, and those that gain.

  Args:
    first: the runs of the first group, on the same images as the others.
    other: the runs of the other group.

  Returns:
    Images that are worse in the other group, worst first, and images that are better, best first.
    Images without a score in one of the runs are left out.
  """
  before, after = (_image_scores(side) for side in (first, other))
  difference, by_class = after - before, _class_scores(other) - _class_scores(first)
  order = np.argsort(difference, kind="stable")

  def describe(index: int) -> Changed:
    changes = by_class[index]
    of_class = int(changes.argmin() if difference[index] < 0 else changes.argmax())
    scores = float(before[index]), float(after[index])
    return Changed(str(first[0].ids[index]), *scores, of_class, float(changes[of_class]))

  lost = [describe(index) for index in order if difference[index] < 0]
  gained = [describe(index) for index in order[::-1] if difference[index] > 0]
  return lost, gained


def _image_scores(runs: Sequence[Run]) -> np.ndarray:
  """float64 `[images]`: the mean IoU of each image, NaN if a run has none."""
  return np.mean([segmentation.mean_iou(run.confusions) for run in runs], axis=0)


def _class_scores(runs: Sequence[Run]) -> np.ndarray:
  """float64 `[images, classes]`: the IoU of each class in each image, 1 if it is not there."""
  scores = [segmentation.class_iou(run.confusions) for run in runs]
  return np.mean(np.nan_to_num(scores, nan=1.0), axis=0)
