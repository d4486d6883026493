import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from flax_unet import errors
from flax_unet.data import images
from flax_unet.data.image_format import ImageFormat

_RNG = np.random.default_rng(0)
_FOUR = _RNG.integers(65536, size=(50, 70, 4), dtype=np.uint16)
_GRAY = _RNG.integers(256, size=(50, 70), dtype=np.uint8)


def _format(channels, dtype="uint8", value_range=()):
  return ImageFormat(channels, dtype, value_range, mean=())


def _tiff(array, **options):
  file = io.BytesIO()
  tifffile.imwrite(file, array, **options)
  return file.getvalue()


def _npy(array):
  file = io.BytesIO()
  np.save(file, array)
  return file.getvalue()


def _png(array):
  return cv2.imencode(".png", array)[1].tobytes()


_MINISBLACK = {"photometric": "minisblack"}
_FILES = {
  "strips": _tiff(_FOUR, **_MINISBLACK, planarconfig="contig"),
  "planes": _tiff(_FOUR.transpose(2, 0, 1), **_MINISBLACK, planarconfig="separate"),
  "tiles": _tiff(_FOUR, **_MINISBLACK, planarconfig="contig", tile=(32, 32)),
  "deflate": _tiff(_FOUR, **_MINISBLACK, planarconfig="contig", compression="deflate"),
  "lzw": _tiff(_FOUR, **_MINISBLACK, planarconfig="contig", compression="lzw", predictor=2),
  "big-endian": _tiff(_FOUR, **_MINISBLACK, planarconfig="contig", byteorder=">"),
  "BigTIFF": _tiff(_FOUR, **_MINISBLACK, planarconfig="contig", bigtiff=True),
  "pages": _tiff(_FOUR.transpose(2, 0, 1), **_MINISBLACK),
  "NPY": _npy(_FOUR),
  "big-endian NPY": _npy(_FOUR.astype(">u2")),
  "PNG": _png(cv2.cvtColor(_FOUR, cv2.COLOR_RGBA2BGRA)),
}


@pytest.mark.parametrize("name", _FILES)
def test_all_bits_of_all_channels_are_read(name):
  found = images.decode(_FILES[name], "a:", _format(4, "uint16"))
  assert found.dtype == np.uint16
  np.testing.assert_array_equal(found, _FOUR)


def test_transparency_is_dropped_unless_it_is_a_channel():
  with_alpha = _png(cv2.cvtColor(_FOUR, cv2.COLOR_RGBA2BGRA))
  np.testing.assert_array_equal(
    images.decode(with_alpha, "a:", _format(3, "uint16")), _FOUR[..., :3]
  )


def test_gray_is_one_channel_however_it_was_saved():
  one = _format(1)
  gray = Image.fromarray(_GRAY)
  for kind, options in (("PNG", {}), ("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True})):
    for picture in (gray, gray.convert("RGB"), gray.convert("RGBA")):
      if kind != "BMP" or picture.mode != "RGBA":
        file = io.BytesIO()
        picture.save(file, kind, **options)
        np.testing.assert_array_equal(images.decode(file.getvalue(), "a:", one)[..., 0], _GRAY)
  inverted = _tiff(255 - _GRAY, photometric="miniswhite")
  np.testing.assert_array_equal(images.decode(inverted, "a:", one)[..., 0], _GRAY)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_pillow_does(orientation):
  picture = Image.fromarray(_GRAY)
  exif = picture.getexif()
  exif[0x0112] = orientation
  for kind in ("PNG", "JPEG"):
    file = io.BytesIO()
    picture.save(file, kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(
      images.decode(file.getvalue(), "a:", _format(1))[..., 0], expected
    )


@pytest.mark.parametrize(
  "dtype", [np.float16, np.float32, np.float64, np.int16, np.uint32, np.int8]
)
def test_numbers_of_any_type_are_rounded_to_16_bits_of_their_range(dtype):
  values = _RNG.uniform(-100, 100, size=(50, 70, 2)).astype(np.int16).clip(0).astype(dtype)
  for content in (_npy(values), _tiff(values, **_MINISBLACK, planarconfig="contig")):
    found = images.decode(content, "a:", _format(2, "float32", (-100, 200)))
    assert found.dtype == np.uint16
    back = found * (300 / 65535) - 100
    np.testing.assert_allclose(back, values.astype(np.float64), atol=300 / 131070 + 1e-4)


_FLOATS = np.ones((5, 6), np.float32)
_REFUSED = {
  "a band too many": (_FILES["strips"], _format(3, "uint16"), "has 4 channels, but .* = 3"),
  "pages": (_FILES["pages"], _format(2, "uint16"), "has 4 channels, one for each of its pages"),
  "colour": (_png(_RNG.integers(256, size=(5, 6, 3), dtype=np.uint8)), _format(1),
             "has 3 channels, but config.images.channels = 1"),
  "channels first": (_npy(_FOUR.transpose(2, 0, 1)), _format(4, "uint16"),
                     r"has 70 channels; the channels have to come last \(np.moveaxis"),
  "8 bits": (_png(_GRAY), _format(1, "uint16"),
             "type uint8, but config.images.dtype = 'uint16'; .* config.images.dtype=uint8"),
  "16 bits": (_FILES["PNG"], _format(4), "type uint16, .* 'uint8'; .* config.images.dtype=uint16"),
  "floats": (_npy(_FLOATS), _format(1), r"float32, .*dtype=float32 and config.images.range=\(LOW"),
  "complex": (_npy(_FLOATS.astype(np.complex64)), _format(1, "float32", (0, 1)), "type complex64"),
  "NaN": (_npy(_FLOATS * np.nan), _format(1, "float32", (0, 1)), "are not numbers"),
  "infinity": (_npy(_FLOATS * np.inf), _format(1, "float32", (0, 1)), "are not numbers"),
  "out of range": (_npy(3 * _FLOATS), _format(1, "float32", (0, 2)),
                   r"from 3 to 3, outside of config.images.range = \(0, 2\)"),
  "13 bits": (_png(np.full((5, 6), 4096, np.uint16)), _format(1, "uint16", (0, 4095)),
              r"from 4096 to 4096, outside of config.images.range = \(0, 4095\)"),
  "text": (b"no image", _format(4), "cannot be decoded"),
  "pickle": (_npy(np.array([[{}]], object)), _format(1), "cannot be decoded"),
  "volume": (_npy(np.zeros((2, 3, 4, 5), np.uint8)), _format(5), "cannot be decoded"),
  "empty": (_npy(np.zeros((0, 4), np.uint8)), _format(1), "cannot be decoded"),
}  # fmt: skip


@pytest.mark.parametrize("name", _REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(name):
  content, image_format, reason = _REFUSED[name]
  with pytest.raises(errors.UserError, match=f"^a.x: .*{reason}") as info:
    images.decode(content, "a.x:", image_format)
  assert "\n" not in str(info.value)


@pytest.mark.parametrize("name", _FILES)
def test_every_truncated_file_is_refused(name):
  content = _FILES[name]
  for share in (0.1, 0.5, 0.9):
    with pytest.raises(errors.UserError, match=r"^a:"):
      images.decode(content[: int(share * len(content))], "a:", _format(4, "uint16"))
