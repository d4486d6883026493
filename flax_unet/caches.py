"""The user's cache folder, which is optional."""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging

from flax_unet import files


def folder(name: str) -> pathlib.Path | None:
  """Returns the folder of that name in `XDG_CACHE_HOME` or `~/.cache`, created if missing.

  Returns:
    The folder; None if there is no home folder, or the folder is not writable.
  """
  try:
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~/.cache").expanduser()
    path = pathlib.Path(home) / name
    path.mkdir(parents=True, exist_ok=True)
  except (OSError, RuntimeError) as error:  # the latter: the home folder is unknown
    logging.info("Continuing without the cache folder %s (%s)", name, error)
    return None
  if not os.access(path, os.W_OK):
    logging.info("Continuing without the cache folder %s, which is not writable", path)
    return None
  return path


def array(
  name: str,
  identity: Mapping[str, Any],
  shape: tuple[int, ...],
  compute: Callable[[], np.ndarray],
) -> np.ndarray:
  """Returns an array from the cache folder; computes it the first time, and keeps it there.

  Args:
    name: of the folder.
    identity: what the array depends on, for JSON.
    shape: of the array; one of another shape is computed anew.
    compute: returns the array.
  """
  digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
  where = folder(name)
  path = where / f"{digest[:32]}.npy" if where else None
  if path and path.exists():
    try:
      found = np.load(path)
    except (OSError, EOFError, ValueError):  # damaged
      found = np.zeros(0)
    if found.shape == shape:
      return found
  computed = compute()
  if path:
    with files.replacing(path) as temporary, temporary.open("wb") as file:
      np.save(file, computed)
  return computed
