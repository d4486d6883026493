"""Finds images on disk, and reads them ahead of their use."""

import collections
import concurrent.futures
import glob
import math
import os
import pathlib
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from absl import logging
from PIL import Image

from flax_unet import errors
from flax_unet.data import file_search, image_headers, images, pair_files
from flax_unet.data.image_format import RGB, ImageFormat

ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_READ_AHEAD = 2**25  # pixels


def endings(image_format: ImageFormat) -> tuple[str, ...]:
  """The endings of image files; NumPy's arrays are images only where 8-bit RGB is not expected."""
  return ENDINGS if image_format.is_rgb8 else (*ENDINGS, ".npy")


def find_extra(
  where: str,
  pictures: Mapping[pathlib.Path, pathlib.Path],
  image_format: ImageFormat,
  *,
  image_suffix: str = "",
  extra_suffix: str = "",
) -> dict[pathlib.Path, pathlib.Path]:
  """Finds the files with extra channels, which are named like the images.

  Args:
    where: their folder.
    pictures: from `find`.
    image_format: that of the images.
    image_suffix: what the names of images end with, see `pair_files.Files`.
    extra_suffix: what the names of the other files end with.

  Returns:
    The file of each image.

  Raises:
    UserError: an image has none.
  """
  if not pathlib.Path(where).expanduser().is_dir():
    raise errors.UserError(f"--extra={where}: is not a folder")
  folder, kinds = pathlib.Path(where).expanduser(), endings(image_format)
  files = pair_files.Files(folder, kinds, suffix=extra_suffix)
  image_endings = pair_files.Files(folder, kinds, suffix=image_suffix).endings
  extra = {}
  for path, name in pictures.items():
    key = name.with_suffix("").as_posix()
    if image_suffix:
      divided = file_search.split_ending(name.with_suffix(path.suffix).as_posix(), image_endings)
      key = divided[0] if divided else key
    if (key := file_search.unify(key)) not in files.by_name:
      raise errors.UserError(
        f"{path}: has no file {where}/{key}{extra_suffix or '.*'} with extra channels"
      )
    extra[path] = files.by_name[key]
  return extra


def find(where: str, endings: Sequence[str] = ENDINGS) -> dict[pathlib.Path, pathlib.Path]:
  """Finds images.

  Args:
    where: a folder, which is searched recursively; a file; or a pattern with `*`, `?` and `**`,
      whose matches count as images whatever their extension. The part of a path that exists is
      taken literally, even with brackets.
    endings: of image files.

  Returns:
    Each image with its path relative to the folder, or to the common parent of all matches; sorted.

  Raises:
    UserError: there are none.
  """
  folder = pathlib.Path(where).expanduser()
  if folder.is_dir():
    files = dict(file_search.walk(folder))
    paths = [path for name, path in files.items() if file_search.split_ending(name, endings)]
    if paths and len(paths) < len(files):
      others = collections.Counter(
        path.suffix.lower() or "no extension" for path in set(files.values()) - set(paths)
      )
      kinds = ", ".join(f"{number:,} {ending}" for ending, number in sorted(others.items()))
      logging.info("%s: left out %s", folder, kinds)
  else:
    paths = [folder] if folder.is_file() else _match(folder)
    folder = pathlib.Path(os.path.commonpath([path.parent for path in paths])) if paths else folder
  if not paths:
    kinds = f" that ends with {', '.join(endings)}" if folder.is_dir() else ""
    raise errors.UserError(f"--images={where}: there is no image{kinds}")
  return {path: path.relative_to(folder) for path in sorted(paths)}


def _match(pattern: pathlib.Path) -> list[pathlib.Path]:
  """Returns the files that match a pattern, whose existing part is taken literally."""
  existing = next(parent for parent in pattern.parents if parent.exists())
  rest = pattern.relative_to(existing)
  names = map(pathlib.Path, glob.glob(str(rest), root_dir=existing, recursive=True))
  return [
    existing / name
    for name in names
    if (existing / name).is_file() and not file_search.is_left_out(name)
  ]


def read_size(path: pathlib.Path) -> tuple[int, int]:
  """Reads an image's height and width, as stored, from its header.

  Raises:
    UserError: it cannot be read, is not an image, or is too large.
  """
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # warns at half the limit
      with Image.open(path) as picture:  # reads only as much of the file as it needs
        return picture.height, picture.width
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
    header = image_headers.read(_content(path), f"{path}:")  # knows more, or says what is wrong
    return header.height, header.width


def read(
  path: pathlib.Path, image_format: ImageFormat = RGB, extra: pathlib.Path | None = None
) -> np.ndarray:
  """Reads an image, and the file with extra channels if there is one; see `images.decode`.

  Raises:
    UserError: it cannot be read or decoded.
  """
  if extra is None:
    return images.decode(_content(path), f"{path}:", image_format)
  return images.decode_joined(
    _content(path), f"{path}:", _content(extra), f"{extra}:", image_format
  )


def _content(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as error:
    raise errors.UserError(f"{path}: {error.strerror}") from error


class Reader:
  """Reads images in threads, ahead of their use, sorted by size.

  How far ahead is limited in pixels, because a single image may be large.

  Attributes:
    failures: what is wrong with the images that were left out.
    waited: seconds that the iteration had to wait for images.
  """

  def __init__(
    self,
    paths: Iterable[pathlib.Path],
    image_format: ImageFormat = RGB,
    extra: Mapping[pathlib.Path, pathlib.Path] | None = None,
  ):
    self._image_format = image_format
    self._extra = extra or {}
    self.failures: list[str] = []
    self.waited = 0.0
    sizes = {}
    for path in paths:
      try:
        sizes[path] = read_size(path)
      except errors.UserError as error:
        self.failures.append(str(error))
    self._sizes = dict(sorted(sizes.items(), key=lambda item: item[1]))

  def __iter__(self) -> Iterator[tuple[tuple[pathlib.Path, np.ndarray], np.ndarray]]:
    """Yields path and image `[height, width, channels]` as a key, and the image."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      for path, reading in self._read_ahead(pool):
        asked = time.monotonic()
        try:
          image = reading.result()
        except errors.UserError as error:
          self.failures.append(str(error))
        else:
          self.waited += time.monotonic() - asked
          yield (path, image), image

  def _read_ahead(
    self, pool: concurrent.futures.Executor
  ) -> Iterator[tuple[pathlib.Path, concurrent.futures.Future]]:
    started = collections.deque()
    pixels = 0
    for path, size in self._sizes.items():
      started.append((path, pool.submit(read, path, self._image_format, self._extra.get(path))))
      pixels += math.prod(size)
      while pixels > _READ_AHEAD:
        pixels -= math.prod(self._sizes[started[0][0]])
        yield started.popleft()
    yield from started
