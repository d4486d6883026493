"""Finds and reads label masks and predicted masks.

A label file `<city>_<sequence>_<frame>_gtFine_labelIds.png` is paired with the one prediction file
`<city>_<sequence>_<frame>*.png`, as in the official Cityscapes script (cityscapesScripts,
`evalPixelLevelSemanticLabeling.getPrediction`). If no label has such a name, files are paired as in
folder data: by their path below their folder, without the file ending. Both folders are searched
recursively.
"""

import bisect
import collections
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flax_unet.data import codecs, file_search, images, masks, png
from flax_unet.data.label_space import LabelSpace
from flax_unet.data.pair_files import Files
from flax_unet.errors import UserError

LABEL_SUFFIX = "_gtFine_labelIds.png"
INSTANCE_SUFFIX = "_gtFine_instanceIds.png"


class Labels(NamedTuple):
  """The label files of a folder.

  Attributes:
    files: the files by the key that pairs them with predictions; sorted.
    of_cityscapes: whether they have the names of Cityscapes.
  """

  files: dict[str, pathlib.Path]
  of_cityscapes: bool


def find_labels(folder: pathlib.Path, suffix: str = "") -> Labels:
  """Finds the label files below a folder.

  Args:
    folder: where to look.
    suffix: what their names end with, such as `_mask`, if not the names of Cityscapes.

  Raises:
    UserError: there is no such folder, or no label file in it.
  """
  official = {}
  if not suffix:
    for name, path in file_search.walk(folder):
      if name.endswith(LABEL_SUFFIX):
        official.setdefault(path.name.removesuffix(LABEL_SUFFIX), path)
  if official:
    return Labels(dict(sorted(official.items())), of_cityscapes=True)
  return Labels(dict(sorted(Files(folder, masks.ENDINGS, suffix=suffix).by_name.items())), False)


def match(
  labels: Labels, folder: pathlib.Path, ending: str = ".png"
) -> tuple[list[pathlib.Path], int]:
  """Finds the one file below a folder for each label file.

  Args:
    labels: label files.
    folder: the folder of the predictions or instance maps.
    ending: how their names end, if the labels have the names of Cityscapes.

  Returns:
    The files, and how many files of the folder have no label.

  Raises:
    UserError: a label file has no file, or more than one.
  """
  if labels.of_cityscapes:
    return _match_keys(labels, folder, ending)
  files = Files(folder, masks.ENDINGS).by_name
  by_last = collections.defaultdict(list)
  for name, path in files.items():
    by_last[name.rpartition("/")[2]].append(path)
  last_of_labels = collections.Counter(name.rpartition("/")[2] for name in labels.files)
  matched = []
  for name, label in labels.files.items():
    last = name.rpartition("/")[2]
    found = [files[name]] if name in files else by_last[last] if last_of_labels[last] == 1 else []
    _check_one(label, found, f"{name}{masks.ENDINGS[0]}", folder)
    matched.append(found[0])
  return matched, len(files) - len(set(matched))


def _match_keys(
  labels: Labels, folder: pathlib.Path, ending: str
) -> tuple[list[pathlib.Path], int]:
  files = sorted(
    (path.name, path) for name, path in file_search.walk(folder) if name.endswith(ending)
  )
  matched = []
  for key, label in labels.files.items():
    found = []
    for name, path in files[bisect.bisect_left(files, (key,)) :]:
      if not name.startswith(key):
        break
      stem = name.removesuffix(ending)
      if stem == key or (_ends_word(key, name) and stem not in labels.files):
        found.append(path)
    _check_one(label, found, f"{key}*{ending}", folder)
    matched.append(found[0])
  return matched, len(files) - len(set(matched))


def _ends_word(key: str, name: str) -> bool:
  """Whether the key ends a whole number or word in the name: p1 must not match p10."""
  last, following = key[-1:], name[len(key) : len(key) + 1]
  return not (last.isdigit() and following.isdigit()) and not (
    last.isalpha() and following.isalpha()
  )


def _check_one(
  label: pathlib.Path, found: Sequence[pathlib.Path], wanted: str, folder: pathlib.Path
) -> None:
  if not found:
    raise UserError(f"{label}: no file {wanted} in {folder}")
  if len(found) > 1:
    raise UserError(f"{label}: more than one file for it: {found[0]} and {found[1]}")


def read_numbers(file: pathlib.Path) -> np.ndarray:
  """Reads a mask of numbers: integers `[height, width]`.

  Raises:
    UserError: the file is unreadable or damaged, or its pixels are colours.
  """
  content = _read(file)
  plain = _plain_gray(file, content)
  return masks.decode_numbers(content, str(file)) if plain is None else plain


def read_label_ids(file: pathlib.Path, label_space: LabelSpace) -> np.ndarray:
  """Reads a mask of label ids, or of colours if the label space has a table of them.

  Returns:
    uint8 `[height, width]`, label ids. Those of a plain gray PNG are not checked.

  Raises:
    UserError: the file is unreadable or damaged, or holds values unknown to the label space.
  """
  content = _read(file)
  plain = _plain_gray(file, content)
  return masks.decode(content, label_space, str(file)) if plain is None else plain


def _plain_gray(file: pathlib.Path, content: bytes) -> np.ndarray | None:
  """The values of an 8-bit gray PNG, as nearly all masks are; None for other files."""
  if not png.is_plain(content, png.GRAY):
    return None
  codecs.check_png(content, f"{file}:")
  return images.decode_ids(content, f"{file}:")


def _read(file: pathlib.Path) -> bytes:
  try:
    return file.read_bytes()
  except OSError as error:
    raise UserError(f"{file}: {error.strerror}") from None
