"""Pictures decode to what OpenCV makes of them, whichever library decodes them."""

import io
import re

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


def _turned_at_the_end() -> bytes:
  """What turns the picture stands behind its pixels, as PNG allows."""
  content = _encode("RGB", exif=_turned())
  start = content.index(b"eXIf") - 4
  end = start + 12 + int.from_bytes(content[start : start + 4])
  return content[:start] + content[end:-12] + content[start:end] + content[-12:]


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
  "turned at the end": _turned_at_the_end(),
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


@pytest.mark.parametrize("name", _PICTURES)
def test_a_picture_may_wait_until_its_pixels_are_needed(name):
  later = images.decode_later(_PICTURES[name], "picture")
  expected = images.decode(_PICTURES[name], "picture")
  assert isinstance(later, images.EncodedImage) == (name in ("RGB", "stored"))
  assert (later.shape, later.dtype, later.ndim) == (expected.shape, np.uint8, 3)
  np.testing.assert_array_equal(images.decoded(later), expected)


@pytest.mark.parametrize("name", ["RGB", "stored"])
def test_the_first_rows_are_those_of_the_picture(name):
  later = images.decode_later(_PICTURES[name], "picture")
  expected = images.decode(_PICTURES[name], "picture")
  for rows in range(1, 34):
    np.testing.assert_array_equal(images.decoded(later, rows), expected[:rows])


def _noise_in_many_chunks() -> tuple[bytes, np.ndarray]:
  """A PNG of several chunks, which have a checksum each, and its pixels."""
  rgb = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
  content = io.BytesIO()
  Image.fromarray(rgb).save(content, "PNG")
  assert content.getvalue().count(b"IDAT") > 4
  return content.getvalue(), rgb


def test_an_image_in_many_chunks_can_end_early():
  content, rgb = _noise_in_many_chunks()
  later = images.decode_later(content, "picture")
  for rows in (1, 50, 250, 299):
    np.testing.assert_array_equal(images.decoded(later, rows), rgb[:rows])


def test_damage_is_noticed_where_pixels_are_needed():
  content, rgb = _noise_in_many_chunks()
  half = len(content) // 2
  damaged = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
  later = images.decode_later(damaged, "street.png:")
  np.testing.assert_array_equal(later.decode(80), rgb[:80])
  for rows in (270, None):
    with pytest.raises(errors.UserError, match=r"^street\.png: cannot be decoded \(\d+ bytes\)$"):
      later.decode(rows)


def test_a_damaged_header_is_not_mended():
  content = _PICTURES["RGB"]
  with pytest.raises(errors.UserError, match=re.escape("street.png: cannot be decoded")):
    images.decode_later(content[:19] + b"\x20" + content[20:], "street.png:")


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
