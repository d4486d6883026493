"""Writes predicted masks: ids, colours, overlays, instances, outlines, Cityscapes' submissions."""

import collections
import concurrent.futures
import io
import os
import pathlib
import re
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tifffile

from flax_unet import errors, files
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.inference import regions

_WRITE_BEHIND = 8  # images that may wait to be written
_CITYSCAPES_SIZE = (1024, 2048)
# How cityscapesScripts finds predictions: evalPixelLevelSemanticLabeling.getPrediction.
_CITYSCAPES_NAME = re.compile(r"([a-zA-Z-]+_\d{6}_\d{6})(_leftImg8bit)?")


class Predicted(NamedTuple):
  """What is known of an image.

  Attributes:
    image: the image, or what `ImageFormat.shown` makes of it.
    mask: uint8 `[height, width]`, class indices.
    probabilities: float32 `[height, width, classes]`; None if no format needs them.
  """

  image: np.ndarray
  mask: np.ndarray
  probabilities: np.ndarray | None = None


def _label_ids(found: Predicted, label_space: LabelSpace) -> np.ndarray:
  return label_space.index_to_id[found.mask]


def _train_ids(found: Predicted, label_space: LabelSpace) -> np.ndarray:
  del label_space
  return found.mask


def _color(found: Predicted, label_space: LabelSpace) -> np.ndarray:
  return label_space.colorize(found.mask)


def _overlay(found: Predicted, label_space: LabelSpace) -> np.ndarray:
  return cv2.addWeighted(found.image, 0.5, label_space.colorize(found.mask), 0.5, 0)


def _cityscapes(found: Predicted, label_space: LabelSpace) -> np.ndarray:
  height, width = _CITYSCAPES_SIZE
  if found.mask.shape != _CITYSCAPES_SIZE:  # the frame had been shrunk
    mask = cv2.resize(found.mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    found = found._replace(mask=mask)
  return _label_ids(found, label_space)


def _instances(found: Predicted, label_space: LabelSpace) -> np.ndarray:
  del label_space
  numbers = regions.instances(found.mask)
  if numbers.max() > np.iinfo(np.uint16).max:
    raise errors.UserError(
      f"--format=instances: {numbers.max():,} connected components, but 16 bits hold 65,535; "
      "use contours, which have no limit"
    )
  return numbers.astype(np.uint16)


def _contours(found: Predicted, label_space: LabelSpace) -> bytes:
  return regions.geojson(found.mask, label_space).encode()


def _npz(found: Predicted, label_space: LabelSpace) -> bytes:
  file = io.BytesIO()
  classes = np.array(label_space.class_names)
  np.savez_compressed(file, probabilities=found.probabilities.astype(np.float16), classes=classes)
  return file.getvalue()


def _tiff(found: Predicted, label_space: LabelSpace) -> bytes:
  file = io.BytesIO()
  bands = found.probabilities.astype(np.float16).transpose(2, 0, 1)
  about = {"Labels": list(label_space.class_names)}
  options = {"photometric": "minisblack", "planarconfig": "separate", "compression": "deflate"}
  tifffile.imwrite(file, bands, metadata=about, **options)
  return file.getvalue()


class Format(NamedTuple):
  """A kind of file that an image is predicted to.

  Attributes:
    encode: returns the pixels of a PNG, `[height, width]` or RGB, or the content of a file.
    ending: of the file.
    needs_probabilities: whether it takes them.
  """

  encode: Callable[[Predicted, LabelSpace], np.ndarray | bytes]
  ending: str = ".png"
  needs_probabilities: bool = False


FORMATS = {
  "label_ids": Format(_label_ids),
  "train_ids": Format(_train_ids),
  "color": Format(_color),
  "overlay": Format(_overlay),
  "instances": Format(_instances),
  "contours": Format(_contours, ".geojson"),
  "probabilities": Format(_npz, ".npz", needs_probabilities=True),
  "probabilities_tiff": Format(_tiff, ".tif", needs_probabilities=True),
  "cityscapes": Format(_cityscapes),
}


def check_cityscapes(pictures: Iterable[pathlib.Path], label_space: LabelSpace) -> None:
  """Checks that the Cityscapes server would accept masks in the format `cityscapes`.

  Args:
    pictures: the image files to predict.
    label_space: the label space of the predictions.

  Raises:
    UserError: a file is not named like a Cityscapes frame, a frame occurs twice, or the label ids
      are not those of Cityscapes.
  """
  if not label_space.name.startswith("cityscapes"):
    raise errors.UserError(
      f"--format=cityscapes: label space '{label_space.name}' does not have Cityscapes' label ids"
    )
  frames: dict[str, pathlib.Path] = {}
  for picture in pictures:
    match = _CITYSCAPES_NAME.fullmatch(picture.stem)
    if not match:
      raise errors.UserError(
        f"{picture}: --format=cityscapes takes frames that are named "
        "<city>_<sequence>_<frame>_leftImg8bit, such as ulm_000000_000019_leftImg8bit.png"
      )
    if match[1] in frames:
      raise errors.UserError(
        f"{frames[match[1]]} and {picture}: --format=cityscapes takes one file per frame"
      )
    frames[match[1]] = picture


def write_png(path: pathlib.Path, pixels: np.ndarray) -> None:
  """Writes integers `[height, width]` or RGB `[height, width, 3]` as PNG, atomically."""
  if pixels.ndim == 3:
    pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
  _write(path, cv2.imencode(".png", pixels)[1].tobytes())


def _write(path: pathlib.Path, content: bytes) -> None:
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
      temporary.write_bytes(content)
  except OSError as error:
    raise errors.UserError(
      f"{path}: cannot be written ({error.strerror}): choose another --output"
    ) from error


def write_zip(path: pathlib.Path, masks: Iterable[pathlib.Path]) -> None:
  """Packs PNGs into a ZIP file, without their folders and without compressing them again."""
  with files.replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
    for mask in masks:
      archive.write(mask, mask.name)


class Writer:
  """Writes masks in threads; leaving the context waits for them.

  Attributes:
    waited: seconds that the caller has waited for the writer.
    failures: what a format cannot hold, one line each; those files are not written.
  """

  def __init__(
    self,
    output: pathlib.Path,
    formats: Sequence[str],
    masks: Mapping[pathlib.Path, pathlib.Path],
    label_space: LabelSpace,
    image_format: ImageFormat = RGB,
  ):
    self._image_format = image_format
    self.waited = 0.0
    self.failures: list[str] = []
    several = len(formats) > 1
    self._folders = {name: output / name if several else output for name in formats}
    self._masks = masks
    self._label_space = label_space
    self._started: collections.deque[concurrent.futures.Future] = collections.deque()

  def path(self, name: str, picture: pathlib.Path) -> pathlib.Path:
    """Where the mask of an image is written in the named format."""
    return (self._folders[name] / self._masks[picture]).with_suffix(FORMATS[name].ending)

  def paths(self) -> Iterator[pathlib.Path]:
    """All the files that will be written."""
    for name in self._folders:
      yield from (self.path(name, picture) for picture in self._masks)

  def write(self, picture: pathlib.Path, found: Predicted) -> None:
    """Writes what was predicted in all formats."""
    self._started.append(self._pool.submit(self._write, picture, found))
    self._wait(_WRITE_BEHIND)

  def _write(self, picture: pathlib.Path, found: Predicted) -> None:
    if "overlay" in self._folders:
      found = found._replace(image=self._image_format.shown(found.image))
    for name in self._folders:
      path = self.path(name, picture)
      try:
        content = FORMATS[name].encode(found, self._label_space)
      except errors.UserError as error:
        self.failures.append(f"{picture}: {error}")
        continue
      if isinstance(content, bytes):
        _write(path, content)
      else:
        write_png(path, content)

  def _wait(self, left: int) -> None:
    """Waits until at most `left` masks are still being written."""
    asked = time.monotonic()
    while len(self._started) > left:
      self._started.popleft().result()
    self.waited += time.monotonic() - asked

  def __enter__(self) -> "Writer":
    self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    return self

  def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
    with self._pool:
      if kind is None:
        self._wait(0)
