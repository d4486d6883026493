import logging

import cv2
import ml_collections
import numpy as np
import pytest

from flax_unet import errors
from flax_unet.data import datasets, folder, label_spaces

THREE = label_spaces.get("3_classes")


def _write(root, name, ids, suffix=".jpg", label_suffix=""):
  """Writes an image and its mask."""
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (*ids.shape, 3), np.uint8)
  for path, pixels in (
    (root / "images" / f"{name}{suffix}", image),
    (root / "labels" / f"{name}{label_suffix}.png", ids),
  ):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def _ids(height, width):
  return np.random.default_rng(height * width).integers(0, 3, (height, width), np.uint8)


def _data(root, **overrides):
  data = {
    "name": "folder",
    "split": "train",
    "data_dir": str(root),
    "images": "images",
    "labels": "labels",
    "image_suffix": "",
    "label_suffix": "",
    "folders": {},
    "lists": {"train": None, "validation": None},
    "validation_share": 0.25,
    "validation_seed": 0,
  }
  return ml_collections.ConfigDict(data | overrides)


@pytest.fixture
def root(tmp_path):
  """Eight images of different sizes, one of them in a subfolder."""
  for index in range(7):
    _write(tmp_path, f"p{index}", _ids(10 + index, 20))
  _write(tmp_path, "day/p7", _ids(9, 30), suffix=".PNG")
  return tmp_path


def test_pairs_are_read(root):
  dataset = datasets.open_dataset(_data(root), THREE)
  examples = [*dataset.split("train"), *dataset.split("validation")]
  by_id = {example["id"]: example for example in examples}
  assert sorted(by_id) == ["day/p7", *(f"p{index}" for index in range(7))]
  np.testing.assert_array_equal(by_id["p3"]["label"], _ids(13, 20))
  assert by_id["p3"]["image"].shape == (13, 20, 3)
  stored = cv2.imread(str(root / "images/day/p7.PNG"))  # BGR
  np.testing.assert_array_equal(by_id["day/p7"]["image"], stored[..., ::-1])


def test_the_share_is_exact_seeded_and_stable(root):
  def validation(**overrides):
    pairs = folder.FolderDataset(_data(root, **overrides), THREE).split("validation").pairs
    return {pair.id for pair in pairs}

  assert len(validation()) == 2
  assert validation() == validation()
  assert {frozenset(validation(validation_seed=seed)) for seed in range(8)} != {
    frozenset(validation())
  }
  before = validation()
  _write(root, "p8", _ids(5, 5))
  # One more image moves at most one.
  assert len(before - validation()) <= 1


def test_lists_name_the_splits(root):
  (root / "train.txt").write_text("p1\np0\n\n")
  (root / "val.txt").write_text("day/p7\r\n")
  lists = {"train": "train.txt", "validation": "val.txt"}
  dataset = folder.FolderDataset(_data(root, lists=lists), THREE)
  assert [pair.id for pair in dataset.split("train").pairs] == ["p1", "p0"]
  assert [pair.id for pair in dataset.split("validation").pairs] == ["day/p7"]


def test_masks_with_a_longer_name(tmp_path):
  for name in ("a", "b"):
    _write(tmp_path, name, _ids(5, 5), label_suffix="_L")
  dataset = folder.FolderDataset(_data(tmp_path, label_suffix="_L", validation_share=0.5), THREE)
  assert [*dataset.split("train").pairs, *dataset.split("validation").pairs]


def test_the_fingerprint_follows_the_content(root):
  def fingerprint():
    dataset = folder.FolderDataset(_data(root), THREE)
    dataset.split("train")
    dataset.split("train")
    return dataset.fingerprint()

  before = fingerprint()
  assert fingerprint() == before
  assert before["name"] == "folder"
  assert before["splits"]["train"]["examples"] == 6
  pair = folder.FolderDataset(_data(root), THREE).split("train").pairs[0]
  ids = cv2.imread(str(pair.label), cv2.IMREAD_UNCHANGED)
  ids[0, 0] = (ids[0, 0] + 1) % 3
  cv2.imwrite(str(pair.label), ids)
  assert fingerprint()["splits"]["train"]["sha256"] != before["splits"]["train"]["sha256"]


def test_a_split_is_checked_once(root, caplog):
  dataset = folder.FolderDataset(_data(root), THREE)
  with caplog.at_level(logging.INFO):
    for _ in range(2):
      dataset.split("validation")
  assert caplog.messages == ["Checking 2 images of validation"]


def _no_mask(root):
  (root / "labels/p3.png").unlink()


def _no_image(root):
  (root / "images/p3.jpg").unlink()


def _other_size(root):
  cv2.imwrite(str(root / "labels/p3.png"), _ids(20, 13))


def _out_of_range(root):
  ids = _ids(13, 20)
  ids[2, 1] = 7
  ids[0, 5] = 3
  cv2.imwrite(str(root / "labels/p3.png"), ids)


def _colors(root):
  cv2.imwrite(str(root / "labels/p3.png"), np.full((13, 20, 3), (0, 9, 0), np.uint8))


def _damaged_image(root):
  path = root / "images/p3.jpg"
  path.write_bytes(path.read_bytes()[:200])


def _damaged_mask(root):
  path = root / "labels/p3.png"
  path.write_bytes(path.read_bytes()[:40])


def _same_name(root):
  cv2.imwrite(str(root / "images/p3.png"), np.zeros((13, 20, 3), np.uint8))


def _one_class(root):
  for path in (root / "labels").rglob("*.png"):
    ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), np.where(ids, 255, 0).astype(np.uint8))


@pytest.mark.parametrize(
  ("spoil", "message"),
  [
    (_no_mask, r"^/.*/images/p3.jpg: has no mask /.*/labels/p3.png; add masks, "),
    (_no_image, r"^/.*/labels/p3.png: has no image /.*/images/p3\.\*; add images, "),
    (
      _other_size,
      r"/images/p3.jpg: is 20 x 13 pixels, but its mask /.*/labels/p3.png is 13 x 20: resize ",
    ),
    (
      _out_of_range,
      r"/labels/p3.png: value 3 at x=5, y=0 is not in .* '3_classes', which has 0, 1, 2, 255; ",
    ),
    (_colors, r"/labels/p3.png: is an RGB image, but the label space has no table"),
    (_damaged_image, r"/images/p3.jpg: cannot be decoded \(200 bytes\)"),
    (_damaged_mask, r"/labels/p3.png: cannot be decoded \(40 bytes\)"),
    (_same_name, r"/images/p3.jpg and /.*/images/p3.png: differ only in their suffix$"),
    (
      _one_class,
      "^the masks of train hold only one class .*, '0'; their value 255 is read as 'ignored'",
    ),
  ],
)
def test_mistakes_are_found_before_training(root, spoil, message):
  spoil(root)
  with pytest.raises(errors.UserError, match=message) as caught:
    dataset = folder.FolderDataset(_data(root), THREE)
    dataset.split("train")
    dataset.split("validation")
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spoil", [_other_size, _out_of_range, _damaged_image, _damaged_mask])
def test_bad_examples_can_be_left_out(root, spoil, caplog):
  spoil(root)
  dataset = folder.FolderDataset(_data(root), THREE, skip_bad_examples=True)
  sources = [dataset.split(name) for name in ("train", "validation")]
  assert sum(split["examples"] for split in dataset.fingerprint()["splits"].values()) == 7
  assert len([message for message in caplog.messages if message.startswith("Left out: /")]) == 1
  assert sum(map(len, sources)) == 8  # readers must skip it again


def test_all_bad_masks_of_a_split_are_told_at_once(root, caplog):
  for name in ("p2", "p5", "day/p7"):
    (root / f"labels/{name}.png").write_bytes(b"no picture")
  lists = {"train": "train.txt", "validation": "val.txt"}
  (root / "train.txt").write_text("p1\np2\np5\nday/p7\n")
  (root / "val.txt").write_text("p3\n")
  dataset = folder.FolderDataset(_data(root, lists=lists), THREE)
  with pytest.raises(errors.UserError, match=r"p2.png: .*\(and 2 more images of train cannot"):
    dataset.split("train")
  told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
  assert [text.split(".png")[0][-2:] for text in told] == ["p5", "p7"]


def test_all_missing_masks_are_counted(root):
  for index in range(3):
    (root / f"labels/p{index}.png").unlink()
  with pytest.raises(errors.UserError, match=r"has no mask .*\.png \(nor have 2 more theirs\)"):
    folder.FolderDataset(_data(root), THREE)


def test_the_draw_for_validation_is_told(root, caplog):
  caplog.set_level(logging.INFO, logger="absl")
  folder.FolderDataset(_data(root), THREE)
  assert "Drew 2 of 8 images for validation" in caplog.text


@pytest.mark.parametrize(
  ("train", "validation", "message"),
  [
    ("p0\np9", "p1", r"^/.*/train.txt, 'p9': has no image /.*/images/p9\.\*; add images, "),
    ("p0\nalone", "p1", r"^/.*/train.txt, 'alone': has no mask /.*/labels/alone.png; add masks, "),
    ("p0\np1", "p1", r"^/.*/train.txt and /.*/val.txt: 'p1' is listed 2 times$"),
    ("p0\np1\np0", "p2", r"^/.*/train.txt: 'p0' is listed 2 times$"),
    ("p0", " \n", r"^list of validation /.*/val.txt: is empty$"),
    ("p0", None, r"^list of validation /.*/val.txt cannot be read: No such file or directory$"),
  ],
)
def test_mistakes_in_lists(root, train, validation, message):
  cv2.imwrite(str(root / "images/alone.jpg"), np.zeros((3, 3, 3), np.uint8))
  (root / "train.txt").write_text(train)
  if validation is not None:
    (root / "val.txt").write_text(validation)
  lists = {"train": "train.txt", "validation": "val.txt"}
  with pytest.raises(errors.UserError, match=message):
    folder.FolderDataset(_data(root, lists=lists), THREE)


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"images": "pictures"}, "/pictures: no such folder$"),
    (
      {"data_dir": "nowhere"},
      "data_dir = 'nowhere': no such folder; .* --config, such as data=DIR$",
    ),
    ({"label_suffix": "_mask"}, r"/labels: holds no file \*_mask.png, .* \(but others: 8 .png\)$"),
    ({"validation_share": 0.01}, r"validation_share = 0.01 of 8 images are 0 to "),
    ({"validation_share": 1.0}, r"validation_share = 1.0 of 8 images are 8 to "),
  ],
)
def test_mistakes_in_the_configuration(root, overrides, message):
  with pytest.raises(errors.UserError, match=message):
    folder.FolderDataset(_data(root, **overrides), THREE)


def test_unknown_splits_are_refused(root):
  dataset = folder.FolderDataset(_data(root), THREE)
  with pytest.raises(errors.UserError, match=r"unknown split .* 'val': choose from train, valid"):
    dataset.split("val")
