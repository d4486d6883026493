"""How well predicted outlines match: boundary IoU and boundary F-score, on the host.

*Boundary IoU* (Cheng et al. 2021, https://arxiv.org/abs/2103.16562, equation 2): the IoU of the
strips inside each class's mask, at most a distance `d` from its outline. As in the authors' code,
the distance is the number of erosions by 3 x 3 pixels, `d` is a share of the image diagonal (0.02),
rounded and at least 1, and the image border is part of the outline. Intersections and unions are
summed over the split before dividing, as for the IoU.

*Boundary F-score* (Csurka et al. 2013, https://doi.org/10.5244/C.27.32): precision is the share of
a class's predicted outline within a distance of the true outline, recall the other way round, with
a distance of 0.0075 of the diagonal. A class's score is the mean over the images in whose label or
prediction it occurs. The outline consists of the pixels with a 4-neighbour of another class.

Ignored pixels belong to no class: they do not count, and there is no outline next to them.
"""

import math

import cv2
import numpy as np

from flax_unet.data.label_space import IGNORED

_SQUARE = np.ones((3, 3), np.uint8)
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def strip_overlap(
  label: np.ndarray, prediction: np.ndarray, num_classes: int, width: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
  """Counts the overlap of the strips inside the outlines.

  Args:
    label: uint8 `[height, width]`, class indices or `IGNORED`.
    prediction: the same shape, class indices.
    num_classes: number of classes.
    width: width of the strips, as a share of the image diagonal.

  Returns:
    Intersections and unions in pixels, int64 `[classes]`.
  """
  distance = max(1, round(width * math.hypot(*label.shape)))
  ignored = label == IGNORED
  intersections, unions = np.zeros((2, num_classes), np.int64)
  for index in range(num_classes):
    true, predicted = (
      _strip((mask == index) & ~ignored, ignored, distance) for mask in (label, prediction)
    )
    intersections[index] = np.count_nonzero(true & predicted)
    unions[index] = np.count_nonzero(true | predicted)
  return intersections, unions


def _strip(mask: np.ndarray, ignored: np.ndarray, distance: int) -> np.ndarray:
  """The pixels of a mask within a distance of its outline."""
  if not mask.any():
    return mask
  # Pixels outside the image do not belong to the class.
  padded = cv2.copyMakeBorder((mask | ignored).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
  eroded = cv2.erode(padded, _SQUARE, iterations=distance, borderValue=0)
  return mask & (eroded[1:-1, 1:-1] == 0)


def f_scores(
  label: np.ndarray, prediction: np.ndarray, num_classes: int, tolerance: float = 0.0075
) -> np.ndarray:
  """Computes the F-score of each class's outline.

  Args:
    label: uint8 `[height, width]`, class indices or `IGNORED`.
    prediction: the same shape, class indices.
    num_classes: number of classes.
    tolerance: the largest distance at which outlines match, as a share of the image diagonal.

  Returns:
    float64 `[classes]`; NaN for classes with an outline in neither label nor prediction.
  """
  distance = tolerance * math.hypot(*label.shape)
  ignored = label == IGNORED
  scores = np.full(num_classes, np.nan)
  for index in range(num_classes):
    true, predicted = (
      _outline((mask == index) & ~ignored, ignored) for mask in (label, prediction)
    )
    number, predicted_number = np.count_nonzero(true), np.count_nonzero(predicted)
    if number and predicted_number:
      precision = np.count_nonzero(predicted & _near(true, distance)) / predicted_number
      recall = np.count_nonzero(true & _near(predicted, distance)) / number
      total = precision + recall
      scores[index] = 2 * precision * recall / total if total else 0.0
    elif number or predicted_number:
      scores[index] = 0.0
  return scores


def _outline(mask: np.ndarray, ignored: np.ndarray) -> np.ndarray:
  """The pixels of a mask that have a neighbour of another class."""
  if not mask.any():
    return mask
  # Outside the image, the mask continues as at the border.
  inside = cv2.erode((mask | ignored).view(np.uint8), _CROSS, borderType=cv2.BORDER_REPLICATE)
  return mask & (inside == 0)


def _near(outline: np.ndarray, distance: float) -> np.ndarray:
  """The pixels within a distance of an outline."""
  away = cv2.distanceTransform((~outline).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
  return away <= distance
