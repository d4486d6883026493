"""Label spaces: which classes are scored, and how a data set's ids map to them.

Semantic segmentation involves three numberings, and most silent mistakes come from confusing two of
them:

*   *label ids*: the values in the data set's PNGs (Cityscapes: 0..33);
*   *class indices*: what the model learns, `0..num_classes - 1`, or `IGNORED` (255);
*   what a benchmark server expects, which for Cityscapes are label ids again.

A `LabelSpace` maps between them. `label_spaces.py` has the named ones.
"""

import dataclasses
import functools
from collections.abc import Mapping

import cv2
import numpy as np

IGNORED = 255  # class index of a pixel that counts neither in the loss nor in any score


def count_values(label: np.ndarray) -> np.ndarray:
  """Counts each value of a uint8 array; returns int64 `[256]`, exact up to 2**24 pixels."""
  # Three times as fast as np.bincount, which converts to int64; but its counts are float32.
  return cv2.calcHist([label.reshape(-1)], [0], None, [256], [0, 256]).astype(np.int64).reshape(-1)


@dataclasses.dataclass(frozen=True, eq=False)
class LabelSpace:
  """A set of classes and its relation to the label ids of a data set.

  Attributes:
    name: the name under which configurations refer to it.
    class_names: one name per class; its position is the class index.
    colors: uint8 `[num_classes, 3]`, RGB.
    id_to_index: mapping from every label id that the data set may contain to a class index, or to
      `IGNORED`. Any other id is a mistake in the data.
    index_to_id: uint8 `[num_classes]`, the label id to write for each class.
    categories: mapping from a category's name to the class indices it merges.
    instance_classes: indices of the classes whose instances are labelled.
    color_to_id: the label id of every colour that an RGB mask may contain; empty if masks only hold
      ids.
  """

  name: str
  class_names: tuple[str, ...]
  colors: np.ndarray
  id_to_index: Mapping[int, int]
  index_to_id: np.ndarray
  categories: Mapping[str, tuple[int, ...]]
  instance_classes: tuple[int, ...] = ()
  color_to_id: Mapping[tuple[int, int, int], int] = dataclasses.field(default_factory=dict)

  @property
  def num_classes(self) -> int:
    """The number of classes."""
    return len(self.class_names)

  @functools.cached_property
  def lookup_table(self) -> np.ndarray:
    """uint8 `[256]`: label id to class index; unknown ids map to `IGNORED` too."""
    table = np.full(256, IGNORED, np.uint8)
    for label_id, index in self.id_to_index.items():
      table[label_id] = index
    return table

  @functools.cached_property
  def known_ids(self) -> np.ndarray:
    """Whether a value is a label id: bool `[256]`."""
    known = np.zeros(256, bool)
    known[list(self.id_to_index)] = True
    return known

  def count_classes(self, counts: np.ndarray) -> np.ndarray:
    """Adds up counts by label id, `[256]`, to counts by class, int64 `[num_classes]`."""
    by_class = np.bincount(self.lookup_table, weights=counts, minlength=256)
    return by_class[: self.num_classes].astype(np.int64)

  def unknown_ids(self, label_ids: np.ndarray) -> list[int]:
    """Returns the values in an integer array that are not label ids of this space, sorted."""
    present = np.flatnonzero(count_values(np.asarray(label_ids, np.uint8)))
    return [int(value) for value in present if int(value) not in self.id_to_index]

  def to_index(self, label_ids: np.ndarray) -> np.ndarray:
    """Maps label ids to class indices.

    Args:
      label_ids: uint8 array of any shape.

    Returns:
      uint8 array of the same shape: class indices, or `IGNORED`.

    Raises:
      ValueError: a value is not a label id of this space; the message lists such values.
    """
    if unknown := self.unknown_ids(label_ids):
      values = ", ".join(map(str, unknown))
      raise ValueError(f"label value {values} is not in label space '{self.name}'")
    return cv2.LUT(label_ids.reshape(-1), self.lookup_table).reshape(label_ids.shape)

  def colorize(self, indices: np.ndarray) -> np.ndarray:
    """Paints class indices `[...]` (ignored pixels black) as uint8 RGB `[..., 3]`."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: self.num_classes] = self.colors
    return palette[indices]
