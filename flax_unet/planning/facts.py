"""What a plan depends on: the sizes of the images, the classes, and the sizes of their objects.

They are read from the masks of the training split once, and kept in the user's cache folder.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from absl import logging

from flax_unet import caches, errors, terminal
from flax_unet.data import examples
from flax_unet.data.datasets import Source
from flax_unet.data.label_space import LabelSpace


@dataclasses.dataclass(frozen=True)
class Facts:
  """Facts of a training split.

  Attributes:
    sizes: int64 `[images, 2]`, height and width in pixels.
    class_pixels: int64 `[images, classes]`.
    object_sides: float64 `[images, classes]`, see `object_side`; 0 where the image has no object.
  """

  sizes: np.ndarray
  class_pixels: np.ndarray
  object_sides: np.ndarray

  @property
  def num_images(self) -> int:
    """Number of images."""
    return len(self.sizes)

  @property
  def median_size(self) -> tuple[float, float]:
    """Median height and median width, in pixels."""
    height, width = np.median(self.sizes, axis=0)
    return float(height), float(width)

  @property
  def largest_size(self) -> tuple[int, int]:
    """Height and width of the image with the most pixels."""
    height, width = self.sizes[self.sizes.prod(axis=1).argmax()]
    return int(height), int(width)

  @property
  def class_sides(self) -> np.ndarray:
    """float64 `[classes]`: median over the images with the class of the sides of its objects."""
    held = np.where(self.object_sides > 0, self.object_sides, np.nan)
    present = ~np.isnan(held).all(axis=0)
    sides = np.zeros(held.shape[1])
    sides[present] = np.nanmedian(held[:, present], axis=0)
    return sides


def object_side(areas: np.ndarray) -> float:
  """The typical side of a class's objects in an image: the square root of an area, in pixels.

  Half of the class's pixels belong to objects of this area or more, so specks hardly count.

  Args:
    areas: int `[objects]`, the pixels of each object.
  """
  if not len(areas):
    return 0.0
  areas = np.sort(areas)[::-1]
  return float(areas[np.searchsorted(areas.cumsum(), areas.sum() / 2)] ** 0.5)


def of_mask(mask: np.ndarray, num_classes: int) -> np.ndarray:
  """The facts of one mask.

  Args:
    mask: uint8 `[height, width]` of class indices; larger ones are ignored.
    num_classes: number of classes.

  Returns:
    float64 `[2 + 2 * classes]`: height, width, pixels of each class, sides of its objects.
  """
  pixels = np.bincount(mask.reshape(-1), minlength=256)[:num_classes]
  sides = np.zeros(num_classes)
  for index in np.flatnonzero(pixels):
    of_class = (mask == index).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(of_class, connectivity=8)
    sides[index] = object_side(stats[1:, cv2.CC_STAT_AREA])
  return np.concatenate([mask.shape, pixels, sides])


def read(source: Source, label_space: LabelSpace, skip_bad_examples: bool = False) -> np.ndarray:
  """Reads every mask of a split, on all cores.

  Args:
    source: the split.
    label_space: the classes.
    skip_bad_examples: whether examples that cannot be used are left out.

  Returns:
    float64 `[examples, 2 + 2 * classes]`, see `of_mask`; NaN for examples that are left out.

  Raises:
    UserError: an example cannot be used.
  """
  classes = label_space.num_classes
  left_out = np.full(2 + 2 * classes, np.nan)
  rows = examples.of_each(
    source,
    lambda example: of_mask(label_space.lookup_table[example["label"]], classes),
    (lambda _: left_out) if skip_bad_examples else None,
  )
  return np.stack(list(rows))


def read_once(
  source: Source,
  label_space: LabelSpace,
  identity: Mapping[str, Any],
  skip_bad_examples: bool = False,
) -> Facts:
  """Returns the facts of a split, from the cache folder if they are there.

  Args:
    source: the split.
    label_space: the classes.
    identity: determines the examples, see `cache.on_disk`.
    skip_bad_examples: see `read`.

  Raises:
    UserError: an example cannot be used, or none can.
  """
  ids = {str(label_id): int(index) for label_id, index in label_space.id_to_index.items()}

  def compute() -> np.ndarray:
    logging.info("Measuring the objects of %s", terminal.counted(len(source), "mask"))
    return read(source, label_space, skip_bad_examples)

  classes = label_space.num_classes
  rows = caches.array(
    "flax_unet_plan_facts",
    {**identity, "ids": ids, "skip": skip_bad_examples},
    (len(source), 2 + 2 * classes),
    compute,
  )
  rows = rows[~np.isnan(rows).any(axis=1)]
  if not len(rows):
    raise errors.UserError("no training example can be used to plan a run (config.plan)")
  numbers = rows[:, : 2 + classes].astype(np.int64)
  return Facts(numbers[:, :2], numbers[:, 2:], rows[:, 2 + classes :])
