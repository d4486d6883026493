"""The user's cache folder, which is optional."""

import os
import pathlib

from absl import logging


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
