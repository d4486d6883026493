import cv2
import numpy as np
import pytest
from PIL import Image

from flax_unet.errors import UserError
from flax_unet.evaluation import png_pairs

KEY = "ulm_000001_000019"


def _touch(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
  return folder


def test_files_are_matched_by_name_wherever_they_lie(tmp_path):
  labels = _touch(
    tmp_path / "labels",
    f"ulm/{KEY}_gtFine_labelIds.png",
    f"ulm/{KEY}_gtFine_instanceIds.png",
    "aachen/aachen_000000_000019_gtFine_labelIds.png",
  )
  predictions = _touch(
    tmp_path / "predictions",
    f"deep/below/{KEY}_leftImg8bit_pred.png",
    "aachen_000000_000019.png",
    "other_000000_000019.png",
    f"{KEY}.txt",
  )
  found = png_pairs.find_labels(labels)
  assert [png_pairs.picture_id(label) for label in found] == ["aachen_000000_000019", KEY]
  matched = png_pairs.match(found, predictions)
  assert [str(file.relative_to(predictions)) for file in matched] == [
    "aachen_000000_000019.png",
    f"deep/below/{KEY}_leftImg8bit_pred.png",
  ]
  assert png_pairs.match(found[1:], labels, png_pairs.INSTANCE_SUFFIX) == [
    labels / "ulm" / f"{KEY}_gtFine_instanceIds.png"
  ]


def test_missing_and_double_files_are_named(tmp_path):
  labels = png_pairs.find_labels(_touch(tmp_path / "labels", f"{KEY}_gtFine_labelIds.png"))
  with pytest.raises(UserError, match=rf"labels/{KEY}_gtFine_labelIds.png: no file {KEY}\*.png in"):
    png_pairs.match(labels, _touch(tmp_path / "none", "a.png"))
  double = _touch(tmp_path / "double", f"a/{KEY}.png", f"b/{KEY}_pred.png")
  with pytest.raises(UserError, match=rf"double/a/{KEY}.png and .*double/b/{KEY}_pred.png"):
    png_pairs.match(labels, double)
  with pytest.raises(UserError, match=r"none: holds no label file named \*_gtFine_labelIds.png"):
    png_pairs.find_labels(tmp_path / "none")
  with pytest.raises(UserError, match="nowhere: no such folder"):
    png_pairs.find_labels(tmp_path / "nowhere")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ids_are_read_as_they_are(tmp_path, dtype):
  ids = np.arange(12, dtype=dtype).reshape(3, 4) * (1 if dtype == np.uint8 else 3000)
  cv2.imwrite(str(tmp_path / "ids.png"), ids)
  read = png_pairs.read_ids(tmp_path / "ids.png")
  np.testing.assert_array_equal(read, ids)
  assert read.dtype == dtype


def _damaged(content):
  """A PNG in one of whose picture bytes one bit is wrong."""
  at = content.index(b"IDAT") + 10
  return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
  ("change", "complaint"),
  [
    (lambda content: content[:-20], "is a damaged or incomplete PNG"),
    (_damaged, "is a damaged or incomplete PNG"),
    (lambda content: b"", "is not a PNG"),
    (lambda content: b"hello", "is not a PNG"),
  ],
)
def test_unreadable_files_are_named(tmp_path, capfd, change, complaint):
  file = tmp_path / "bad.png"
  cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 34, (64, 64)).astype(np.uint8))
  file.write_bytes(change(file.read_bytes()))
  with pytest.raises(UserError, match=f"bad.png: {complaint}"):
    png_pairs.read_ids(file)
  assert capfd.readouterr().err == ""  # no decoder says anything of its own


def test_pictures_of_colours_are_refused(tmp_path):
  gray = Image.fromarray(np.zeros((4, 4), np.uint8))
  for mode, name in (("P", "a palette"), ("RGB", "an RGB"), ("RGBA", "an RGBA"), ("LA", "a gray")):
    gray.convert(mode).save(tmp_path / "colors.png")
    with pytest.raises(UserError, match=f"colors.png: is {name}.* PNG, but ids are wanted"):
      png_pairs.read_ids(tmp_path / "colors.png")
  gray.convert("1").save(tmp_path / "bits.png")
  with pytest.raises(UserError, match=r"bits.png: has 1 bits a pixel"):
    png_pairs.read_ids(tmp_path / "bits.png")


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
  with pytest.raises(UserError, match=r"gone.png: No such file or directory"):
    png_pairs.read_ids(tmp_path / "gone.png")
