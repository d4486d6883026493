"""Finds the pairs of image and mask in two folders, and the splits they belong to.

    images/a.jpg          labels/a.png
    images/day/b.jpg      labels/day/b.png

A pair's id is the path of its image below the folder, without suffix: `a`, `day/b`. A mask may have
a longer name: `a_mask.png`, with `label_suffix="_mask"`.

A split is a text file with one id a line. Where there is none, a share of all pairs is drawn for
validation, and the others are for training.
"""

import collections
import hashlib
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ml_collections
from absl import logging

from flax_unet import errors

_IMAGE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Pair(NamedTuple):
  """The files of one picture."""

  id: str
  image: pathlib.Path
  label: pathlib.Path


def find(data: ml_collections.ConfigDict) -> dict[str, list[Pair]]:
  """Finds the pairs of each split.

  Args:
    data: `images` and `labels`, the folders; `label_suffix`, what a mask's name has more than its
      image's; `lists`, the file of each split, or None for all of them; `validation_share` and
      `validation_seed`, for the draw where there are no lists; `data_dir`, where these paths start
      (None: the current folder).

  Raises:
    UserError: a file has no partner, or a list cannot be used.
  """
  root = pathlib.Path(data.data_dir or "").expanduser()
  images_folder, labels_folder = root / data.images, root / data.labels
  images = _files(images_folder, _IMAGE_ENDINGS)
  labels = _files(labels_folder, [f"{data.label_suffix}.png"])
  lists = {split: root / name for split, name in data.lists.items() if name}
  if lists:
    splits = _read_lists(lists)
  else:
    splits = _draw(sorted(images), data.validation_share, data.validation_seed)
    if orphans := sorted(set(labels) - set(images)):
      raise errors.UserError(
        f"{labels[orphans[0]]}: has no image {images_folder / orphans[0]}.*{_more(orphans)}; add "
        "images, remove masks, or give suffix=_mask where that is what masks' names end with"
      )
  listed = {name: split for split, ids in splits.items() for name in ids}
  if missing := [name for name in listed if name not in images]:
    raise errors.UserError(
      f"{lists[listed[missing[0]]]}, '{missing[0]}': has no image {images_folder / missing[0]}.*"
      f"{_more(missing)}; add images, or take the names off the list"
    )
  if missing := [name for name in listed if name not in labels]:
    first = missing[0]
    where = f"{lists[listed[first]]}, '{first}'" if lists else f"{images[first]}"
    raise errors.UserError(
      f"{where}: has no mask {labels_folder / first}{data.label_suffix}.png{_more(missing)}; add "
      "masks, remove images, or give suffix=_mask where that is what masks' names end with"
    )
  return {
    split: [Pair(name, images[name], labels[name]) for name in ids] for split, ids in splits.items()
  }


def _more(names: Sequence[str]) -> str:
  """How many there are besides the first."""
  return f" (nor have {len(names) - 1} more theirs)" if len(names) > 1 else ""


def _files(folder: pathlib.Path, endings: Sequence[str]) -> dict[str, pathlib.Path]:
  """The files below a folder with one of these endings, by their path without it."""
  if not folder.is_dir():
    raise errors.UserError(f"{folder}: no such folder")
  found: dict[str, pathlib.Path] = {}
  for path in sorted(folder.rglob("*")):
    name = path.relative_to(folder).as_posix()
    ending = next((ending for ending in endings if name.lower().endswith(ending.lower())), None)
    if ending is None or path.name.startswith("."):
      continue
    name = name[: -len(ending)]
    if name in found:
      raise errors.UserError(f"{found[name]} and {path}: differ in their suffix only")
    found[name] = path
  if not found:
    raise errors.UserError(f"{folder}: holds no file *{', *'.join(endings)}")
  return found


def _read_lists(lists: Mapping[str, pathlib.Path]) -> dict[str, list[str]]:
  """Reads the ids of each split; none may come twice, in one list or in two."""
  splits = {}
  for split, path in lists.items():
    try:
      lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
      raise errors.UserError(f"list of {split} {path}: {error.strerror}") from error
    splits[split] = [line.strip() for line in lines if line.strip()]
    if not splits[split]:
      raise errors.UserError(f"list of {split} {path}: is empty")
  for name, times in collections.Counter(itertools.chain(*splits.values())).items():
    if times > 1:
      places = " and ".join(str(path) for split, path in lists.items() if name in splits[split])
      raise errors.UserError(f"{places}: '{name}' is listed {times} times")
  return splits


def _draw(ids: Sequence[str], share: float, seed: int) -> dict[str, list[str]]:
  """Draws a share for validation. It depends on the ids only, so few move when some are added."""
  number = round(share * len(ids))
  if not 0 < number < len(ids):
    raise errors.UserError(
      f"config.input.data.validation_share = {share} of {len(ids)} pictures is {number}: training "
      "and validation need at least one each"
    )
  logging.info(
    "Drew %d of %d pictures for validation (config.input.data.validation_share and "
    "validation_seed, or lists)",
    number,
    len(ids),
  )
  by_hash = sorted(ids, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
  return {"train": sorted(by_hash[number:]), "validation": sorted(by_hash[:number])}
