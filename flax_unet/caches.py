"""The user's cache folder: a convenience, which need not be there."""

import os
import pathlib

from absl import logging


def folder(name: str) -> pathlib.Path | None:
  """The folder of that name in `XDG_CACHE_HOME` or `~/.cache`, made where it is missing.

  Returns:
    None where there is no home folder, or the folder cannot be written.
  """
  try:
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~/.cache").expanduser()
    path = pathlib.Path(home) / name
    path.mkdir(parents=True, exist_ok=True)
  except (OSError, RuntimeError) as error:  # the latter: nobody knows where home is
    logging.info("Continuing without the cache folder %s (%s)", name, error)
    return None
  if not os.access(path, os.W_OK):
    logging.info("Continuing without the cache folder %s, which cannot be written", path)
    return None
  return path
