"""Decodes images of any number of channels and any depth, as `image_format.ImageFormat` says.

Photographs with three 8-bit channels are decoded in `images.py`. This module reads the others:
TIFF, tiled or in strips, compressed, with all channels in one page or one page each; PNG, JPEG,
WebP and BMP; and NumPy's NPY. The channels are those of the file, in the same order. Nothing is
added or left out, except for transparency, and for the copies in a grayscale image that was saved
with three equal channels.
"""

import io

import cv2
import numpy as np
import tifffile

from flax_unet import errors
from flax_unet.data import codecs, image_headers
from flax_unet.data.image_format import ImageFormat

_MINISWHITE, _PALETTE = 0, 3  # of TIFF's photometric interpretation
_SEPARATE = 2  # of TIFF's planar configuration


def decode(encoded: bytes, where: str, image_format: ImageFormat) -> np.ndarray:
  """Decodes an image.

  Args:
    encoded: the content of a file.
    where: what error messages call it.
    image_format: what the image has to be.

  Returns:
    `[height, width, channels]` of `image_format.array_dtype`, rotated by its EXIF orientation.

  Raises:
    UserError: it is damaged or too large, or is not of this format; the message says what was found
      and what was expected.
  """
  header = image_headers.read(encoded, where)
  try:
    values = _read(encoded, header, where)
  except errors.UserError:
    raise
  except Exception as error:  # for damaged files, libraries may raise anything
    raise codecs.undecodable(encoded, where) from error
  if values.ndim != 3 or not values.size:
    raise codecs.undecodable(encoded, where)
  values = _fit_channels(values, header, where, image_format)
  _check_dtype(values, where, image_format)
  turn = 1 if header.format in ("TIFF", "NPY") else image_headers.orientation(encoded)
  return np.ascontiguousarray(image_format.convert(_upright(values, turn), where))


def _read(encoded: bytes, header: image_headers.Header, where: str) -> np.ndarray:
  """Decodes the values as they are in the file, `[height, width, bands]`."""
  if header.format == "NPY":
    values = np.load(io.BytesIO(encoded), allow_pickle=False)
    return values[..., None] if values.ndim == 2 else values
  if header.format == "TIFF":
    return _read_tiff(encoded)
  if header.format == "JPEG":
    return codecs.jpeg(encoded, {1: "GRAY", 4: "CMYK"}.get(header.bands, "RGB"), where)
  if header.format == "PNG":
    codecs.check_png(encoded, where)
  values = codecs.with_opencv(encoded, cv2.IMREAD_UNCHANGED, where)
  if values.ndim == 2:
    return values[..., None]
  order = cv2.COLOR_BGR2RGB if values.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
  return cv2.cvtColor(values, order)


def _read_tiff(encoded: bytes) -> np.ndarray:
  with tifffile.TiffFile(io.BytesIO(encoded)) as file:
    pages = [page for page in file.pages if not page.is_reduced and not page.is_mask]
    values = np.concatenate([_read_page(page) for page in pages], axis=-1)
    if pages[0].photometric == _MINISWHITE and np.issubdtype(values.dtype, np.unsignedinteger):
      values = np.iinfo(values.dtype).max - values
  return values


def _read_page(page: tifffile.TiffPage) -> np.ndarray:
  values = page.asarray()
  if page.photometric == _PALETTE:
    return np.moveaxis(page.colormap, 0, -1)[values].astype(np.uint16)
  if values.ndim == 2:
    return values[..., None]
  return np.moveaxis(values, 0, -1) if page.planarconfig == _SEPARATE else values


def _fit_channels(
  values: np.ndarray, header: image_headers.Header, where: str, image_format: ImageFormat
) -> np.ndarray:
  """Returns the channels; refuses other numbers of them."""
  found, expected = values.shape[2], image_format.channels
  if found == expected:
    return values
  if header.has_alpha and found == expected + 1:
    return values[..., :-1]
  if header.has_alpha and expected == 1 and found > 1:
    values = values[..., :-1]
  if expected == 1 and values.shape[2] == 3 and (values == values[..., :1]).all():
    return values[..., :1]
  hint = ""
  if header.format == "NPY" and values.shape[0] == expected:
    hint = "; the channels have to come last (np.moveaxis(array, 0, -1))"
  elif header.pages > 1:
    hint = f", one for each of its pages ({header.pages})"
  raise errors.UserError(
    f"{where} has {found} channel{'s' * (found > 1)}{hint}, but {image_format.settings}channels = "
    f"{expected}"
  )


def _check_dtype(values: np.ndarray, where: str, image_format: ImageFormat) -> None:
  """Refuses values of a type that would lose some of them, or that mean something else."""
  found, expected = values.dtype.newbyteorder("="), image_format.dtype
  if expected == "float32":
    if np.issubdtype(found, np.number) and not np.issubdtype(found, np.complexfloating):
      return
  elif found == expected:
    return
  settings = image_format.settings
  way = (
    f"{settings}dtype={found}"
    if found in (np.uint8, np.uint16)
    else f"{settings}dtype=float32 and {settings}range=(LOWEST, HIGHEST)"
  )
  raise errors.UserError(
    f"{where} has values of type {found}, but {settings}dtype = '{expected}'; if all images do, "
    f"set {way}"
  )


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
  """Turns and mirrors an image as its EXIF orientation says, 1 to 8."""
  if orientation in (5, 6, 7, 8):
    values = values.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    values = values[::-1]
  return values[:, ::-1] if orientation in (2, 3, 6, 7) else values
