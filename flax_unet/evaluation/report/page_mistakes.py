"""Collects, for each class, the images on which it loses most, for the report."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from flax_unet.evaluation.metrics import mistakes, segmentation
from flax_unet.evaluation.metrics.mistakes import Mistake
from flax_unet.evaluation.report.page_pictures import Shown

MOST_PICTURES = 20  # number of classes with a picture: those with the lowest IoU
_MANY_CLASSES = 32  # with more than these, fewer images by class
_IMAGES, _FEWER_IMAGES = 5, 3


@dataclasses.dataclass(frozen=True)
class OfClass:
  """The mistakes of a class over the split.

  Attributes:
    class_index: the class.
    iou: of the class over the split.
    missed: number of its pixels that were predicted as something else.
    claimed: number of other pixels that were predicted as the class.
    worst: the images with the most of these pixels.
    picture: the first of them, or None.
  """

  class_index: int
  iou: float
  missed: int
  claimed: int
  worst: Sequence[Mistake]
  picture: Shown | None = None


def find(confusions: np.ndarray) -> list[OfClass]:
  """Returns the classes with mistakes, lowest IoU first.

  Args:
    confusions: int64 `[images, classes, classes]`.
  """
  _, claimed, missed = segmentation.outcomes(confusions.sum(axis=0))
  iou = segmentation.class_iou(confusions.sum(axis=0))
  number = _IMAGES if len(iou) <= _MANY_CLASSES else _FEWER_IMAGES
  return [
    OfClass(
      class_index=int(index),
      iou=float(iou[index]),
      missed=int(missed[index]),
      claimed=int(claimed[index]),
      worst=mistakes.worst(confusions, int(index), number),
    )
    for index in np.argsort(iou, kind="stable")
    if claimed[index] + missed[index]
  ]
