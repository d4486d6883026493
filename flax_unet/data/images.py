"""Decodes images: with OpenCV, and plain PNG with imagecodecs, which inflates them faster.

Decompression is most of the time that an example of Cityscapes takes. imagecodecs' libpng stands on
zlib-ng: 35 ms for a frame of 1024 x 2048 where OpenCV takes 52, one core.
"""

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
  if not encoded.startswith(_PNG) or encoded[24:29] != wanted:
    return None
  if b"eXIf" in encoded or b"tRNS" in encoded:  # may be turned, or have transparent pixels
    return None
  try:
    return imagecodecs.png_decode(encoded)
  except imagecodecs.PngError:
    return None
