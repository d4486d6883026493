"""Writes predicted masks: ids, colours, overlays, instances, outlines, Cityscapes' submissions."""

import collections
import concurrent.futures
import os
import pathlib
import re
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np

from flax_unet import errors, files
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.inference import regions

_WRITE_BEHIND = 8  # images that may wait to be written
_CITYSCAPES_SIZE = (1024, 2048)
# How cityscapesScripts finds predictions: evalPixelLevelSemanticLabeling.getPrediction.
_CITYSCAPES_NAME = re.compile(r"([a-zA-Z-]+_\d{6}_\d{6})(_leftImg8bit)?")


def _label_ids(mask: np.ndarray, image: np.ndarray, label_space: LabelSpace) -> np.ndarray:
  del image
  return label_space.index_to_id[mask]


def _train_ids(mask: np.ndarray, image: np.ndarray, label_space: LabelSpace) -> np.ndarray:
  del image, label_space
  return mask


def _color(mask: np.ndarray, image: np.ndarray, label_space: LabelSpace) -> np.ndarray:
  del image
  return label_space.colorize(mask)


def _overlay(mask: np.ndarray, image: np.ndarray, label_space: LabelSpace) -> np.ndarray:
  return cv2.addWeighted(image, 0.5, label_space.colorize(mask), 0.5, 0)


def _cityscapes(mask: np.ndarray, image: np.ndarray, label_space: LabelSpace) -> np.ndarray:
  height, width = _CITYSCAPES_SIZE
  if mask.shape != _CITYSCAPES_SIZE:  # the frame had been shrunk
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
  return _label_ids(mask, image, label_space)


def _instances(mask: np.ndarray, image: np.ndarray, label_space: LabelSpace) -> np.ndarray:
  del image, label_space
  numbers = regions.instances(mask)
  if numbers.max() > np.iinfo(np.uint16).max:
    raise errors.UserError(
      f"--format=instances: a mask has {numbers.max():,} connected parts, and 16 bits hold 65,535; "
      "contours describe any number"
    )
  return numbers.astype(np.uint16)


def _contours(mask: np.ndarray, image: np.ndarray, label_space: LabelSpace) -> str:
  del image
  return regions.geojson(mask, label_space)


# Each maps a mask (uint8 `[height, width]`, class indices), an image (uint8 `[height, width, 3]`)
# and a label space to the pixels of a PNG, `[height, width]` or RGB, or to the text of a GeoJSON.
FORMATS: dict[str, Callable[[np.ndarray, np.ndarray, LabelSpace], np.ndarray | str]] = {
  "label_ids": _label_ids,
  "train_ids": _train_ids,
  "color": _color,
  "overlay": _overlay,
  "instances": _instances,
  "contours": _contours,
  "cityscapes": _cityscapes,
}
_ENDINGS = {"contours": ".geojson"}


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
    several = len(formats) > 1
    self._folders = {name: output / name if several else output for name in formats}
    self._masks = masks
    self._label_space = label_space
    self._started: collections.deque[concurrent.futures.Future] = collections.deque()

  def path(self, name: str, picture: pathlib.Path) -> pathlib.Path:
    """Where the mask of an image is written in the named format."""
    return (self._folders[name] / self._masks[picture]).with_suffix(_ENDINGS.get(name, ".png"))

  def paths(self) -> Iterator[pathlib.Path]:
    """All the files that will be written."""
    for name in self._folders:
      yield from (self.path(name, picture) for picture in self._masks)

  def write(self, picture: pathlib.Path, image: np.ndarray, mask: np.ndarray) -> None:
    """Writes a mask in all formats."""
    self._started.append(self._pool.submit(self._write, picture, image, mask))
    self._wait(_WRITE_BEHIND)

  def _write(self, picture: pathlib.Path, image: np.ndarray, mask: np.ndarray) -> None:
    if "overlay" in self._folders:
      image = self._image_format.shown(image)
    for name in self._folders:
      content, path = FORMATS[name](mask, image, self._label_space), self.path(name, picture)
      if isinstance(content, str):
        _write(path, content.encode())
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
