"""Images decode to the same pixels as with OpenCV, whichever library decodes them."""

import concurrent.futures
import io
import multiprocessing
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from flax_unet import errors
from flax_unet.data import images


def _encode(mode: str, file_format: str = "PNG", **options) -> bytes:
  """Encodes an image with a smooth and a noisy half, so that all PNG filters occur."""
  rows, columns = np.mgrid[:32, :48]
  rgb = np.stack([rows * 5, columns * 4, rows + columns], axis=-1).astype(np.uint8)
  rgb[:, 24:] = np.random.default_rng(0).integers(0, 256, (32, 24, 3))
  content = io.BytesIO()
  Image.fromarray(rgb).convert(mode).save(content, file_format, **options)
  return content.getvalue()


def _turned() -> Image.Exif:
  exif = Image.Exif()
  exif[0x0112] = 6  # orientation: rotate by 90 degrees
  return exif


def _turned_at_the_end() -> bytes:
  """The orientation is stored after the pixels, as PNG allows."""
  content = _encode("RGB", exif=_turned())
  start = content.index(b"eXIf") - 4
  end = start + 12 + int.from_bytes(content[start : start + 4])
  return content[:start] + content[end:-12] + content[start:end] + content[-12:]


def _sixteen_bits(file_format: str, largest: int) -> bytes:
  grey = np.linspace(0, largest, 32 * 48).reshape(32, 48).astype(np.uint16)
  content = io.BytesIO()
  Image.fromarray(grey).save(content, file_format)
  return content.getvalue()


_PICTURES = {
  "RGB": _encode("RGB"),
  "stored": _encode("RGB", compress_level=0),
  "grey": _encode("L"),
  "RGBA": _encode("RGBA"),
  "grey with alpha": _encode("LA"),
  "palette": _encode("P"),
  "16 bits": _sixteen_bits("PNG", 65535),
  "16-bit TIFF": _sixteen_bits("TIFF", 65535),
  "1 bit": _encode("1"),
  "transparent colour": _encode("RGB", transparency=(0, 0, 0)),
  "transparent grey": _encode("L", transparency=0),
  "turned": _encode("RGB", exif=_turned()),
  "turned at the end": _turned_at_the_end(),
  "JPEG": _encode("RGB", "JPEG"),
  "progressive JPEG": _encode("RGB", "JPEG", progressive=True),
  "grey JPEG": _encode("L", "JPEG"),
  "CMYK JPEG": _encode("CMYK", "JPEG"),
  "turned JPEG": _encode("RGB", "JPEG", exif=_turned()),
  "BMP": _encode("RGB", "BMP"),
  "palette BMP": _encode("P", "BMP"),
  "TIFF": _encode("RGB", "TIFF"),
  "TIFF with LZW": _encode("RGB", "TIFF", compression="tiff_lzw"),
  "TIFF with alpha": _encode("RGBA", "TIFF"),
  "grey TIFF": _encode("L", "TIFF"),
  "WebP": _encode("RGB", "WebP"),
}


@pytest.mark.parametrize(
  ("decode", "flags"),
  [(images.decode, cv2.IMREAD_COLOR_RGB), (images.decode_ids, cv2.IMREAD_UNCHANGED)],
)
@pytest.mark.parametrize("name", _PICTURES)
def test_every_kind_of_picture_is_what_opencv_makes_of_it(name, decode, flags):
  expected = cv2.imdecode(np.frombuffer(_PICTURES[name], np.uint8), flags)
  decoded = decode(_PICTURES[name], "picture")
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
  """A PNG with several chunks, each with a checksum, and its pixels."""
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


@pytest.mark.parametrize("place", [0.2, 0.5, 0.95])
def test_damage_is_noticed_in_rows_that_are_not_needed_too(place):
  content, _ = _noise_in_many_chunks()
  byte = int(place * len(content))
  damaged = content[:byte] + bytes([content[byte] ^ 1]) + content[byte + 1 :]
  later = images.decode_later(damaged, "street.png:")
  for rows in (80, 270, None):
    with pytest.raises(errors.UserError, match=r"^street\.png: cannot be decoded \([\d,]+ bytes\)"):
      later.decode(rows)


def test_worker_processes_decode_to_the_same_pixels_and_errors():
  content, rgb = _noise_in_many_chunks()
  damaged = content[:-5000] + bytes([content[-5000] ^ 1]) + content[-4999:]
  spawn = multiprocessing.get_context("spawn")
  with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as worker:
    whole = worker.submit(images.decode, content, "street.png:")
    rows = worker.submit(images.EncodedImage(content, "street.png:").decode, 80)
    gray = worker.submit(images.decode_ids, _PICTURES["grey"], "mask.png:")
    bad = worker.submit(images.EncodedImage(damaged, "street.png:").decode, 80)
  np.testing.assert_array_equal(whole.result(), rgb)
  np.testing.assert_array_equal(rows.result(), rgb[:80])
  np.testing.assert_array_equal(gray.result(), images.decode_ids(_PICTURES["grey"], "mask.png:"))
  with pytest.raises(errors.UserError, match=r"^street\.png: cannot be decoded \([\d,]+ bytes\)"):
    bad.result()


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
  with pytest.raises(errors.UserError, match=r"^street\.png: cannot be decoded \([\d,]+ bytes\)"):
    images.decode(content, "street.png:")


def _encode_array(array: np.ndarray, file_format: str, **options) -> bytes:
  content = io.BytesIO()
  Image.fromarray(array).save(content, file_format, **options)
  return content.getvalue()


_NOISE = np.random.default_rng(1).integers(0, 256, (128, 192, 3), np.uint8)
_ZEROS = np.zeros((4, 5, 5), np.uint8)


def _tiff(array: np.ndarray, **options) -> bytes:
  content = io.BytesIO()
  tifffile.imwrite(content, array, **options)
  return content.getvalue()


_BEYOND = {
  "12 bits": (
    _sixteen_bits("PNG", 4095),
    "has 16 bits per channel but no value above 4,095: in 8 bits only 16 ",
  ),
  "10 bits": (
    _sixteen_bits("TIFF", 1023),
    "has 16 bits per channel but no value above 1,023: in 8 bits only 4 ",
  ),
  "float": (_tiff(np.ones((4, 5), np.float32)), "has floating-point values, but the network"),
  "half": (_tiff(np.ones((4, 5), np.float16)), "has floating-point values, but the network"),
  "float RGB": (
    _tiff(np.ones((4, 5, 3), np.float32), photometric="rgb"),
    "has floating-point values, but",
  ),
  "32 bits": (
    _tiff(np.ones((4, 5), np.uint32)),
    "has 32 bits per channel, but the network takes ",
  ),
  "five bands": (
    _tiff(_ZEROS, photometric="minisblack", planarconfig="contig"),
    "has 5 bands, but the network takes three 8-bit channels",
  ),
  "infrared": (
    _tiff(_ZEROS[..., :4], photometric="rgb", extrasamples=["unspecified"]),
    "has 4 bands, but the network takes three 8-bit channels",
  ),
  "pages": (_tiff(np.zeros((3, 40, 50), np.uint8), photometric="minisblack"), "has 3 pages or "),
  "animation": (
    _encode_array(_NOISE, "WEBP", save_all=True, append_images=[Image.fromarray(255 - _NOISE)]),
    "has 2 pages or frames; save each as a separate file",
  ),
  "animated PNG": (
    _encode_array(_NOISE, "PNG", save_all=True, append_images=[Image.fromarray(255 - _NOISE)]),
    "has 2 pages or frames; save each as a separate file",
  ),
}


@pytest.mark.parametrize("name", _BEYOND)
def test_what_three_channels_of_8_bits_cannot_hold_is_refused(name):
  content, reason = _BEYOND[name]
  with pytest.raises(errors.UserError, match=f"^a.tif: {reason}"):
    images.decode(content, "a.tif:")


@pytest.mark.parametrize(
  ("file_format", "options"),
  [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("BMP", {}),
    ("WEBP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
  ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_breaks_off_is_refused(file_format, options, mode, capfd):
  content = io.BytesIO()
  Image.fromarray(_NOISE).convert(mode).save(content, file_format, **options)
  content = content.getvalue()
  for share in (0.3, 0.6, 0.9):
    with pytest.raises(errors.UserError, match=r"^a: cannot be decoded \([\d,]+ bytes\)"):
      images.decode(content[: int(share * len(content))], "a:")
  assert "Corrupt JPEG" not in capfd.readouterr().err


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95, "subsampling": 0}])
def test_a_jpeg_with_data_missing_inside_is_refused(options):
  """OpenCV and Pillow would fill in missing pixels."""
  content = _encode_array(_NOISE, "JPEG", **options)
  middle = len(content) // 2
  for part in (b"", bytes(2000)):
    damaged = content[:middle] + part + content[middle + 2000 :]
    with pytest.raises(errors.UserError, match=r"^a.jpg: cannot be decoded .* is missing$"):
      images.decode(damaged, "a.jpg:")


def _with_size(content: bytes, width: int, height: int) -> bytes:
  header = content[12:16] + struct.pack(">II", width, height) + content[24:29]
  return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


@pytest.mark.parametrize("name", ["RGB", "1 bit"])
def test_what_is_too_large_is_refused_by_its_header(name):
  huge = _with_size(_PICTURES[name], 40_000, 30_000)
  with pytest.raises(errors.UserError, match=r"^a: is too large, 40,000 x 30,000 pixels: cut it "):
    images.decode(huge, "a:")
