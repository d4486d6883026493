"""Finds the images with the most mistakes of a class: false-negative and false-positive pixels."""

import dataclasses
from collections.abc import Sequence

import numpy as np

_OTHERS = 2  # number of other classes to name


@dataclasses.dataclass(frozen=True)
class Mistake:
  """The mistakes of a class in an image.

  Attributes:
    index: the index of the image.
    missed: number of the class's pixels that were predicted as something else.
    missed_as: indices of the classes they were mostly predicted as, with the numbers of pixels.
    claimed: number of other classes' pixels that were predicted as the class.
    claimed_from: indices of their classes, most frequent first, with the numbers of pixels.
    iou: of the class in the image.
  """

  index: int
  missed: int
  missed_as: Sequence[tuple[int, int]]
  claimed: int
  claimed_from: Sequence[tuple[int, int]]
  iou: float

  @property
  def pixels(self) -> int:
    """The number of wrong pixels: IoU = TP / (TP + pixels)."""
    return self.missed + self.claimed


def worst(confusions: np.ndarray, class_index: int, number: int) -> list[Mistake]:
  """Returns the images with the most wrong pixels of a class.

  Args:
    confusions: int64 `[images, classes, classes]`; rows are true classes.
    class_index: the class.
    number: how many images to return, at most.

  Returns:
    The mistakes in each image, most pixels first; images without mistakes are left out.
  """
  missed, claimed = confusions[:, class_index].copy(), confusions[:, :, class_index].copy()
  correct = missed[:, class_index].copy()
  missed[:, class_index] = claimed[:, class_index] = 0
  wrong = missed.sum(axis=1) + claimed.sum(axis=1)
  order = np.argsort(-wrong, kind="stable")[:number]
  return [
    Mistake(
      index=int(index),
      missed=int(missed[index].sum()),
      missed_as=_most(missed[index]),
      claimed=int(claimed[index].sum()),
      claimed_from=_most(claimed[index]),
      iou=float(correct[index] / (correct[index] + wrong[index])),
    )
    for index in order
    if wrong[index]
  ]


def _most(pixels: np.ndarray) -> list[tuple[int, int]]:
  """The classes with the most pixels, and the pixels."""
  order = np.argsort(-pixels, kind="stable")[:_OTHERS]
  return [(int(index), int(pixels[index])) for index in order if pixels[index]]
