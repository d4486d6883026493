"""Truncated or invalid archives: one error line, and nothing is left behind."""

import io
import pathlib
import zipfile

import ml_collections
import numpy as np
import pytest
from PIL import Image

from flax_unet.data import tfds_source
from flax_unet.errors import UserError

IMAGES, LABELS = "leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"
_CITIES = {"train": "aachen", "val": "lindau", "test": "berlin"}


def _png(pixels: np.ndarray) -> bytes:
  content = io.BytesIO()
  Image.fromarray(pixels).save(content, "PNG")
  return content.getvalue()


def _write(folder: pathlib.Path, value: int = 7, leave_out: str = "", add: str = "") -> None:
  """Writes the two archives in the official layout, with one image per split."""
  folder.mkdir(exist_ok=True)
  noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
  members = {IMAGES: {}, LABELS: {}}
  for split, city in _CITIES.items():
    name = f"{split}/{city}/{city}_000000_000019"
    members[IMAGES][f"leftImg8bit/{name}_leftImg8bit.png"] = _png(noise)
    members[LABELS][f"gtFine/{name}_gtFine_labelIds.png"] = _png(np.full((64, 96), value, np.uint8))
  if add:
    members[IMAGES][add] = b""
  for archive, files in members.items():
    with zipfile.ZipFile(folder / archive, "w") as file:
      for name, content in files.items():
        if not leave_out or leave_out not in name:
          file.writestr(name, content)


def _open(root: pathlib.Path):
  data = {
    "name": "cityscapes/semantic_segmentation",
    "data_dir": str(root / "data"),
    "manual_dir": str(root / "zips"),
  }
  return tfds_source.open_builder(ml_collections.ConfigDict(data))


def _files(folder: pathlib.Path) -> list[str]:
  return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _cut(path: pathlib.Path) -> None:
  path.write_bytes(path.read_bytes()[:-200])


def _flip(path: pathlib.Path) -> None:
  content = bytearray(path.read_bytes())
  content[len(content) // 4] ^= 1
  path.write_bytes(content)


@pytest.mark.parametrize(
  ("spoil", "message"),
  [
    (lambda path: path.write_text("<!DOCTYPE html><html>"), "is a web page, not a zip archive "),
    (lambda path: path.write_bytes(b""), "is not a zip archive; download it again$"),
    (_cut, "is a zip archive that is cut off; download it again$"),
    (_flip, r"is damaged \(Bad CRC-32 for file 'leftImg8bit/train/.*'\); download it again$"),
  ],
)
def test_what_is_no_whole_archive_is_named(tmp_path, spoil, message):
  _write(tmp_path / "zips")
  spoil(tmp_path / "zips" / IMAGES)
  with pytest.raises(UserError, match=f"^{tmp_path}/zips/{IMAGES}: {message}"):
    _open(tmp_path)
  notes = {"cityscapes/.config/metadata.json"}  # TFDS's error about missing data
  assert set(_files(tmp_path / "data")) <= notes
  _write(tmp_path / "zips")  # after another download, the same command works
  assert len(tfds_source.open_split(_open(tmp_path), "train")) == 1


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      {"leave_out": "aachen_000000_000019_gtFine"},
      f"/{LABELS}: lacks gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png, which ",
    ),
    ({"leave_out": "/val/"}, f"/{IMAGES}: has no image in leftImg8bit/val/; download it again$"),
    (
      {"add": "leftImg8bit/train/aachen/copy of aachen.png"},
      f"/{IMAGES}: leftImg8bit/train/aachen/copy of aachen.png is not a Cityscapes image; ",
    ),
  ],
)
def test_an_archive_with_other_contents_is_named(tmp_path, change, message):
  _write(tmp_path / "zips", **change)
  with pytest.raises(UserError, match=message):
    _open(tmp_path)


def test_what_systems_add_to_archives_does_not_matter(tmp_path):
  _write(tmp_path / "zips", add="leftImg8bit/train/aachen/._aachen_000000_000019_leftImg8bit.png")
  assert len(tfds_source.open_split(_open(tmp_path), "train")) == 1


def test_what_was_unpacked_of_another_archive_is_not_used(tmp_path):
  _write(tmp_path / "zips", value=7)
  with zipfile.ZipFile(tmp_path / "zips" / LABELS) as file:
    file.extractall(tmp_path / f"data/downloads/extracted/ZIP.{LABELS}")
  _write(tmp_path / "zips", value=11)
  example = tfds_source.open_split(_open(tmp_path), "train")[0]
  assert example["label"][0, 0] == 11
