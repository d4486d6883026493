"""Decodes plain PNGs: 8 bits per channel, grayscale or RGB, not rotated, transparent or animated.

Decoding takes most of the time for a Cityscapes example. Two libraries are faster than OpenCV,
which takes 41 ms for a frame of 1024 x 2048 on one core; both give the same pixels:

- imagecodecs takes 33 ms, and several threads can decode at once.
- kornia-rs takes 19 ms, but holds Python's lock. So it is for worker processes, which decode in one
  thread.
"""

import multiprocessing
import struct
import zlib

import imagecodecs
import kornia_rs.io
import numpy as np

from flax_unet.data import codecs, image_headers

# In the header: bits per channel, colour type (0 gray, 2 RGB), compression, filters, interlacing.
RGB, GRAY = b"\x08\x02\0\0\0", b"\x08\0\0\0\0"
_MODES = {RGB: "rgb", GRAY: "mono"}  # kornia-rs's names for them


def is_plain(encoded: bytes, kind: bytes) -> bool:
  """Whether it is a PNG of this kind, and not rotated, transparent, animated or too large."""
  if not encoded.startswith(image_headers.PNG) or encoded[24:29] != kind:
    return False
  height, width = size(encoded)
  if width * height > image_headers.MAX_PIXELS:
    return False
  # These chunks come before or after the pixels; searching the pixels too would take 1.5 ms.
  before, after = encoded[: encoded.find(b"IDAT")], encoded[encoded.rfind(b"IDAT") :]
  return not any(chunk in part for chunk in (b"eXIf", b"tRNS", b"acTL") for part in (before, after))


def size(encoded: bytes) -> tuple[int, int]:
  """Height and width in pixels, from the header of a PNG."""
  width, height = struct.unpack(">II", encoded[16:24])
  return height, width


def decode(encoded: bytes, kind: bytes) -> np.ndarray | None:
  """Decodes a plain PNG; returns None for others and for damaged ones.

  Args:
    encoded: the content of a file.
    kind: `RGB` or `GRAY`.

  Returns:
    uint8 `[height, width, 3]` or `[height, width]`.
  """
  if not is_plain(encoded, kind):
    return None
  if multiprocessing.parent_process():
    return _with_kornia(encoded, kind)
  try:
    return imagecodecs.png_decode(encoded)
  except (imagecodecs.PngError, ValueError):  # the latter if it cannot word the error
    return None


def decode_rows(encoded: bytes, rows: int, where: str) -> np.ndarray | None:
  """Decodes the first rows of a plain RGB PNG; of the rest, it only compares checksums.

  Args:
    encoded: the content of a file.
    rows: fewer than the image has.
    where: what error messages call it.

  Returns:
    uint8 `[rows, width, 3]`; None if they cannot be decoded.

  Raises:
    UserError: a checksum is wrong.
  """
  header = encoded[12:20] + struct.pack(">I", rows) + encoded[24:29]
  checksum = struct.pack(">I", zlib.crc32(header))
  shortened = encoded[:12] + header + checksum + encoded[33:]
  if multiprocessing.parent_process():
    return _with_kornia(shortened, RGB)
  codecs.check_png(encoded, where)
  try:  # libspng stops at the height in the header; libpng would inflate the rest as well
    return imagecodecs.spng_decode(shortened)
  except (imagecodecs.SpngError, ValueError):
    return None


def _with_kornia(encoded: bytes, kind: bytes) -> np.ndarray | None:
  try:
    pixels = kornia_rs.io.decode_image_png_u8(encoded, size(encoded), _MODES[kind])
  except Exception:  # all its errors are of this type
    return None
  return pixels[..., 0] if kind == GRAY else pixels
