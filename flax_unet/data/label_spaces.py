"""Label spaces: which classes are scored, and how a data set's ids map to them.

Three numberings meet in semantic segmentation, and most silent mistakes confuse two of them:

*   *label ids*: what the data set's PNGs hold (Cityscapes: 0..33);
*   *class indices*: what the model learns, `0..num_classes - 1`, or `IGNORED` (255);
*   what a server expects back, which for Cityscapes are label ids again.

A `LabelSpace` holds the maps between them. The Cityscapes table is that of
cityscapesScripts, `helpers/labels.py`.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from flax_unet import errors

IGNORED = 255  # class index of a pixel that counts neither in the loss nor in any score


@dataclasses.dataclass(frozen=True, eq=False)
class LabelSpace:
  """A set of classes and its relation to the label ids of a data set.

  Attributes:
    name: the name under which configurations refer to it.
    class_names: one name a class; its position is the class index.
    colors: uint8 `[num_classes, 3]`, RGB.
    id_to_index: mapping from every label id that the data set may hold to a class index, or to
      `IGNORED`. Ids that are not in it are mistakes in the data.
    index_to_id: uint8 `[num_classes]`, the label id to write for each class.
    categories: mapping from a category's name to the class indices it merges.
    instance_classes: indices of the classes whose instances are labelled.
  """

  name: str
  class_names: tuple[str, ...]
  colors: np.ndarray
  id_to_index: Mapping[int, int]
  index_to_id: np.ndarray
  categories: Mapping[str, tuple[int, ...]]
  instance_classes: tuple[int, ...] = ()

  @property
  def num_classes(self) -> int:
    return len(self.class_names)

  @functools.cached_property
  def lookup_table(self) -> np.ndarray:
    """uint8 `[256]`: label id to class index; unknown ids map to `IGNORED` too."""
    table = np.full(256, IGNORED, np.uint8)
    for label_id, index in self.id_to_index.items():
      table[label_id] = index
    return table

  def unknown_ids(self, label_ids: np.ndarray) -> list[int]:
    """Returns the values in an integer array that are no label id of this space, in order."""
    counts = np.bincount(np.asarray(label_ids, np.uint8).reshape(-1), minlength=256)
    return [int(value) for value in np.flatnonzero(counts) if int(value) not in self.id_to_index]

  def to_index(self, label_ids: np.ndarray) -> np.ndarray:
    """Maps label ids to class indices.

    Args:
      label_ids: uint8 array of any shape.

    Returns:
      uint8 array of the same shape: class indices, or `IGNORED`.

    Raises:
      ValueError: a value is no label id of this space; the message holds the values.
    """
    if unknown := self.unknown_ids(label_ids):
      values = ", ".join(map(str, unknown))
      raise ValueError(f"label value {values} is not in label space '{self.name}'")
    return self.lookup_table[label_ids]

  def colorize(self, indices: np.ndarray) -> np.ndarray:
    """Paints class indices `[...]` (ignored pixels black) as uint8 RGB `[..., 3]`."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: self.num_classes] = self.colors
    return palette[indices]


# name, label id, training index (255: ignored), category, instances labelled, RGB
_CITYSCAPES = (
  ("unlabeled", 0, 255, "void", False, (0, 0, 0)),
  ("ego vehicle", 1, 255, "void", False, (0, 0, 0)),
  ("rectification border", 2, 255, "void", False, (0, 0, 0)),
  ("out of roi", 3, 255, "void", False, (0, 0, 0)),
  ("static", 4, 255, "void", False, (0, 0, 0)),
  ("dynamic", 5, 255, "void", False, (111, 74, 0)),
  ("ground", 6, 255, "void", False, (81, 0, 81)),
  ("road", 7, 0, "flat", False, (128, 64, 128)),
  ("sidewalk", 8, 1, "flat", False, (244, 35, 232)),
  ("parking", 9, 255, "flat", False, (250, 170, 160)),
  ("rail track", 10, 255, "flat", False, (230, 150, 140)),
  ("building", 11, 2, "construction", False, (70, 70, 70)),
  ("wall", 12, 3, "construction", False, (102, 102, 156)),
  ("fence", 13, 4, "construction", False, (190, 153, 153)),
  ("guard rail", 14, 255, "construction", False, (180, 165, 180)),
  ("bridge", 15, 255, "construction", False, (150, 100, 100)),
  ("tunnel", 16, 255, "construction", False, (150, 120, 90)),
  ("pole", 17, 5, "object", False, (153, 153, 153)),
  ("polegroup", 18, 255, "object", False, (153, 153, 153)),
  ("traffic light", 19, 6, "object", False, (250, 170, 30)),
  ("traffic sign", 20, 7, "object", False, (220, 220, 0)),
  ("vegetation", 21, 8, "nature", False, (107, 142, 35)),
  ("terrain", 22, 9, "nature", False, (152, 251, 152)),
  ("sky", 23, 10, "sky", False, (70, 130, 180)),
  ("person", 24, 11, "human", True, (220, 20, 60)),
  ("rider", 25, 12, "human", True, (255, 0, 0)),
  ("car", 26, 13, "vehicle", True, (0, 0, 142)),
  ("truck", 27, 14, "vehicle", True, (0, 0, 70)),
  ("bus", 28, 15, "vehicle", True, (0, 60, 100)),
  ("caravan", 29, 255, "vehicle", True, (0, 0, 90)),
  ("trailer", 30, 255, "vehicle", True, (0, 0, 110)),
  ("train", 31, 16, "vehicle", True, (0, 80, 100)),
  ("motorcycle", 32, 17, "vehicle", True, (0, 0, 230)),
  ("bicycle", 33, 18, "vehicle", True, (119, 11, 32)),
)

CITYSCAPES_IDS: Mapping[str, int] = {name: label_id for name, label_id, *_ in _CITYSCAPES}


def _group_by(rows: Sequence[tuple], category_of) -> dict[str, tuple[int, ...]]:
  """Groups the positions of `rows` by category, categories in order of first appearance."""
  groups: dict[str, tuple[int, ...]] = {}
  for index, row in enumerate(rows):
    groups[category_of(row)] = (*groups.get(category_of(row), ()), index)
  return groups


def _cityscapes(name: str, rows: Sequence[tuple]) -> LabelSpace:
  """A label space with one class for each of the given rows of the Cityscapes table."""
  ids = [row[1] for row in rows]
  index_of = {label_id: index for index, label_id in enumerate(ids)}
  return LabelSpace(
    name=name,
    class_names=tuple(row[0] for row in rows),
    colors=np.array([row[5] for row in rows], np.uint8),
    id_to_index={row[1]: index_of.get(row[1], IGNORED) for row in _CITYSCAPES},
    index_to_id=np.array(ids, np.uint8),
    categories=_group_by(rows, lambda row: row[3]),
    instance_classes=tuple(index for index, row in enumerate(rows) if row[4]),
  )


def _cityscapes_categories(classes: LabelSpace) -> LabelSpace:
  """The categories of the given classes as classes of their own; the rest stays ignored.

  A category is written as the label id, and painted in the colour, of its first class.
  """
  members = list(classes.categories.values())
  first = [indices[0] for indices in members]
  merged = {index: position for position, indices in enumerate(members) for index in indices}
  merged[IGNORED] = IGNORED
  return LabelSpace(
    name="cityscapes_categories",
    class_names=tuple(classes.categories),
    colors=classes.colors[first],
    id_to_index={label_id: merged[index] for label_id, index in classes.id_to_index.items()},
    index_to_id=classes.index_to_id[first],
    categories={name: (index,) for index, name in enumerate(classes.categories)},
    instance_classes=tuple(
      position
      for position, indices in enumerate(members)
      if set(indices) & set(classes.instance_classes)
    ),
  )


CITYSCAPES_19 = _cityscapes("cityscapes_19", [row for row in _CITYSCAPES if row[2] != IGNORED])
CITYSCAPES_CATEGORIES = _cityscapes_categories(CITYSCAPES_19)
# The 30 classes of the Cityscapes paper, figure 1: all but the four that only mark the recording.
CITYSCAPES_30 = _cityscapes("cityscapes_30", [row for row in _CITYSCAPES if row[1] > 3])

_LABEL_SPACES = {
  space.name: space for space in (CITYSCAPES_19, CITYSCAPES_CATEGORIES, CITYSCAPES_30)
}


def get(name: str) -> LabelSpace:
  """Returns the label space of that name.

  Raises:
    UserError: there is none; the message names those there are.
  """
  if name not in _LABEL_SPACES:
    raise errors.unknown("label space", name, _LABEL_SPACES)
  return _LABEL_SPACES[name]
