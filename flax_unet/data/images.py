"""Decodes images: the one reader for training, evaluation, prediction, inspection and export.

Unless a configuration says otherwise, networks take three 8-bit channels. Images that do not fit
are refused rather than reduced; `_check_fits` has the rules. `bands.py` reads other formats.

OpenCV reads every format. `png.py` has faster decoders for plain PNG, with the same pixels. JPEG
goes to simplejpeg, which raises an error where libjpeg and OpenCV fill in missing data.

A crop only needs the rows down to its lower edge, so a plain PNG can wait as an `EncodedImage`.
"""

import dataclasses
import zlib

import cv2
import numpy as np
from absl import logging

from flax_unet import errors
from flax_unet.data import bands, codecs, image_headers, png
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.image_headers import Header

_NETWORK_TAKES = "the network takes three 8-bit channels"
# 16-bit values below this come from 14 bits or fewer: scaled to 8 bits, at most 64 levels remain.
_SMALL_PART = 2**14


def decode(encoded: bytes, where: str, image_format: ImageFormat = RGB) -> np.ndarray:
  """Decodes an image.

  Args:
    encoded: the content of a file, of any format that OpenCV knows.
    where: what error messages call it.
    image_format: what the image has to be, see `bands.decode`; by default 8-bit RGB.

  Returns:
    uint8 `[height, width, 3]`, RGB, rotated by its EXIF orientation. Gray becomes RGB, transparency
    is dropped, and 16 bits become 8 by division by 256. See `bands.decode` for other formats.

  Raises:
    UserError: it is damaged or incomplete, too large, or does not fit into three 8-bit channels.
  """
  if not image_format.is_rgb8:
    return bands.decode(encoded, where, image_format)
  decoded = png.decode(encoded, png.RGB)
  if decoded is not None:
    return decoded
  header = image_headers.read(encoded, where)
  _check_fits(header, where)
  if header.format == "JPEG":
    decoded = _decode_jpeg(encoded, header, where)
    if decoded is not None:
      return decoded
  if header.format == "PNG":
    codecs.check_png(encoded, where)
  if header.bits == 16:
    _check_range(codecs.with_opencv(encoded, cv2.IMREAD_UNCHANGED, where), where)
  return codecs.with_opencv(encoded, cv2.IMREAD_COLOR_RGB, where)


def decode_joined(
  image: bytes, where: str, extra: bytes, where_extra: str, image_format: ImageFormat
) -> np.ndarray:
  """Decodes an image and the file with its extra channels, see `ImageFormat.extra`.

  Args:
    image: the content of the first file.
    where: what error messages call it.
    extra: the content of the second file.
    where_extra: what error messages call that.
    image_format: of both together.

  Raises:
    UserError: one cannot be decoded, or they differ in size.
  """
  pixels = decode(image, where, image_format.own)
  more = decode(extra, where_extra, image_format.extra)
  if pixels.shape[:2] != more.shape[:2]:
    height, width = pixels.shape[:2]
    raise errors.UserError(
      f"{where_extra} is {more.shape[1]} x {more.shape[0]} pixels, but {where.rstrip(':')} is "
      f"{width} x {height}: resize one of them"
    )
  return image_format.join(pixels, more)


def decode_ids(encoded: bytes, where: str) -> np.ndarray:
  """Decodes an image of numbers as stored, for data sets whose masks are known to be numbers.

  Args:
    encoded: the content of a file.
    where: what error messages call it.

  Raises:
    UserError: it cannot be decoded.
  """
  decoded = png.decode(encoded, png.GRAY)
  if decoded is not None:
    return decoded
  return codecs.with_opencv(encoded, cv2.IMREAD_UNCHANGED, where)


def _check_fits(header: Header, where: str) -> None:
  """Refuses what three 8-bit channels cannot hold."""
  colors = header.bands - header.has_alpha
  is_cmyk = header.format == "JPEG" and colors == 4
  if header.pages > 1:
    reason = f"has {header.pages:,} pages or frames; save each as a separate file"
  elif header.is_float:
    reason = (
      f"has floating-point values, but {_NETWORK_TAKES}; scale them to 0..255, or set "
      "config.images.dtype=float32 and config.images.range=(LOWEST, HIGHEST)"
    )
  elif header.bits > 16:
    reason = (
      f"has {header.bits} bits per channel, but {_NETWORK_TAKES}; scale them to 0..255, or set "
      "config.images.dtype=float32 and config.images.range=(LOWEST, HIGHEST)"
    )
  elif colors not in (1, 3) and not is_cmyk:
    reason = (
      f"has {colors} bands, but {_NETWORK_TAKES}; save three of them, or one, or set "
      f"config.images.channels={colors}"
    )
  else:
    return
  raise errors.UserError(f"{where} {reason}")


def _check_range(pixels: np.ndarray, where: str) -> None:
  """Refuses 16-bit values that division by 256 would ruin, and logs the conversion of others."""
  largest = int(pixels.max())
  if 0 < largest < _SMALL_PART:
    raise errors.UserError(
      f"{where} has 16 bits per channel but no value above {largest:,}: in 8 bits only "
      f"{largest // 256 + 1} levels would be left; keep them with config.images.dtype=uint16 and "
      "config.images.channels=3 (gray: 1), or scale all images by the same factor to 0..65,535"
    )
  logging.log_first_n(
    logging.INFO, "%s has 16 bits per channel: such images are scaled to 8 bits", 1, where
  )


def _decode_jpeg(encoded: bytes, header: Header, where: str) -> np.ndarray | None:
  """Decodes a JPEG; None for an intact one that is CMYK or has to be rotated."""
  pixels = codecs.jpeg(encoded, "CMYK" if header.bands == 4 else "RGB", where)
  return None if header.bands == 4 or image_headers.orientation(encoded) > 1 else pixels


@dataclasses.dataclass(frozen=True)
class EncodedImage:
  """An RGB image kept as a plain PNG file; stands in for its array until pixels are needed.

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
    """Height, width and 3, from the header."""
    return *png.size(self.content), 3

  def decode(self, rows: int | None = None) -> np.ndarray:
    """Decodes the first rows, or all: uint8 `[rows, width, 3]`.

    Of the rest, only the checksums are compared.

    Raises:
      UserError: it cannot be decoded.
    """
    if rows is None or rows >= self.shape[0]:
      return decode(self.content, self.where)
    pixels = png.decode_rows(self.content, rows, self.where)
    return decode(self.content, self.where) if pixels is None else pixels


def decode_later(encoded: bytes, where: str) -> EncodedImage | np.ndarray:
  """Leaves a plain PNG encoded for now, and decodes anything else; see `decode`."""
  intact = zlib.crc32(encoded[12:29]) == int.from_bytes(encoded[29:33])
  if intact and png.is_plain(encoded, png.RGB):
    return EncodedImage(encoded, where)
  return decode(encoded, where)


def decoded(image: EncodedImage | np.ndarray, rows: int | None = None) -> np.ndarray:
  """Returns the pixels of an image: at least its first `rows`, by default all.

  Raises:
    UserError: it cannot be decoded.
  """
  return image.decode(rows) if isinstance(image, EncodedImage) else image
