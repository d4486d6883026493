"""Finds files below a folder, for training, prediction and scoring alike.

Symbolic links to folders are followed. Hidden files and folders are skipped, and so are those that
operating systems add.
"""

import os
import pathlib
import unicodedata
from collections.abc import Collection, Iterator, Sequence

from flax_unet import errors

_SYSTEM_FOLDERS = frozenset(
  ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
)
_SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini"))  # in lower case


def walk(
  folder: pathlib.Path, leave_out: Collection[pathlib.Path] = ()
) -> Iterator[tuple[str, pathlib.Path]]:
  """Finds the files below a folder.

  A broken link counts as a file: reading it then fails with an error.

  Args:
    folder: searched recursively.
    leave_out: subfolders that are not searched.

  Yields:
    The path of each file relative to the folder, separated by `/`, and its full path; sorted.

  Raises:
    UserError: there is no such folder, or a subfolder cannot be read.
  """
  if not folder.is_dir():
    raise errors.UserError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
  excluded = {_identity(path) for path in leave_out if path.is_dir()}
  found = _walk(str(folder), "", excluded, (_identity(folder),))
  return iter(sorted((name, pathlib.Path(path)) for name, path in found))


def is_left_out(path: pathlib.PurePath) -> bool:
  """Whether a path leads through something hidden, or added by the operating system."""
  return any(_is_hidden(part) or part in _SYSTEM_FOLDERS for part in path.parts)


def unify(name: str) -> str:
  """Normalises names that look the same: some systems store accented letters as two characters."""
  return name if name.isascii() else unicodedata.normalize("NFC", name)


def split_ending(name: str, endings: Sequence[str]) -> tuple[str, str] | None:
  """Splits off one of the endings, ignoring case; None if the name has none of them."""
  lowered = name.lower()
  for ending in endings:
    if lowered.endswith(ending.lower()) and len(name) > len(ending):
      return name[: -len(ending)], name[-len(ending) :]
  return None


def printable(text: str) -> str:
  r"""Makes a file name safe to write anywhere: bytes that are not UTF-8 become `\xe9`."""
  try:
    text.encode()
  except UnicodeEncodeError:
    return os.fsencode(text).decode("utf-8", "backslashreplace")
  return text


def _walk(
  folder: str, prefix: str, excluded: set[tuple[int, int]], above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, str]]:
  """See `walk`; `above` are the parent folders, so that links cannot lead in a circle."""
  try:
    entries = list(os.scandir(folder))
  except OSError as error:
    raise errors.UserError(f"{folder}: cannot be read ({error.strerror})") from error
  for entry in entries:
    if _is_hidden(entry.name):
      continue
    if entry.is_dir():
      identity = _identity(entry.path)
      if entry.name not in _SYSTEM_FOLDERS and identity not in excluded and identity not in above:
        yield from _walk(entry.path, f"{prefix}{entry.name}/", excluded, (*above, identity))
    elif entry.is_file() or entry.is_symlink():  # neither a socket nor a pipe
      yield f"{prefix}{entry.name}", entry.path


def _is_hidden(name: str) -> bool:
  return (name.startswith(".") and name not in (".", "..")) or name.lower() in _SYSTEM_FILES


def _identity(path: str | pathlib.Path) -> tuple[int, int]:
  status = os.stat(path)
  return status.st_dev, status.st_ino
