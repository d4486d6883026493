"""The label spaces that configurations can name, and those of classes files.

The Cityscapes table comes from cityscapesScripts, `helpers/labels.py`; the colours of PASCAL VOC
come from its development kit, `VOCcode/VOClabelcolormap.m`.
"""

import colorsys
import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from flax_unet import errors
from flax_unet.data import classes_file
from flax_unet.data.label_space import IGNORED, LabelSpace

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
  """Returns a label space with one class for each given row of the Cityscapes table."""
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
  """Makes classes of the categories of the given classes; the rest stays ignored.

  A category takes the label id and the colour of its first class.
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
# The 30 classes of the Cityscapes paper, figure 1: all but four that only mark the recording.
CITYSCAPES_30 = _cityscapes("cityscapes_30", [row for row in _CITYSCAPES if row[1] > 3])


def _voc_colors(number: int) -> np.ndarray:
  """Returns the first colours of PASCAL VOC, uint8 `[number, 3]`: far apart, black first.

  The bits of an index, lowest first, become the highest bits of red, green and blue in turn.
  """
  indices = np.arange(number)
  channels = [
    sum((indices >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
    for channel in range(3)
  ]
  return np.stack(channels, axis=-1).astype(np.uint8)


def _spread_colors(number: int) -> np.ndarray:
  """Returns colours for classes without, uint8 `[number, 3]`: neighbours differ, none is black.

  Hues a golden angle apart divide the circle evenly for any number of classes.
  """
  hues = (0.58 + 0.618034 * np.arange(number)) % 1
  # Saturation and value. Hues nearly repeat after 8, 13, 21 and 34 steps, none a multiple of 5.
  tones = itertools.cycle(((0.62, 0.88), (0.78, 0.60), (0.38, 0.74), (0.70, 0.75), (0.50, 0.50)))
  rgb = [colorsys.hsv_to_rgb(hue, *tone) for hue, tone in zip(hues, tones, strict=False)]
  return np.rint(255 * np.array(rgb)).astype(np.uint8)


def _plain(
  name: str, class_names: Sequence[str], colors: np.ndarray, ids: Sequence[int]
) -> LabelSpace:
  """Returns a label space with one id per class; 255 is ignored."""
  return LabelSpace(
    name=name,
    class_names=tuple(class_names),
    colors=colors,
    id_to_index={**{label_id: index for index, label_id in enumerate(ids)}, IGNORED: IGNORED},
    index_to_id=np.array(ids, np.uint8),
    categories={class_name: (index,) for index, class_name in enumerate(class_names)},
  )


# Object borders are 255.
VOC_21 = _plain(
  "voc_21",
  (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
  ),
  _voc_colors(21),
  range(21),
)  # fmt: skip
# The classes of Badrinarayanan et al. (2017) with the colours of their demonstration; 11 is void.
CAMVID_11 = dataclasses.replace(
  _plain(
    "camvid_11",
    (
      "sky", "building", "pole", "road", "pavement", "tree", "sign symbol", "fence", "car",
      "pedestrian", "bicyclist",
    ),
    np.array(
      [
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222),
        (128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
      ],
      np.uint8,
    ),
    range(11),
  ),
  id_to_index={**{index: index for index in range(11)}, 11: IGNORED, IGNORED: IGNORED},
)  # fmt: skip
OXFORD_IIIT_PET = _plain(
  "oxford_iiit_pet", ("pet", "background", "border"), _spread_colors(3), range(1, 4)
)

LABEL_SPACES = {
  space.name: space
  for space in (
    CITYSCAPES_19,
    CITYSCAPES_CATEGORIES,
    CITYSCAPES_30,
    VOC_21,
    CAMVID_11,
    OXFORD_IIIT_PET,
  )
}


def get(name: str) -> LabelSpace:
  """Returns a label space.

  Args:
    name: of a label space; the path of a classes file, which ends with `.csv`; `<N>_classes`, for
      classes named by their ids; or `<N>_classes_ignore_<I>`, if masks also hold the value I, which
      is ignored. The classes are then the first N other values from 0 on.

  Raises:
    UserError: there is no such label space (the message lists those that exist), or the classes
      file cannot be used.
  """
  if name.endswith(".csv"):
    return classes_file.read(name)
  if numbered := re.fullmatch(r"([1-9]\d*)_classes(?:_ignore_(\d+))?", name):
    return _numbered(name, int(numbered[1]), None if numbered[2] is None else int(numbered[2]))
  if name not in LABEL_SPACES:
    raise errors.unknown(
      "label space",
      name,
      [*LABEL_SPACES, "<N>_classes", "<N>_classes_ignore_<I>", "<file>.csv"],
    )
  return LABEL_SPACES[name]


def _numbered(name: str, number: int, ignored: int | None) -> LabelSpace:
  """Returns a label space of `number` classes, named by their ids."""
  if ignored is not None and ignored > IGNORED:
    raise errors.UserError(f"label space '{name}': mask values go up to {IGNORED}")
  ids = [label_id for label_id in range(IGNORED) if label_id != ignored][:number]
  if len(ids) < number:
    raise errors.UserError(f"label space '{name}': there can be {len(ids)} classes at most")
  space = _plain(name, [str(label_id) for label_id in ids], _spread_colors(number), ids)
  if ignored is None:
    return space
  return dataclasses.replace(space, id_to_index={**space.id_to_index, ignored: IGNORED})
