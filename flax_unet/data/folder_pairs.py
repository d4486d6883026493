"""Finds pairs of image and mask in two folders, and the splits that they belong to.

    images/a.jpg          labels/a.png
    images/day/b.jpg      labels/day/b.png

A pair's id is the path of its image relative to the folder, without extension: `a`, `day/b`. Names
may have suffixes: `a_sat.jpg` and `a_mask.png`, with `image_suffix="_sat"` and
`label_suffix="_mask"`. Images and masks can then share a folder.

A split is a subfolder of these two, or a list (see `split_lists.py`). Without either, a share of
all pairs is drawn for validation, and the rest is for training; or, for cross-validation, one of
several folds validates.
"""

import hashlib
import pathlib
import re
from collections.abc import Sequence

import ml_collections
from absl import logging

from flax_unet import errors, terminal
from flax_unet.data import masks, picture_files, split_lists
from flax_unet.data.pair_files import Files, Pair, all_pairs, with_extra


def find(
  data: ml_collections.ConfigDict, endings: Sequence[str] = picture_files.ENDINGS
) -> dict[str, list[Pair]]:
  """Finds the pairs of each split.

  Args:
    data: `images` and `labels`, the folders; `label_suffix` and optionally `image_suffix`, what
      follows the id in the names of masks and images; optionally `extra` and `extra_suffix`, the
      same for files with extra channels; `lists`, one per split, or None for all of them;
      optionally `folders`, the subfolder of each split, or `images:labels` if the two differ;
      `validation_share` and `validation_seed`, for the draw without lists and folders; `fold`, such
      as "2/5" for the second of five folds, instead of a share; `data_dir`, which these paths are
      relative to (None: the current folder).
    endings: of image files.

  Raises:
    UserError: a folder is missing, an image or mask has no partner, or a list cannot be used.
  """
  root = pathlib.Path(data.data_dir or "").expanduser()
  if not root.is_dir() and not _expand(data.images).is_absolute():
    raise errors.UserError(
      f"config.input.data.data_dir = '{data.data_dir}': no such folder; name that of the data "
      "with --config.input.data.data_dir=DIR or, where the configuration has an argument for it, "
      "after the colon of --config, such as data=DIR"
    )
  folders = {split: name for split, name in (data.get("folders") or {}).items() if name}
  lists = {split: root / _expand(name) for split, name in data.lists.items() if name}
  if folders and lists:
    raise errors.UserError("config.input.data has both lists and folders of splits: give one kind")
  fold = data.get("fold") or ""
  if fold and (folders or set(lists) - {"test"}):
    raise errors.UserError(
      f"config.input.data.fold = '{fold}': the lists or folders of these data say what validates; "
      "folds need data without them"
    )
  if folders:
    found = {}
    for split, name in folders.items():
      prefix = f"{name.partition(':')[0]}/"
      pairs = all_pairs(*_files(data, root, endings, name), prefix=prefix)
      found[split] = _with_extra(data, root, endings, pairs, name)
    return found
  found = _without_folders(data, root, endings, lists, fold)
  return {split: _with_extra(data, root, endings, pairs) for split, pairs in found.items()}


def _with_extra(
  data: ml_collections.ConfigDict,
  root: pathlib.Path,
  endings: Sequence[str],
  pairs: list[Pair],
  split: str = "",
) -> list[Pair]:
  """Adds the files with extra channels, if there is a folder of them."""
  if not data.get("extra"):
    return pairs
  images, *_, extra = f"{split}::".split(":")[:3]
  files = Files(
    root / _below(root, data.extra, extra or images),
    endings,
    suffix=data.get("extra_suffix") or "",
  )
  return with_extra(pairs, files, f"{images}/" if split else "")


def _without_folders(
  data: ml_collections.ConfigDict,
  root: pathlib.Path,
  endings: Sequence[str],
  lists: dict[str, pathlib.Path],
  fold: str,
) -> dict[str, list[Pair]]:
  """The pairs of each split, by lists or drawn."""
  images, labels = _files(data, root, endings)
  if lists:
    splits = split_lists.read(lists, images, labels, root)
    if set(splits) != {"test"}:
      return splits
    listed = {pair.id for pair in splits["test"]}
    others = [pair for pair in all_pairs(images, labels) if pair.id not in listed]
    return splits | _draw(others, data.validation_share, data.validation_seed, fold)
  return _draw(all_pairs(images, labels), data.validation_share, data.validation_seed, fold)


def _expand(name: str) -> pathlib.Path:
  return pathlib.Path(name).expanduser()


def _files(
  data: ml_collections.ConfigDict, root: pathlib.Path, endings: Sequence[str], split: str = ""
) -> tuple[Files, Files]:
  """Returns the images and the masks, of all splits or of one split that has a folder."""
  of_images, of_labels, *_ = f"{split}:".split(":")
  images = root / _below(root, data.images, of_images)
  labels = root / _below(root, data.labels, of_labels or of_images)
  masks_end = Files(labels, masks.ENDINGS, suffix=data.label_suffix).endings
  extra = [root / _expand(data.extra)] if data.get("extra") else []
  is_one = images.is_dir() and labels.is_dir() and images.samefile(labels)
  leave_out = extra if is_one else [images, labels, *extra]
  if is_one and not data.label_suffix and not any(data.lists.values()):
    raise errors.UserError(
      f"{images}: holds images and masks; say what the names of masks end with, for example "
      "suffix=_mask, or image_suffix=.jpg,suffix=.png"
    )
  return (
    Files(
      images,
      endings,
      suffix=data.get("image_suffix") or "",
      leave_out=leave_out,
      not_endings=masks_end if is_one and data.label_suffix else (),
    ),
    Files(
      labels,
      masks.ENDINGS,
      suffix=data.label_suffix,
      leave_out=leave_out,
      about_jpeg="; JPEG does not keep ids, so export the masks again as PNG",
    ),
  )


def _below(root: pathlib.Path, folder: str, split: str) -> pathlib.Path:
  """Returns the folder of a split: `images/train`, or `train/images` if only that exists."""
  outer = _expand(folder)
  below, above = outer / split, pathlib.Path(split) / outer
  return above if not (root / below).is_dir() and (root / above).is_dir() else below


def _draw(pairs: Sequence[Pair], share: float, seed: int, fold: str) -> dict[str, list[Pair]]:
  """Draws a share or a fold for validation, by ids only: more pairs move few between splits."""

  def by_hash(pair: Pair) -> bytes:
    return hashlib.sha256(f"{seed}/{pair.id}".encode()).digest()

  ordered = sorted(pairs, key=by_hash)
  if fold:
    drawn = {pair.id for pair in _fold(ordered, fold)}
  else:
    drawn = {pair.id for pair in ordered[: _number(len(pairs), share)]}
  return {
    "train": [pair for pair in pairs if pair.id not in drawn],
    "validation": [pair for pair in pairs if pair.id in drawn],
  }


def _fold(ordered: Sequence[Pair], fold: str) -> Sequence[Pair]:
  """The pairs of one of several folds, which differ in size by one at most."""
  match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", fold)
  index, number = map(int, match.groups()) if match else (0, 0)
  if not 1 <= index <= number or number < 2:
    raise errors.UserError(
      f"config.input.data.fold = '{fold}': give the fold that validates and how many there are, "
      "such as 2/5"
    )
  if number > len(ordered):
    raise errors.UserError(
      f"config.input.data.fold = '{fold}': of {number} folds of "
      f"{terminal.counted(len(ordered), 'image')} some are empty; use {len(ordered)} at most"
    )
  return ordered[index - 1 :: number]


def _number(pairs: int, share: float) -> int:
  """How many pairs a share is."""
  number = round(share * pairs)
  if not 0 < number < pairs:
    raise errors.UserError(
      f"config.input.data.validation_share = {share} of {pairs} images are {number} to validate "
      "with: training and validation need at least one each; change it (val_share=0.5 after the "
      "colon of configs/folder.py) or add images"
    )
  logging.info(
    "Drew %s of %s for validation (config.input.data.validation_share and validation_seed, or "
    "lists)",
    f"{number:,}",
    terminal.counted(pairs, "image"),
  )
  return number
