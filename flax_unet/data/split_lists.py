r"""Reads lists of the images in a split, one per line, in any of the usual forms.

day/7                              the id
day\7.jpg                          the path below the images, with or without extension
images/day/7.jpg masks/day/7.png   image and mask, separated by space, tab, comma or semicolon
"""

import collections
import itertools
import pathlib
import re
from collections.abc import Iterator, Mapping

from flax_unet import errors
from flax_unet.data import file_search, text_files
from flax_unet.data.pair_files import Files, Pair, check_masks, more


def read(
  lists: Mapping[str, pathlib.Path], images: Files, labels: Files, root: pathlib.Path
) -> dict[str, list[Pair]]:
  """Reads the pairs of each split.

  Args:
    lists: the list of each split.
    images: the images.
    labels: the masks.
    root: paths in two columns may be relative to it, besides the folders of images and masks.

  Raises:
    UserError: a list cannot be read, or names a missing file or one that is listed twice.
  """
  splits = {split: _read(split, path, images, labels, root) for split, path in lists.items()}
  times = collections.Counter(pair.id for pair in itertools.chain(*splits.values()))
  for name, number in times.items():
    if number > 1:
      places = [path for split, path in lists.items() if any(p.id == name for p in splits[split])]
      raise errors.UserError(f"{' and '.join(map(str, places))}: '{name}' is listed {number} times")
  return splits


def _read(
  split: str, path: pathlib.Path, images: Files, labels: Files, root: pathlib.Path
) -> list[Pair]:
  lines = [line.strip() for line in text_files.read_lines(path, f"list of {split}")]
  lines = [line for line in lines if line]
  if not lines:
    raise errors.UserError(f"list of {split} {path}: is empty")
  places = (root, path.parent)
  pairs: list[Pair | None] = []
  names: dict[str, str] = {}  # images listed without a mask that have none, with their lines
  for line in lines:
    pair = _two_files(line, images, labels, places)
    pairs.append(pair or _by_name(line, images, labels, names))
  missing = [line for line, pair in zip(lines, pairs, strict=True) if pair is None]
  missing = [line for line in missing if line not in names.values()]
  if missing:
    expected = images.folder / f"{missing[0]}.*"
    raise errors.UserError(
      f"{path}, '{missing[0]}': has no image {expected}{more(missing)}; add images, or remove the "
      "names from the list"
    )
  check_masks(
    list(names), labels, lambda name: f"{path}, '{names[name]}'", "remove names from the list"
  )
  return [pair for pair in pairs if pair is not None]


def _by_name(line: str, images: Files, labels: Files, without: dict[str, str]) -> Pair | None:
  """Returns the pair of a line that names the image, or both image and mask; else None.

  Adds the name of an image that has no mask to `without`.
  """
  name = _name(line, images)
  if name is not None:
    if name in labels.by_name:
      return Pair(file_search.printable(name), images.by_name[name], labels.by_name[name])
    without[name] = line
    return None
  for first, second in _columns(line):
    name, mask = _name(first, images), _name(second, labels)
    if name is not None and mask is not None:
      return Pair(file_search.printable(name), images.by_name[name], labels.by_name[mask])
  return None


def _name(entry: str, files: Files) -> str | None:
  """Returns the name in `files` that an entry means, with or without extension and folder."""
  parts = pathlib.PurePosixPath(entry.replace("\\", "/")).parts
  # Whatever precedes the name must end with the folder's own name.
  starts = [0, *(i + 1 for i, part in enumerate(parts[:-1]) if part in ("/", files.folder.name))]
  for start in starts:
    name = file_search.unify("/".join(parts[start:]))
    divided = file_search.split_ending(name, files.endings)
    for candidate in (name, divided[0] if divided else None):
      if candidate in files.by_name:
        return candidate
  return None


def _columns(line: str) -> Iterator[tuple[str, str]]:
  """Yields the ways to split a line in two."""
  for separator in ("\t", ",", ";"):
    fields = [field.strip() for field in line.split(separator)]
    if len(fields) == 2 and all(fields):
      yield fields[0], fields[1]
  for space in re.finditer(" +", line):
    yield line[: space.start()], line[space.end() :]


def _two_files(
  line: str, images: Files, labels: Files, places: tuple[pathlib.Path, ...]
) -> Pair | None:
  """Returns the pair of a line with the paths of two files; None for other lines."""
  for first, second in _columns(line):
    image = _file(first, (images.folder, *places))
    label = _file(second, (labels.folder, *places)) if image else None
    if image and label:
      below = image.relative_to(images.folder) if image.is_relative_to(images.folder) else None
      name = below or pathlib.PurePath(first.replace("\\", "/").lstrip("/"))
      return Pair(file_search.unify(name.with_suffix("").as_posix()), image, label)
  return None


def _file(entry: str, places: tuple[pathlib.Path, ...]) -> pathlib.Path | None:
  paths = [place / pathlib.Path(entry.replace("\\", "/")).expanduser() for place in places]
  return next((path for path in paths if path.is_file()), None)
