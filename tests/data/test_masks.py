import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from flax_unet import errors
from flax_unet.data import classes_file, label_spaces, masks

IDS = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)


def _png(array, palette=None):
  image = Image.fromarray(array)
  if palette is not None:
    image.putpalette(palette)
    assert image.mode == "P"
  buffer = io.BytesIO()
  image.save(buffer, format="PNG")
  return buffer.getvalue()


def _gray_png_of_bits(bits):
  """A row of gray pixels with fewer than 8 bits, which Pillow cannot write."""

  def chunk(kind, content):
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

  header = struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0)
  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", header)
    + chunk(b"IDAT", zlib.compress(b"\0\x1b"))
    + chunk(b"IEND", b"")
  )


@pytest.fixture(scope="module")
def colored(tmp_path_factory):
  path = tmp_path_factory.mktemp("classes") / "classes.csv"
  path.write_text("name,r,g,b,id\nroad,128,64,128,0\ncar,0,0,142,2\nvoid,0,0,0,255\n")
  return classes_file.read(path)


def test_gray_and_palette_hold_ids():
  palette = label_spaces.VOC_21.colors.tolist() + [[224, 224, 192]] * 235
  for encoded in (
    _png(IDS),
    _png(IDS, [channel for color in palette for channel in color]),
    _png(IDS.astype(np.uint16)),
  ):
    decoded = masks.decode(encoded, label_spaces.VOC_21, "x.png")
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, IDS)


@pytest.mark.parametrize("alpha", [False, True])
def test_rgb_holds_colors(colored, alpha):
  rgb = np.array([[[0, 0, 142], [128, 64, 128]], [[0, 0, 0], [0, 0, 142]]], np.uint8)
  if alpha:
    rgb = np.concatenate([rgb, np.full((2, 2, 1), 255, np.uint8)], axis=-1)
  np.testing.assert_array_equal(masks.decode(_png(rgb), colored, "x.png"), [[2, 0], [255, 2]])


def test_an_unknown_color_is_named_with_its_place(colored):
  rgb = np.zeros((4, 5, 3), np.uint8)
  rgb[3, 1] = 0, 0, 141
  message = rf"^x.png: colour \(0, 0, 141\) at x=1, y=3 is not in '{colored.name}'$"
  with pytest.raises(errors.UserError, match=message):
    masks.decode(_png(rgb), colored, "x.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_value_out_of_range_is_named_with_its_place(dtype):
  ids = np.zeros((4, 5), dtype)
  ids[3, 1:] = 3 if dtype == np.uint8 else 300
  message = (
    f"^x.png: value {ids[3, 1]} at x=1, y=3 is not in .* '3_classes', which has 0, 1, 2, 255; fix "
  )
  with pytest.raises(errors.UserError, match=message):
    masks.decode(_png(ids), label_spaces.get("3_classes"), "x.png")


def test_colors_need_a_table():
  with pytest.raises(errors.UserError, match=r"x.png: is an RGB image, but .* no table of colours"):
    masks.decode(_png(np.eye(3, dtype=np.uint8)[None]), label_spaces.VOC_21, "x.png")


def test_a_palette_in_another_order_is_noticed(colored):
  """As written by programs that convert RGB masks to palettes to save space."""
  right = [128, 64, 128, 9, 9, 9, 0, 0, 142]
  np.testing.assert_array_equal(
    masks.decode(_png(np.array([[0, 2]], np.uint8), right), colored, "x.png"), [[0, 2]]
  )
  wrong = [0, 0, 142, 9, 9, 9, 128, 64, 128]
  with pytest.raises(errors.UserError, match=r"palette paints 0 in the colour \(0, 0, 142\), .* 2"):
    masks.decode(_png(np.array([[0, 2]], np.uint8), wrong), colored, "x.png")


@pytest.mark.parametrize(
  ("bits", "ids"), [(1, [0, 0, 0, 1, 1, 0, 1, 1]), (2, [0, 1, 2, 3]), (4, [1, 11])]
)
def test_few_bits_hold_ids(bits, ids):
  """Decoders would stretch these to 0..255."""
  decoded = masks.decode(_gray_png_of_bits(bits), label_spaces.VOC_21, "x.png")
  np.testing.assert_array_equal(decoded, [ids])


def _encode(array, file_format, **options):
  buffer = io.BytesIO()
  Image.fromarray(array).save(buffer, format=file_format, **options)
  return buffer.getvalue()


@pytest.mark.parametrize(
  ("array", "file_format", "options"),
  [
    (IDS, "TIFF", {}),
    (IDS, "TIFF", {"compression": "tiff_lzw"}),
    (IDS, "TIFF", {"compression": "tiff_adobe_deflate"}),
    (IDS.astype(np.uint16), "TIFF", {}),
    (IDS.astype(np.int32), "TIFF", {}),
    (IDS, "BMP", {}),
    (np.dstack([IDS] * 3), "PNG", {}),
    (np.dstack([IDS] * 3), "TIFF", {}),
    (np.dstack([IDS] * 3 + [np.full_like(IDS, 255)]), "PNG", {}),
    (np.dstack([IDS, np.full_like(IDS, 255)]), "PNG", {}),
  ],
)
def test_ids_in_every_format_that_keeps_them(array, file_format, options):
  encoded = _encode(array, file_format, **options)
  decoded = masks.decode(encoded, label_spaces.VOC_21, "x")
  assert decoded.dtype == np.uint8
  np.testing.assert_array_equal(decoded, IDS)


@pytest.mark.parametrize(
  ("array", "file_format", "options", "message"),
  [
    (IDS, "JPEG", {}, "^x: is a JPEG, which does not keep ids: .*; save the mask as PNG$"),
    (IDS, "WEBP", {}, "^x: is WEBP; masks must be PNG, TIFF, BMP$"),
    (IDS, "GIF", {}, "^x: is GIF; masks must be PNG, TIFF, BMP$"),
    (IDS.astype(np.float32), "TIFF", {}, "^x: has Pillow's mode 'F'; save ids as 8-bit gray"),
    (np.dstack([IDS, IDS]), "PNG", {}, r"^x: has transparent pixels \(Pillow's mode 'LA'\)"),
    (np.dstack([IDS] * 4), "PNG", {}, r"^x: has transparent pixels \(Pillow's mode 'RGBA'\)"),
    (np.full((2, 2), -1, np.int32), "TIFF", {}, "^x: value -1 at x=0, y=0 is not in label space"),
    (
      IDS,
      "TIFF",
      {"save_all": True, "append_images": [Image.fromarray(IDS)]},
      "^x: has 2 pages or frames; a mask has one$",
    ),
  ],
)
def test_what_holds_no_ids_is_refused(array, file_format, options, message):
  with pytest.raises(errors.UserError, match=message):
    masks.decode(_encode(array, file_format, **options), label_spaces.VOC_21, "x")


@pytest.mark.parametrize("damaged", [b"", b"text", _png(IDS)[:45], _png(IDS)[:-14]])
def test_damaged_masks_are_refused(damaged):
  with pytest.raises(errors.UserError, match=rf"^x: cannot be decoded .{len(damaged)} bytes"):
    masks.decode(damaged, label_spaces.VOC_21, "x")
