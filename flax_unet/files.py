"""Files that are never seen half-written."""

import contextlib
import json
import os
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a path to write to; when the block ends without error, the file becomes `path`."""
  # No two threads or machines may write to one; the ending stays, since writers look at it.
  temporary = path.with_name(f".{uuid.uuid4().hex}.{path.name}")
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def write_json(path: pathlib.Path, content: Any) -> None:
  """Writes JSON, indented, all or nothing."""
  with replacing(path) as temporary:
    temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
