"""Files that are never seen half-written."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a path to write to; when the block ends without error, the file becomes `path`."""
  temporary = path.with_name(f".{os.getpid()}.{path.name}")  # the ending stays: writers look at it
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def write_json(path: pathlib.Path, content: Any) -> None:
  """Writes JSON, indented, all or nothing."""
  with replacing(path) as temporary:
    temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
