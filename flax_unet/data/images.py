"""Decodes images, with OpenCV for its speed."""

import cv2
import numpy as np

from flax_unet import errors


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
  decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
  if decoded is None:
    raise errors.UserError(f"{where} cannot be decoded ({len(encoded)} bytes)")
  return decoded
