"""Decodes images: with OpenCV, and plain PNG with imagecodecs, which undoes their filters faster.

Decoding is most of the time that an example of Cityscapes takes. imagecodecs' libpng uses the
processor's vector instructions: 34 ms for a frame of 1024 x 2048 where OpenCV's takes 45, one core.

A crop needs no more than the rows down to its end: a plain PNG can wait as an `EncodedImage`.
"""

import dataclasses
import struct
import zlib

import cv2
import imagecodecs
import numpy as np

from flax_unet import errors

_PNG = b"\x89PNG\r\n\x1a\n"
# The header's bits a channel, kind of colour (0 grey, 2 RGB), compression, filters and interlacing.
_RGB, _GREY = b"\x08\x02\0\0\0", b"\x08\0\0\0\0"


def decode(encoded: bytes, where: str, flags: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray:
  """Decodes a picture.

  Args:
    encoded: the content of a file, of any format that OpenCV knows.
    where: what the error message calls it.
    flags: by default any picture becomes uint8 RGB, turned as its EXIF data say.

  Returns:
    `[height, width, 3]`, or what other flags say.

  Raises:
    UserError: it cannot be decoded.
  """
  decoded = _decode_plain_png(encoded, flags)
  if decoded is None and encoded:
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
  if decoded is None:
    raise errors.UserError(f"{where} cannot be decoded ({len(encoded)} bytes)")
  return decoded


def _decode_plain_png(encoded: bytes, flags: int) -> np.ndarray | None:
  """Decodes a PNG that needs no conversion; None where OpenCV has to look at it."""
  wanted = {cv2.IMREAD_COLOR_RGB: _RGB, cv2.IMREAD_UNCHANGED: _GREY}.get(flags)
  if not _is_plain(encoded, wanted):
    return None
  try:
    return imagecodecs.png_decode(encoded)
  except imagecodecs.PngError:
    return None


def _is_plain(encoded: bytes, kind: bytes | None) -> bool:
  """Whether it is a PNG of this kind that is neither turned nor has transparent pixels."""
  if not encoded.startswith(_PNG) or encoded[24:29] != kind:
    return False
  # What says so stands before the pixels or after them; to search them as well takes 1.5 ms.
  before, after = encoded[: encoded.find(b"IDAT")], encoded[encoded.rfind(b"IDAT") :]
  return not any(chunk in part for chunk in (b"eXIf", b"tRNS") for part in (before, after))


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
    except imagecodecs.SpngError:
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
