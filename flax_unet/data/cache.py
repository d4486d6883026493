"""Decoded examples kept on disk, so that a picture is decoded once and not in every epoch.

One file an example, not compressed. What was read before lies in the page cache of the operating
system, which all worker processes and all runs share: with enough memory, a disk serves as quickly
as memory would, and without, at the speed of the disk.
"""

import dataclasses
import hashlib
import json
import math
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from absl import logging

from flax_unet import files
from flax_unet.data import images
from flax_unet.data.datasets import Source
from flax_unet.errors import UserError


@dataclasses.dataclass(frozen=True)
class CachedSource:
  """The examples of a source, see `datasets.Source`; those read before come from a folder."""

  source: Source
  folder: pathlib.Path

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Reads one example, or decodes and keeps it.

    Raises:
      UserError: the example cannot be decoded.
      OSError: it cannot be written. Not a `UserError`, which would be the example's fault.
    """
    path = self.folder / f"{index}.npy"
    try:
      return _read(path)
    except (FileNotFoundError, EOFError, ValueError):  # the latter two: damaged
      example = self.source[index]
    example = {**example, "image": images.decoded(example["image"])}
    _write(path, example)
    return example


def _read(path: pathlib.Path) -> dict[str, Any]:
  with path.open("rb") as file:
    return {"image": np.load(file), "label": np.load(file), "id": str(np.load(file))}


def _write(path: pathlib.Path, example: Mapping[str, Any]) -> None:
  with files.replacing(path) as temporary, temporary.open("wb") as file:
    for key in ("image", "label", "id"):
      np.save(file, example[key])
    file.flush()
    os.fsync(file.fileno())  # or, after a power cut, the name could be on disk without the content


def on_disk(source: Source, folder: pathlib.Path, facts: Mapping[str, Any]) -> CachedSource:
  """Keeps the decoded examples of a source; says beforehand how much room they take.

  Args:
    source: what to read from.
    folder: the examples go to a folder in it, one for each source.
    facts: what the examples follow from. Others mean other examples, and another folder.

  Raises:
    UserError: the disk has not enough room for all examples.
  """
  facts = {**facts, "examples": len(source), "opencv": cv2.__version__}
  digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
  folder = folder.expanduser().absolute() / digest[:16]
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(
      f"config.input.cache = 'disk' cannot write to {folder} ({error.strerror}): name another one "
      "with --config.input.cache_dir=DIR"
    ) from error
  cached = CachedSource(source, folder)
  size = _size(source)
  there = len(list(folder.glob("[0-9]*.npy")))
  logging.info(
    "Keeping decoded pictures in %s: %d of about %.3g MB, %.3g GB in all, %d of them there",
    *(folder, len(source), size / 1e6, len(source) * size / 1e9, there),
  )
  missing, free = (len(source) - there) * size, shutil.disk_usage(folder).free
  if missing > free:
    raise UserError(
      f"config.input.cache = 'disk' needs {missing / 1e9:.3g} GB more in {folder}, where "
      f"{free / 1e9:.3g} GB are free: name another folder with --config.input.cache_dir=DIR, or "
      "decode in every epoch with --config.input.cache=none"
    )
  return cached


def _size(source: Source) -> int:
  """Bytes of the first example that can be decoded."""
  for index in range(len(source)):
    try:
      example = source[index]
    except UserError:  # training tells, or skips it
      continue
    return math.prod(example["image"].shape) + example["label"].nbytes
  return 0
