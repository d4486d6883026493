"""Keeps decoded examples on disk, so that an image is decoded once instead of in every epoch.

One uncompressed file per example. The operating system's page cache keeps what was read before and
is shared by all worker processes and runs: with enough memory, reading is as fast as from memory;
otherwise, as fast as the disk.
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
  """The examples of a source, see `datasets.Source`; those read before come from the cache."""

  source: Source
  folder: pathlib.Path

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Reads one example from the cache, or decodes and keeps it.

    Raises:
      UserError: the example cannot be decoded.
      OSError: it cannot be written. Not a `UserError`, which would blame the example.
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
    os.fsync(file.fileno())  # otherwise a power cut could leave the name without the content


def on_disk(source: Source, folder: pathlib.Path, facts: Mapping[str, Any]) -> CachedSource:
  """Keeps the decoded examples of a source; logs beforehand how much space they take.

  Args:
    source: what to read from.
    folder: the examples go to a subfolder of it, one for each source.
    facts: determine the examples. Different facts mean different examples and another subfolder.

  Raises:
    UserError: the disk does not have enough space for all examples, or is not writable.
  """
  facts = {**facts, "examples": len(source), "opencv": cv2.__version__}
  digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
  folder = folder.expanduser().absolute() / digest[:16]
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(
      f"config.input.cache = 'disk' cannot write to {folder} ({error.strerror}): choose another "
      "folder with --config.input.cache_dir=DIR"
    ) from error
  cached = CachedSource(source, folder)
  size = _size(source)
  there = len(list(folder.glob("[0-9]*.npy")))
  logging.info(
    "Keeping decoded images in %s: %d of about %.3g MB, %.3g GB in all, %d already there",
    *(folder, len(source), size / 1e6, len(source) * size / 1e9, there),
  )
  missing, free = (len(source) - there) * size, shutil.disk_usage(folder).free
  if missing > free:
    raise UserError(
      f"config.input.cache = 'disk' needs {missing / 1e9:.3g} GB more in {folder}, where "
      f"{free / 1e9:.3g} GB are free: choose another folder with --config.input.cache_dir=DIR, or "
      "decode in every epoch with --config.input.cache=none"
    )
  return cached


def _size(source: Source) -> int:
  """Returns the bytes of the first example that can be decoded."""
  for index in range(len(source)):
    try:
      example = source[index]
    except UserError:  # training reports or skips it
      continue
    image = example["image"]
    return math.prod(image.shape) * image.dtype.itemsize + example["label"].nbytes
  return 0
