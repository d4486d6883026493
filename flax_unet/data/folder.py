"""Your own data: a folder of images and a folder of masks.

`folder_pairs.py` pairs the files, and `masks.py` reads the masks. Opening a split reads all of its
files, on all cores, so that even a mistake in the last one is found before training starts. Files
that have not changed since are not read again, see `checked.py`.
"""

import dataclasses
import functools
import hashlib
import pathlib
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np
from absl import logging

from flax_unet import errors, terminal
from flax_unet.data import (
  checked,
  folder_pairs,
  image_headers,
  images,
  label_space_file,
  masks,
  picture_files,
)
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.label_space import IGNORED, LabelSpace, count_values
from flax_unet.data.pair_files import Pair

_MOST_MISTAKES = 10  # reported for one split
_PACKED = "<32sq32s"  # the fields of `_Facts`
_CHECKS = 2  # to be raised when a check becomes stricter, so that all files are checked again


class _Facts(NamedTuple):
  """Facts about a pair of files: a digest, their size, and which ids the mask has."""

  sha256: bytes
  bytes: int
  ids: np.ndarray  # bool [256]

  def pack(self) -> bytes:
    """Returns the facts as bytes, for the cache."""
    return struct.pack(_PACKED, self.sha256, self.bytes, np.packbits(self.ids).tobytes())

  @classmethod
  def unpack(cls, packed: bytes) -> "_Facts":
    """Inverts `pack`."""
    sha256, size, ids = struct.unpack(_PACKED, packed)
    return cls(sha256, size, np.unpackbits(np.frombuffer(ids, np.uint8)).astype(bool))


@dataclasses.dataclass(frozen=True)
class FolderSource:
  """The examples of one split, see `datasets.Source`."""

  pairs: Sequence[Pair]
  label_space: LabelSpace
  image_format: ImageFormat = RGB

  def __len__(self) -> int:
    return len(self.pairs)

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Reads and decodes one example.

    Raises:
      UserError: a file is missing or damaged, or the mask has invalid values.
    """
    pair = self.pairs[index]
    return self._decode(pair, *_contents(pair))

  def _decode(self, pair: Pair, image: bytes, label: bytes, extra: bytes = b"") -> dict[str, Any]:
    where, image_format = f"{pair.image}:", self.image_format
    return {
      "image": images.decode_joined(image, where, extra, f"{pair.extra}:", image_format)
      if pair.extra
      else images.decode(image, where, image_format),
      "label": masks.decode(label, self.label_space, str(pair.label)),
      "id": pair.id,
    }

  def inspect(self, index: int) -> _Facts:
    """Reads and checks one example.

    Raises:
      UserError: as in `__getitem__`, or image and mask differ in size.
    """
    pair = self.pairs[index]
    contents = _contents(pair)
    example = self._decode(pair, *contents)
    size, label_size = example["image"].shape[:2], example["label"].shape
    if size != label_size:
      raise errors.UserError(_different_sizes(pair, size, label_size, contents[0]))
    return _Facts(
      hashlib.sha256(b"\0".join([pair.id.encode(), *contents])).digest(),
      sum(map(len, contents)),
      count_values(example["label"]) > 0,
    )


def _different_sizes(
  pair: Pair, size: tuple[int, int], label_size: tuple[int, int], image: bytes
) -> str:
  """Says what is wrong with a pair of different sizes (height, width), and what to do."""
  (height, width), (label_height, label_width) = size, label_size
  complaint = (
    f"{pair.image}: is {width} x {height} pixels, but its mask {pair.label} is {label_width} x "
    f"{label_height}"
  )
  if size == label_size[::-1] and image_headers.orientation(image) > 4:  # height and width swap
    return (
      f"{complaint}: the image is rotated by its EXIF orientation, but the mask was drawn on the "
      "pixels as stored; rotate the mask, or remove the EXIF orientation from the image"
    )
  return f"{complaint}: resize one of them (a mask with nearest neighbour)"


def _contents(pair: Pair) -> list[bytes]:
  """Reads the files of a pair: image, mask, and extra channels if there are any."""
  return [_read(path) for path in pair.files]


def _read(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as error:
    raise errors.UserError(f"{path}: {error.strerror}") from error


def _inspect(source: FolderSource, index: int) -> checked.Result:
  """Reads and checks one example; returns packed facts, or what is wrong with it."""
  try:
    return source.inspect(index).pack()
  except errors.UserError as error:
    return error


class FolderDataset:
  """The splits of a folder, see `datasets.Dataset`."""

  def __init__(
    self,
    data: ml_collections.ConfigDict,
    label_space: LabelSpace,
    skip_bad_examples: bool = False,
    image_format: ImageFormat = RGB,
    *,
    log_bad_examples: bool = True,
  ):
    """Finds the files.

    Args:
      data: `split`, the one to train on; for the rest see `folder_pairs.find`.
      label_space: the classes of the masks.
      skip_bad_examples: whether to leave out examples that cannot be used.
      image_format: what all images have to be.
      log_bad_examples: whether to warn about each example that is left out.

    Raises:
      UserError: an image or mask has no partner, or a list cannot be used.
    """
    if bool(data.get("extra")) != bool(image_format.extra):
      raise errors.UserError(
        f"config.input.data.extra = '{data.get('extra') or ''}', but config.images.extra_channels "
        f"= {image_format.extra.channels if image_format.extra else 0}: extra channels need both"
      )
    self._pairs = folder_pairs.find(data, picture_files.endings(image_format))
    self._image_format = image_format
    self._train_split = data.split
    self._label_space = label_space
    self._skip_bad_examples = skip_bad_examples
    self._log_bad_examples = log_bad_examples
    self._fingerprints: dict[str, dict[str, Any]] = {}
    self._digests: dict[str, dict[str, str]] = {}

  def split(self, name: str) -> FolderSource:
    """Opens a split; checks all its files the first time.

    Raises:
      UserError: there is no such split, or something is wrong with a file.
    """
    if name not in self._pairs:
      raise errors.unknown("split of the folder", name, self._pairs)
    source = FolderSource(self._pairs[name], self._label_space, self._image_format)
    if name not in self._fingerprints:
      self._fingerprints[name] = self._check(name, source)
    return source

  def _check(self, name: str, source: FolderSource) -> dict[str, Any]:
    """Reads every file of a split, and returns what identifies it."""
    logging.info("Checking %s of %s", terminal.counted(len(source), "image"), name)
    identity = {
      "checks": _CHECKS,
      "label_space": label_space_file.to_json(self._label_space),
      "image_format": self._image_format.identity,
    }
    results = checked.results(source.pairs, functools.partial(_inspect, source), identity, name)
    found = [_Facts.unpack(item) if isinstance(item, bytes) else item for item in results]
    mistakes = [item for item in found if isinstance(item, errors.UserError)]
    if mistakes and not self._skip_bad_examples:
      others = (
        f" (and {len(mistakes) - 1} more images of {name} cannot be used, the next are above)"
      )
      for mistake in mistakes[1:_MOST_MISTAKES]:
        logging.error("%s", mistake)
      raise errors.UserError(f"{mistakes[0]}{others * (len(mistakes) > 1)}")
    for mistake in mistakes if self._log_bad_examples else ():
      logging.warning("Left out: %s", mistake)
    facts = [item for item in found if isinstance(item, _Facts)]
    if not facts:
      raise errors.UserError(
        f"no image of {name} can be used, all {len(mistakes):,} are left out: {mistakes[0]}"
      )
    self._check_classes(name, functools.reduce(np.logical_or, (item.ids for item in facts)))
    self._digests[name] = {
      pair.id: item.sha256.hex()[:16]
      for pair, item in zip(source.pairs, found, strict=True)
      if isinstance(item, _Facts)
    }
    return {
      "examples": len(facts),
      "bytes": sum(item.bytes for item in facts),
      "sha256": hashlib.sha256(b"".join(item.sha256 for item in facts)).hexdigest(),
    }

  def _check_classes(self, name: str, ids: np.ndarray) -> None:
    """Refuses a split with too few classes to learn or score; `ids` tells which it has, `[256]`."""
    space = self._label_space
    present = np.unique(space.lookup_table[ids])
    present = present[present < space.num_classes]
    if len(present) >= (2 if name == self._train_split else 1):
      return
    names = [f"'{space.class_names[index]}'" for index in present]
    complaint = (
      f"the masks of {name} hold only one class of label space '{space.name}', {names[0]}"
      if names
      else f"the masks of {name} hold no pixel of a class, only ignored ones"
    )
    if ids[IGNORED] and space.id_to_index.get(IGNORED) == IGNORED:
      complaint += (
        f"; their value {IGNORED} is read as 'ignored', so for masks of 0 and {IGNORED} give "
        "classes=FILE.csv with the lines name,r,g,b,id and background,0,0,0,0 and "
        f"object,255,255,255,{IGNORED}"
      )
    else:
      complaint += ": do the ids or colours of its classes match the masks?"
    raise errors.UserError(complaint)

  def fingerprint(self) -> dict[str, Any]:
    """Identifies the data that were opened: the size and content of each split."""
    return {"name": "folder", "splits": dict(sorted(self._fingerprints.items()))}

  def digests(self) -> dict[str, dict[str, str]]:
    """Returns a digest of each example that was opened, by split and id."""
    return dict(sorted(self._digests.items()))
