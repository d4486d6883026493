"""Finds and reads the PNGs of labels and predictions, as the official Cityscapes script does.

A label file `<city>_<sequence>_<frame>_gtFine_labelIds.png` belongs to the one prediction file
`<city>_<sequence>_<frame>*.png`; both folders are searched recursively
(cityscapesScripts, `evalPixelLevelSemanticLabeling.getPrediction`).
"""

import pathlib
import struct
import zlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from flax_unet.errors import UserError

LABEL_SUFFIX = "_gtFine_labelIds.png"
INSTANCE_SUFFIX = "_gtFine_instanceIds.png"

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {2: "an RGB", 3: "a palette", 4: "a grayscale-and-alpha", 6: "an RGBA"}


def picture_id(label_file: pathlib.Path) -> str:
  """Returns `<city>_<sequence>_<frame>` of a label file."""
  return label_file.name.removesuffix(LABEL_SUFFIX)


def find_labels(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the label files below a folder, by name.

  Raises:
    UserError: there is no such folder, or no label file in it.
  """
  labels = sorted(_files(folder, f"*{LABEL_SUFFIX}"), key=lambda file: file.name)
  if not labels:
    raise UserError(f"{folder}: holds no label file named *{LABEL_SUFFIX}")
  return labels


def match(
  labels: Sequence[pathlib.Path], folder: pathlib.Path, suffix: str = ".png"
) -> list[pathlib.Path]:
  """Returns the one file below a folder for each label file.

  Args:
    labels: label files.
    folder: where the predictions or instance maps lie.
    suffix: how their names end.

  Raises:
    UserError: a label file has no file, or more than one.
  """
  files = sorted(_files(folder, f"*{suffix}"))
  matched = []
  for label in labels:
    found = [file for file in files if file.name.startswith(picture_id(label))]
    if not found:
      raise UserError(f"{label}: no file {picture_id(label)}*{suffix} in {folder}")
    if len(found) > 1:
      raise UserError(f"{label}: more than one file for it: {found[0]} and {found[1]}")
    matched.append(found[0])
  return matched


def _files(folder: pathlib.Path, pattern: str) -> Iterator[pathlib.Path]:
  if not folder.is_dir():
    raise UserError(f"{folder}: no such folder")
  return folder.rglob(pattern)


def read_ids(file: pathlib.Path) -> np.ndarray:
  """Reads a PNG of ids: uint8 or uint16 `[height, width]`.

  Raises:
    UserError: the file is unreadable or damaged, or its pixels are colours.
  """
  try:
    content = file.read_bytes()
  except OSError as error:
    raise UserError(f"{file}: {error.strerror}") from None
  bit_depth, color_type = _verified_header(file, content)
  if color_type in _COLOR_TYPES:
    raise UserError(
      f"{file}: is {_COLOR_TYPES[color_type]} PNG, but ids are wanted: write one 8-bit gray channel"
    )
  if bit_depth < 8:  # decoders stretch these to 0..255, and the ids are gone
    raise UserError(f"{file}: has {bit_depth} bits a pixel, but ids are wanted with 8 or 16")
  ids = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
  if ids is None:
    raise UserError(f"{file}: cannot be decoded")
  return ids


def _verified_header(file: pathlib.Path, content: bytes) -> tuple[int, int]:
  """Checks every chunk of a PNG and returns its bit depth and colour type.

  Decoders differ in what they make of a damaged file: some write to the terminal, some fill in
  zeros, which are ids too. So nothing damaged gets as far as a decoder.
  """
  if not content.startswith(_PNG_SIGNATURE):
    raise UserError(f"{file}: is not a PNG")
  position, kind = len(_PNG_SIGNATURE), b""
  while kind != b"IEND":
    length = int.from_bytes(content[position : position + 4], "big")
    checked = content[position + 4 : position + 8 + length]
    checksum = content[position + 8 + length : position + 12 + length]
    if len(checksum) < 4 or zlib.crc32(checked) != int.from_bytes(checksum, "big"):
      raise UserError(f"{file}: is a damaged or incomplete PNG")
    position, kind = position + 12 + length, checked[:4]
  return struct.unpack_from("BB", content, len(_PNG_SIGNATURE) + 16)
