"""Pictures decode to what OpenCV makes of them, whichever library decodes them."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from flax_unet import errors
from flax_unet.data import images


def _encode(mode: str, file_format: str = "PNG", **options) -> bytes:
  """Encodes a picture with a smooth half and a noisy one, so that PNG's filters all occur."""
  rows, columns = np.mgrid[:32, :48]
  rgb = np.stack([rows * 5, columns * 4, rows + columns], axis=-1).astype(np.uint8)
  rgb[:, 24:] = np.random.default_rng(0).integers(0, 256, (32, 24, 3))
  content = io.BytesIO()
  Image.fromarray(rgb).convert(mode).save(content, file_format, **options)
  return content.getvalue()


def _turned() -> Image.Exif:
  exif = Image.Exif()
  exif[0x0112] = 6  # orientation: turn by 90 degrees
  return exif


_PICTURES = {
  "RGB": _encode("RGB"),
  "stored": _encode("RGB", compress_level=0),
  "grey": _encode("L"),
  "RGBA": _encode("RGBA"),
  "grey with alpha": _encode("LA"),
  "palette": _encode("P"),
  "16 bits": _encode("I;16"),
  "1 bit": _encode("1"),
  "transparent colour": _encode("RGB", transparency=(0, 0, 0)),
  "transparent grey": _encode("L", transparency=0),
  "turned": _encode("RGB", exif=_turned()),
  "JPEG": _encode("RGB", "JPEG"),
  "WebP": _encode("RGB", "WebP"),
}


@pytest.mark.parametrize("flags", [cv2.IMREAD_COLOR_RGB, cv2.IMREAD_UNCHANGED])
@pytest.mark.parametrize("name", _PICTURES)
def test_every_kind_of_picture_is_what_opencv_makes_of_it(name, flags):
  expected = cv2.imdecode(np.frombuffer(_PICTURES[name], np.uint8), flags)
  decoded = images.decode(_PICTURES[name], "picture", flags)
  assert decoded.dtype == expected.dtype
  np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize(
  "content",
  [
    b"",
    b"no picture",
    _PICTURES["RGB"][:-200],
    _PICTURES["RGB"][:1000] + bytes(50) + _PICTURES["RGB"][1050:],
    _PICTURES["grey"][:20],
  ],
  ids=["empty", "no picture", "cut off", "damaged", "header cut off"],
)
def test_what_cannot_be_decoded_is_named(content):
  with pytest.raises(errors.UserError, match=r"^street\.png: cannot be decoded \(\d+ bytes\)$"):
    images.decode(content, "street.png:")
