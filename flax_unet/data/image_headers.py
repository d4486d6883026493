"""Reads the header of an image file, before any pixel is decoded."""

import io
import logging
import struct
import warnings
from typing import NamedTuple

import numpy as np
import simplejpeg
import tifffile
from PIL import ExifTags, Image

from flax_unet import errors

MAX_PIXELS = 2 * Image.MAX_IMAGE_PIXELS  # 179 million; Pillow refuses more

_TOO_LARGE = f"cut it into parts of at most {MAX_PIXELS // 10**6:,} million pixels"

PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_NPY = b"\x93NUMPY"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF

_PNG_BANDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type; 3 is a palette
_PILLOW_MODES = {
  "1": (1, 1), "L": (1, 8), "P": (1, 8), "LA": (2, 8), "PA": (2, 8), "RGB": (3, 8), "RGBX": (3, 8),
  "RGBA": (4, 8), "CMYK": (4, 8), "I;16": (1, 16), "I": (1, 32), "F": (1, 32),
}  # fmt: skip

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it also raises what it logs


class Header(NamedTuple):
  """The contents of a file according to its header.

  Attributes:
    format: Pillow's name for it, for example "PNG"; "NPY" for an array of NumPy.
    height: in pixels.
    width: in pixels.
    bands: values per pixel.
    bits: per value.
    is_float: whether the values are floating-point.
    has_alpha: whether the last band is transparency.
    pages: number of images in the file.
  """

  format: str
  height: int
  width: int
  bands: int
  bits: int
  is_float: bool = False
  has_alpha: bool = False
  pages: int = 1


def read(content: bytes, where: str) -> Header:
  """Reads the header of an image file.

  Args:
    content: the file.
    where: what the error message calls it.

  Raises:
    UserError: it is not an image, its header is damaged, or it has more than `MAX_PIXELS`.
  """
  if content.startswith(PNG):
    read_format = _read_png
  elif content.startswith(_JPEG):
    read_format = _read_jpeg
  elif content.startswith(_TIFF):
    read_format = _read_tiff
  elif content.startswith(_NPY):
    read_format = _read_npy
  else:
    read_format = _read_any
  try:
    header = read_format(content)
  except Image.DecompressionBombError as error:
    raise errors.UserError(f"{where} is too large: {_TOO_LARGE}") from error
  except Exception as error:  # for damaged files, libraries may raise anything
    raise errors.UserError(f"{where} cannot be decoded ({len(content):,} bytes)") from error
  if header.height * header.width > MAX_PIXELS:
    raise errors.UserError(
      f"{where} is too large, {header.width:,} x {header.height:,} pixels: {_TOO_LARGE}"
    )
  return header


def orientation(content: bytes) -> int:
  """Returns the EXIF orientation of an image, 1 to 8; 1 means no rotation."""
  if b"Exif\0" not in content[: content.find(b"\xff\xda")] and b"eXIf" not in content:
    return 1
  try:
    with Image.open(io.BytesIO(content)) as image:
      return image.getexif().get(ExifTags.Base.Orientation, 1)
  except Exception:  # see `read`
    return 1


def _read_png(content: bytes) -> Header:
  width, height, bits, color = struct.unpack(">IIBB", content[16:26])
  animation = content.find(b"acTL", 0, content.find(b"IDAT"))
  pages = 1 if animation < 0 else int.from_bytes(content[animation + 4 : animation + 8])
  return Header(
    "PNG", height, width, _PNG_BANDS[color], bits, has_alpha=color in (4, 6), pages=pages
  )


def _read_jpeg(content: bytes) -> Header:
  height, width, color, _ = simplejpeg.decode_jpeg_header(content)
  bands = {"Gray": 1, "CMYK": 4, "YCCK": 4}.get(color, 3)
  return Header("JPEG", height, width, bands, 8)


def _read_tiff(content: bytes) -> Header:
  with tifffile.TiffFile(io.BytesIO(content)) as file:
    pages = [page for page in file.pages if not page.is_reduced and not page.is_mask]
    page = pages[0]
    alpha = bool(page.extrasamples) and page.extrasamples[-1] in (1, 2)
    is_complex_or_float = page.sampleformat not in (1, 2)
    bits = page.bitspersample
    return Header(
      "TIFF",
      int(page.imagelength),
      int(page.imagewidth),
      int(page.samplesperpixel),
      max(bits) if isinstance(bits, tuple) else int(bits),
      is_float=is_complex_or_float,
      has_alpha=alpha,
      pages=len(pages),
    )


def _read_npy(content: bytes) -> Header:
  file = io.BytesIO(content)
  version = np.lib.format.read_magic(file)
  read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
  shape, _, dtype = read_header[version[0]](file)
  height, width, *bands = shape
  is_float = np.issubdtype(dtype, np.floating)
  return Header("NPY", height, width, bands[0] if bands else 1, 8 * dtype.itemsize, is_float)


def _read_any(content: bytes) -> Header:
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # warns at half the limit
    with Image.open(io.BytesIO(content)) as image:
      width, height = image.size
      bands, bits = _PILLOW_MODES[image.mode]
      return Header(
        image.format,
        height,
        width,
        bands,
        bits,
        is_float=image.mode == "F",
        has_alpha=image.mode in ("LA", "PA", "RGBA"),
        pages=getattr(image, "n_frames", 1),
      )
