import io
import pathlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from flax_unet import errors
from flax_unet.data import picture_files


def _touch(folder, *names):
  for name in names:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_finds_pictures_in_folders(tmp_path):
  _touch(tmp_path, "b.JPG", "day/a.png", "day/c.webp", "d.tiff", "notes.txt", ".hidden.png")
  found = picture_files.find(str(tmp_path))
  names = ["b.JPG", "d.tiff", "day/a.png", "day/c.webp"]
  assert found == {tmp_path / name: pathlib.Path(name) for name in names}


def test_finds_what_a_pattern_matches(tmp_path):
  _touch(tmp_path, "in/ulm/a.png", "in/bonn/b.png", "in/bonn/b.txt", "other/c.png")
  found = picture_files.find(f"{tmp_path}/in/*/*.png")
  assert list(map(str, found.values())) == ["bonn/b.png", "ulm/a.png"]
  assert list(map(str, picture_files.find(f"{tmp_path}/**/c.png").values())) == ["c.png"]
  assert list(map(str, picture_files.find(f"{tmp_path}/in/ulm/a.png").values())) == ["a.png"]


@pytest.mark.parametrize("where", ["", "/*.png", "/none"])
def test_no_picture_is_an_error(tmp_path, where):
  with pytest.raises(errors.UserError, match="there is no image"):
    picture_files.find(f"{tmp_path}{where}")


def _save(path, pixels, **options):
  Image.fromarray(pixels).save(path, **options)
  return path


COLORS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.webp"])
def test_turns_pictures_as_exif_says(tmp_path, name):
  exif = Image.Exif()
  exif[0x0112] = 6  # to be rotated by 90 degrees clockwise
  options = {"lossless": True} if name.endswith("webp") else {}
  path = _save(tmp_path / name, COLORS, exif=exif, **options)
  np.testing.assert_array_equal(picture_files.read(path), np.rot90(COLORS, -1))


def test_reads_gray_transparent_and_jpeg_pictures_as_rgb(tmp_path):
  gray = COLORS[..., 0]
  path = _save(tmp_path / "gray.png", gray)
  np.testing.assert_array_equal(picture_files.read(path), np.dstack([gray] * 3))
  path = _save(tmp_path / "deep.png", gray.astype(np.uint16) * 256)
  np.testing.assert_array_equal(picture_files.read(path), np.dstack([gray] * 3))
  path = _save(tmp_path / "rgba.png", np.dstack([COLORS, gray]))
  np.testing.assert_array_equal(picture_files.read(path), COLORS)
  flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
  path = _save(tmp_path / "a.jpg", flat, quality=100)
  np.testing.assert_allclose(picture_files.read(path), flat, atol=2)


def _png_header(width, height):
  """A PNG that claims so many pixels in a few bytes: it ends where its pixels should begin."""

  def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum

  header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
  return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b""))


def test_refuses_too_many_pixels_by_the_header(tmp_path):
  bomb = tmp_path / "bomb.png"
  bomb.write_bytes(_png_header(20_000, 20_000))
  with pytest.raises(
    errors.UserError, match=r"bomb.png: is too large, 20,000 x 20,000 pixels: cut it"
  ):
    picture_files.read_size(bomb)
  bomb.write_bytes(_png_header(12_000, 10_000))  # Pillow would only warn
  assert picture_files.read_size(bomb) == (10_000, 12_000)


def test_reads_by_size_and_goes_on_behind_failures(tmp_path):
  content = io.BytesIO()
  Image.fromarray(COLORS).save(content, "PNG")
  (tmp_path / "cut.png").write_bytes(content.getvalue()[:-40])
  (tmp_path / "text.png").write_text("no picture")
  (tmp_path / "bomb.png").write_bytes(_png_header(20_000, 20_000))
  for name, height in (("a", 6), ("b", 2), ("c", 6), ("d", 4)):
    _save(tmp_path / f"{name}.png", COLORS[:height])
  reader = picture_files.Reader(picture_files.find(str(tmp_path)))
  read = list(reader)
  assert [path.stem for (path, _), _ in read] == ["b", "d", "a", "c"]
  for (path, image), again in read:
    assert image is again
    np.testing.assert_array_equal(image, np.asarray(Image.open(path)))
  assert sorted(reason.split(":")[0] for reason in reader.failures) == [
    str(tmp_path / name) for name in ("bomb.png", "cut.png", "text.png")
  ]


def test_reads_ahead_but_only_so_many_pixels(tmp_path, monkeypatch):
  for name in "abcdef":
    _save(tmp_path / f"{name}.png", COLORS)
  started = []
  read = picture_files.read
  monkeypatch.setattr(picture_files, "read", lambda *a: started.append(a) or read(*a))
  monkeypatch.setattr(picture_files, "_READ_AHEAD", 2 * 6 * 8)
  pictures = iter(picture_files.Reader(picture_files.find(str(tmp_path))))
  next(pictures)
  assert len(started) <= 3  # the first, and two ahead
  assert len(list(pictures)) == 5
