"""Decodes images: the one reader for training, evaluation, prediction, inspection and export.

Networks take three channels of 8 bits. What these cannot hold is refused and not cut down to them;
`_check_fits` has the rules.

Three libraries decode to the same pixels. OpenCV reads every format. Decoding is most of the time
that an example of Cityscapes takes, so plain PNG goes to imagecodecs, whose libpng uses the
processor's vector instructions: 34 ms for a frame of 1024 x 2048 where OpenCV's takes 45, one core.
JPEG goes to simplejpeg, which raises where libjpeg and OpenCV fill in what is missing.

A crop needs no more than the rows down to its end: a plain PNG can wait as an `EncodedImage`.
"""

import dataclasses
import struct
import zlib

import cv2
import imagecodecs
import numpy as np
import simplejpeg
from absl import logging

from flax_unet import errors
from flax_unet.data import image_headers
from flax_unet.data.image_headers import Header

# The header's bits a channel, kind of colour (0 grey, 2 RGB), compression, filters and interlacing.
_RGB, _GREY = b"\x08\x02\0\0\0", b"\x08\0\0\0\0"


_NETWORK_TAKES = "networks here take three 8-bit channels"
# 16-bit numbers that stay below come from 14 bits or fewer: 8 bits leave them 64 levels or fewer.
_SMALL_PART = 2**14


def decode(encoded: bytes, where: str) -> np.ndarray:
  """Decodes a picture.

  Args:
    encoded: the content of a file, of any format that OpenCV knows.
    where: what error messages call it.

  Returns:
    uint8 `[height, width, 3]`, RGB, turned as its EXIF data say. Gray becomes RGB, transparency is
    left out, and 16 bits become 8 by division by 256.

  Raises:
    UserError: it is damaged or incomplete, too large, or cannot be told with three 8-bit channels.
  """
  decoded = _decode_plain_png(encoded, _RGB)
  if decoded is not None:
    return decoded
  header = image_headers.read(encoded, where)
  _check_fits(header, where)
  if header.format == "JPEG":
    decoded = _decode_jpeg(encoded, header, where)
    if decoded is not None:
      return decoded
  if header.format == "PNG":
    check_png(encoded, where)
  if header.bits == 16:
    _check_range(_decode_with_opencv(encoded, cv2.IMREAD_UNCHANGED, where), where)
  return _decode_with_opencv(encoded, cv2.IMREAD_COLOR_RGB, where)


def decode_ids(encoded: bytes, where: str) -> np.ndarray:
  """Decodes an image of numbers as it is stored, for data sets whose masks are known to be such.

  Args:
    encoded: the content of a file.
    where: what error messages call it.

  Raises:
    UserError: it cannot be decoded.
  """
  decoded = _decode_plain_png(encoded, _GREY)
  if decoded is not None:
    return decoded
  return _decode_with_opencv(encoded, cv2.IMREAD_UNCHANGED, where)


def _decode_with_opencv(encoded: bytes, flags: int, where: str) -> np.ndarray:
  try:
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
  except cv2.error:
    decoded = None
  if decoded is None:
    raise errors.UserError(f"{where} cannot be decoded ({len(encoded):,} bytes)")
  return decoded


def _check_fits(header: Header, where: str) -> None:
  """Refuses what three 8-bit channels cannot hold."""
  colors = header.bands - header.has_alpha
  is_cmyk = header.format == "JPEG" and colors == 4
  if header.pages > 1:
    reason = f"holds {header.pages:,} pages or frames; save each as a file of its own"
  elif header.is_float:
    reason = f"holds floating-point numbers, but {_NETWORK_TAKES}; scale them to 0..255"
  elif header.bits > 16:
    reason = f"has {header.bits} bits a channel, but {_NETWORK_TAKES}; scale them to 0..255"
  elif colors not in (1, 3) and not is_cmyk:
    reason = f"has {colors} bands, but {_NETWORK_TAKES}; save three of them, or one"
  else:
    return
  raise errors.UserError(f"{where} {reason}")


def _check_range(pixels: np.ndarray, where: str) -> None:
  """Refuses 16-bit numbers that would be lost by division by 256, and says so of the others."""
  largest = int(pixels.max())
  if 0 < largest < _SMALL_PART:
    raise errors.UserError(
      f"{where} has 16 bits a channel but no value above {largest:,}: with three 8-bit channels, "
      f"which is what networks here take, {largest // 256 + 1} levels would be left of it; scale "
      "the pictures, all by one factor, to 0..65,535 or 0..255"
    )
  logging.log_first_n(
    logging.INFO, "%s has 16 bits a channel: such pictures are scaled to 8 bits", 1, where
  )


def check_png(encoded: bytes, where: str) -> None:
  """Checks the checksums of a PNG, since decoders fill in what is missing or write to the terminal.

  Raises:
    UserError: it is damaged or incomplete.
  """
  position, kind = len(image_headers.PNG), b""
  content = memoryview(encoded)
  while kind != b"IEND":
    length = int.from_bytes(content[position : position + 4])
    checked = content[position + 4 : position + 8 + length]
    checksum = content[position + 8 + length : position + 12 + length]
    if len(checksum) < 4 or zlib.crc32(checked) != int.from_bytes(checksum):
      raise errors.UserError(f"{where} cannot be decoded ({len(encoded):,} bytes): damaged or cut")
    position, kind = position + 12 + length, bytes(checked[:4])


def _decode_jpeg(encoded: bytes, header: Header, where: str) -> np.ndarray | None:
  """Decodes a JPEG; None for what is whole and has to be turned, or has other colours than RGB."""
  try:
    pixels = simplejpeg.decode_jpeg(encoded, "CMYK" if header.bands == 4 else "RGB")
  except ValueError as error:
    reason = str(error).removeprefix("Corrupt JPEG data: ")
    raise errors.UserError(
      f"{where} cannot be decoded ({len(encoded):,} bytes): {reason}, so part of the picture is "
      "missing"
    ) from error
  return None if header.bands == 4 or image_headers.orientation(encoded) > 1 else pixels


def _decode_plain_png(encoded: bytes, kind: bytes) -> np.ndarray | None:
  """Decodes a PNG of a kind that needs no conversion; None for others and what is wrong."""
  if not _is_plain(encoded, kind):
    return None
  try:
    return imagecodecs.png_decode(encoded)
  except (imagecodecs.PngError, ValueError):  # of what it cannot put in words, the second
    return None


def is_plain_gray(encoded: bytes) -> bool:
  """Whether it is a PNG of one 8-bit channel and nothing else."""
  return _is_plain(encoded, _GREY)


def _is_plain(encoded: bytes, kind: bytes) -> bool:
  """Whether it is a PNG of this kind, neither turned, transparent, animated nor too large."""
  if not encoded.startswith(image_headers.PNG) or encoded[24:29] != kind:
    return False
  width, height = struct.unpack(">II", encoded[16:24])
  if width * height > image_headers.MAX_PIXELS:
    return False
  # What says so stands before the pixels or after them; to search them as well takes 1.5 ms.
  before, after = encoded[: encoded.find(b"IDAT")], encoded[encoded.rfind(b"IDAT") :]
  return not any(chunk in part for chunk in (b"eXIf", b"tRNS", b"acTL") for part in (before, after))


@dataclasses.dataclass(frozen=True)
class EncodedImage:
  """An RGB image kept as a plain PNG file; stands for its array until pixels are needed.

  Attributes:
    content: the file.
    where: what the error message calls it.
  """

  content: bytes = dataclasses.field(repr=False)
  where: str

  dtype = np.dtype(np.uint8)
  ndim = 3

  @property
  def shape(self) -> tuple[int, int, int]:
    """As the header says: height, width, 3."""
    width, height = struct.unpack(">II", self.content[16:24])
    return height, width, 3

  def decode(self, rows: int | None = None) -> np.ndarray:
    """Decodes the first rows, or all: uint8 `[rows, width, 3]`.

    What lies below is not looked at. Damage there goes unnoticed, and so it may from the start of
    the PNG chunk that the rows end in, whose checksum comes after it. (Data sets of TFDS have
    checksums of their own, on each record.)

    Raises:
      UserError: it cannot be decoded.
    """
    if rows is None or rows >= self.shape[0]:
      return decode(self.content, self.where)
    # libspng stops where the header has the image end. libpng would inflate the rest all the same.
    header = self.content[12:20] + struct.pack(">I", rows) + self.content[24:29]
    checksum = struct.pack(">I", zlib.crc32(header))
    shortened = self.content[:12] + header + checksum + self.content[33:]
    try:
      return imagecodecs.spng_decode(shortened)
    except (imagecodecs.SpngError, ValueError):
      return decode(self.content, self.where)


def decode_later(encoded: bytes, where: str) -> EncodedImage | np.ndarray:
  """Leaves a plain PNG for later, and decodes anything else; see `decode`."""
  intact = zlib.crc32(encoded[12:29]) == int.from_bytes(encoded[29:33])
  if intact and _is_plain(encoded, _RGB):
    return EncodedImage(encoded, where)
  return decode(encoded, where)


def decoded(image: EncodedImage | np.ndarray, rows: int | None = None) -> np.ndarray:
  """The pixels of an image: at least its first `rows`, by default all of them.

  Raises:
    UserError: it cannot be decoded.
  """
  return image.decode(rows) if isinstance(image, EncodedImage) else image
