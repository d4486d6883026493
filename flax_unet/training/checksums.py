"""Detects damaged files in a folder, by checksums in a file beside them."""

import hashlib
import json
import pathlib
from collections.abc import Collection

from flax_unet import files

_NAME = "checksums.json"


def write(folder: pathlib.Path, exclude: Collection[str]) -> None:
  """Writes the checksums of the files in a folder, except those with the excluded names."""
  files.write_json(folder / _NAME, _checksums(folder, {_NAME, *exclude}))


def damage(folder: pathlib.Path) -> str | None:
  """Describes what is wrong with a folder's files; None if they are intact."""
  try:
    expected = json.loads((folder / _NAME).read_bytes())
    found = _checksums(folder, {_NAME})
  except (OSError, ValueError) as error:
    return str(error)
  for name, checksum in expected.items():  # files may be added later
    if name not in found:
      return f"{name} is missing"
    if checksum != found[name]:
      return f"{name} has changed"
  return None


def _checksums(folder: pathlib.Path, exclude: Collection[str]) -> dict[str, str]:
  """SHA-256 of the files in a folder, by their relative path."""
  checksums = {}
  for path in sorted(folder.rglob("*")):
    if path.is_file() and path.name not in exclude:
      with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
      checksums[str(path.relative_to(folder))] = digest.hexdigest()
  return checksums
