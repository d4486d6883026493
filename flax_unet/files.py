"""Writes files atomically, and reads JSON that may be damaged nevertheless."""

import contextlib
import json
import os
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

from flax_unet import errors, nested


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a path to write to; if the block ends without error, the file becomes `path`."""
  # Unique among threads and machines; keeps the extension, which tells writers the format.
  temporary = path.with_name(f".{uuid.uuid4().hex}.{path.name}")
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def write_json(path: pathlib.Path, content: Any) -> None:
  """Writes indented JSON atomically; NaN becomes null."""
  text = json.dumps(nested.nan_to_none(content), indent=2, allow_nan=False)
  with replacing(path) as temporary:
    temporary.write_text(text + "\n")


def write_output(name: str, content: Any) -> None:
  """Writes JSON to a file named by the user.

  Raises:
    UserError: the file cannot be written.
  """
  try:
    write_json(pathlib.Path(name).expanduser(), content)
  except OSError as error:
    raise errors.UserError(f"{name}: {error.strerror}") from error


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """Reads a JSON object.

  Raises:
    UserError: the file is missing, cannot be read, or contains something else.
  """
  try:
    content = json.loads(path.read_bytes())
  except OSError as error:
    raise errors.UserError(f"{path}: cannot be read ({error.strerror})") from error
  except ValueError as error:
    size = path.stat().st_size
    reason = "is empty" if not size else f"is not JSON, or was cut off ({error})"
    raise errors.UserError(f"{path}: {reason}; restore it, or delete the run") from error
  if not isinstance(content, dict):
    raise errors.UserError(f"{path}: is not a JSON object, so flax_unet did not write it")
  return content
