import cv2
import numpy as np
import pytest
from PIL import Image

from flax_unet.data import label_spaces
from flax_unet.errors import UserError
from flax_unet.evaluation import mask_pairs

VOC = label_spaces.VOC_21
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
  found = mask_pairs.find_labels(labels)
  assert found.of_cityscapes
  assert list(found.files) == ["aachen_000000_000019", KEY]
  matched, unused = mask_pairs.match(found, predictions)
  assert [str(file.relative_to(predictions)) for file in matched] == [
    "aachen_000000_000019.png",
    f"deep/below/{KEY}_leftImg8bit_pred.png",
  ]
  assert unused == 1
  instances, _ = mask_pairs.match(
    mask_pairs.find_labels(labels / "ulm"), labels, mask_pairs.INSTANCE_SUFFIX
  )
  assert instances == [labels / "ulm" / f"{KEY}_gtFine_instanceIds.png"]


def test_missing_and_double_files_are_named(tmp_path):
  labels = mask_pairs.find_labels(_touch(tmp_path / "labels", f"{KEY}_gtFine_labelIds.png"))
  with pytest.raises(UserError, match=rf"labels/{KEY}_gtFine_labelIds.png: no file {KEY}\*.png in"):
    mask_pairs.match(labels, _touch(tmp_path / "none", "a.png"))
  double = _touch(tmp_path / "double", f"a/{KEY}.png", f"b/{KEY}_pred.png")
  with pytest.raises(UserError, match=rf"double/a/{KEY}.png and .*double/b/{KEY}_pred.png"):
    mask_pairs.match(labels, double)
  (tmp_path / "empty").mkdir()
  with pytest.raises(UserError, match=r"empty: holds no file \*.png, \*.tif"):
    mask_pairs.find_labels(tmp_path / "empty")
  with pytest.raises(UserError, match="nowhere: no such folder"):
    mask_pairs.find_labels(tmp_path / "nowhere")


def test_hidden_files_are_no_labels_or_predictions(tmp_path):
  labels = _touch(tmp_path / "labels", f"{KEY}_gtFine_labelIds.png", f"._{KEY}_gtFine_labelIds.png")
  predictions = _touch(tmp_path / "predictions", f"{KEY}.png", f"._{KEY}.png", f".x/{KEY}.png")
  matched, _ = mask_pairs.match(mask_pairs.find_labels(labels), predictions)
  assert matched == [predictions / f"{KEY}.png"]


def test_a_number_is_not_taken_for_the_beginning_of_another(tmp_path):
  labels = _touch(tmp_path / "l", "p1_gtFine_labelIds.png", "p10_gtFine_labelIds.png")
  predictions = _touch(tmp_path / "p", "p1_pred.png", "p10.png", "p100.png")
  matched, unused = mask_pairs.match(mask_pairs.find_labels(labels), predictions)
  assert [file.name for file in matched] == ["p1_pred.png", "p10.png"]
  assert unused == 1
  (predictions / "p1_pred.png").unlink()
  with pytest.raises(UserError, match=r"p1_gtFine_labelIds.png: no file p1\*.png in"):
    mask_pairs.match(mask_pairs.find_labels(labels), predictions)


def test_files_of_equal_names_belong_together(tmp_path):
  labels = _touch(tmp_path / "l", "a/p1_L.png", "a/p10_L.tif", "b/p2_L.bmp")
  predictions = _touch(tmp_path / "p", "a/p1.tif", "a/p10.png", "p2.png", "a/p3.png", "x.txt")
  found = mask_pairs.find_labels(labels, "_L")
  assert not found.of_cityscapes
  matched, unused = mask_pairs.match(found, predictions)
  assert [str(file.relative_to(predictions)) for file in matched] == [
    "a/p1.tif",
    "a/p10.png",
    "p2.png",
  ]
  assert unused == 1
  (predictions / "a/p1.tif").unlink()
  with pytest.raises(UserError, match=r"p1_L.png: no file a/p1.png in "):
    mask_pairs.match(found, predictions)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_numbers_are_read_as_they_are(tmp_path, dtype):
  ids = np.arange(12, dtype=dtype).reshape(3, 4) * (1 if dtype == np.uint8 else 3000)
  cv2.imwrite(str(tmp_path / "ids.png"), ids)
  read = mask_pairs.read_numbers(tmp_path / "ids.png")
  np.testing.assert_array_equal(read, ids)
  assert read.dtype == dtype


def _damaged(content):
  """A PNG with one flipped bit in its pixel data."""
  at = content.index(b"IDAT") + 10
  return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
  "change",
  [lambda content: content[:-20], _damaged, lambda content: b"", lambda content: b"hello"],
  ids=["cut", "damaged", "empty", "text"],
)
def test_unreadable_files_are_named(tmp_path, capfd, change):
  file = tmp_path / "bad.png"
  cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 34, (64, 64)).astype(np.uint8))
  file.write_bytes(change(file.read_bytes()))
  for read in (mask_pairs.read_numbers, lambda x: mask_pairs.read_label_ids(x, VOC)):
    with pytest.raises(UserError, match=r"bad.png: cannot be decoded \("):
      read(file)
  assert capfd.readouterr().err == ""  # no decoder prints anything itself


def test_palettes_bits_and_equal_channels_hold_label_ids(tmp_path):
  ids = np.random.default_rng(0).integers(0, 2, (4, 4)).astype(np.uint8)
  for mode in ("L", "P", "RGB", "RGBA", "1"):
    image = Image.fromarray(ids.astype(bool) if mode == "1" else ids)
    if mode == "P":
      image.putpalette(VOC.colors.reshape(-1).tolist())
    image.convert(mode).save(tmp_path / "ids.png")
    for read in (mask_pairs.read_numbers, lambda x: mask_pairs.read_label_ids(x, VOC)):
      np.testing.assert_array_equal(read(tmp_path / "ids.png"), ids)


def test_colours_without_a_table_are_refused(tmp_path):
  Image.fromarray(np.eye(3, dtype=np.uint8)[None]).save(tmp_path / "colors.png")
  for read in (mask_pairs.read_numbers, lambda x: mask_pairs.read_label_ids(x, VOC)):
    with pytest.raises(UserError, match=r"colors.png: is an RGB image, but .* no table of colours"):
      read(tmp_path / "colors.png")


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
  with pytest.raises(UserError, match=r"gone.png: No such file or directory"):
    mask_pairs.read_numbers(tmp_path / "gone.png")
