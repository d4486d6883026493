"""Decoders that report damaged and missing data, where libraries would fill in something."""

import zlib

import cv2
import numpy as np
import simplejpeg

from flax_unet import errors
from flax_unet.data import image_headers


def with_opencv(encoded: bytes, flags: int, where: str) -> np.ndarray:
  """Decodes an image with OpenCV.

  Args:
    encoded: the content of a file.
    flags: of `cv2.imdecode`.
    where: what error messages call it.

  Raises:
    UserError: it cannot be decoded.
  """
  try:
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
  except cv2.error:
    decoded = None
  if decoded is None:
    raise undecodable(encoded, where)
  return decoded


def jpeg(encoded: bytes, colors: str, where: str) -> np.ndarray:
  """Decodes a JPEG: uint8 `[height, width, channels]`, not rotated.

  Args:
    encoded: the content of a file.
    colors: a colour space of simplejpeg: RGB, GRAY or CMYK.
    where: what error messages call it.

  Raises:
    UserError: it is damaged or incomplete.
  """
  try:
    return simplejpeg.decode_jpeg(encoded, colors)
  except ValueError as error:
    reason = str(error).removeprefix("Corrupt JPEG data: ")
    raise undecodable(encoded, where, f"{reason}, so part of the image is missing") from error


def check_png(encoded: bytes, where: str) -> None:
  """Verifies a PNG's checksums, since decoders fill in missing data or write to the terminal.

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
      raise undecodable(encoded, where, "damaged or truncated")
    position, kind = position + 12 + length, bytes(checked[:4])


def undecodable(encoded: bytes, where: str, reason: str = "") -> errors.UserError:
  """The error for a file that cannot be decoded."""
  return errors.UserError(
    f"{where} cannot be decoded ({len(encoded):,} bytes)" + f": {reason}" * bool(reason)
  )
