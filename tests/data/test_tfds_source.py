import dataclasses
import pathlib
import shutil
import zipfile

import cv2
import ml_collections
import numpy as np
import pytest

from flax_unet.data import images, label_spaces, tfds_source
from flax_unet.errors import UserError
from flax_unet.street_scenes import StreetScenes


def _open(name, data_dir, manual_dir=None):
  return tfds_source.open_builder(
    ml_collections.ConfigDict(
      {"name": name, "data_dir": str(data_dir), "manual_dir": manual_dir and str(manual_dir)}
    )
  )


def _examples(source):
  return [source[index] for index in range(len(source))]


@pytest.fixture(scope="module")
def street_scenes(street_scenes_dir):
  return _open("street_scenes/tiny", street_scenes_dir)


@pytest.fixture(scope="module")
def cityscapes(cityscapes_zips, tmp_path_factory):
  return _open(
    "cityscapes/semantic_segmentation", tmp_path_factory.mktemp("cityscapes"), cityscapes_zips
  )


def test_street_scenes_have_the_features_of_cityscapes(street_scenes):
  lengths = [
    len(tfds_source.open_split(street_scenes, split)) for split in ("train", "validation", "test")
  ]
  assert lengths == [16, 7, 4]
  examples = _examples(tfds_source.open_split(street_scenes, "validation"))
  assert sorted(example["id"] for example in examples) == [
    f"validation_{index:06d}" for index in range(7)
  ]
  example = examples[3]
  assert example["image"].shape == (64, 128, 3)
  assert example["label"].shape == (64, 128)
  assert example["image"].dtype == example["label"].dtype == np.uint8
  assert not label_spaces.CITYSCAPES_19.unknown_ids(example["label"])


def test_image_is_rgb_and_label_as_stored(street_scenes):
  source = tfds_source.open_split(street_scenes, "train")
  record = source.records[2]
  decoded = cv2.imdecode(np.frombuffer(record["image_left"], np.uint8), cv2.IMREAD_UNCHANGED)
  image = source[2]["image"]
  assert isinstance(image, images.EncodedImage)
  image = images.decoded(image)
  np.testing.assert_array_equal(image, decoded[..., ::-1])  # OpenCV uses BGR
  decoded = cv2.imdecode(np.frombuffer(record["segmentation_label"], np.uint8), -1)
  np.testing.assert_array_equal(source[2]["label"], decoded.reshape(64, 128))


def test_a_part_of_a_split(street_scenes):
  part, whole = (tfds_source.open_split(street_scenes, split) for split in ("train[4:6]", "train"))
  assert [example["id"] for example in _examples(part)] == [whole[4]["id"], whole[5]["id"]]


def test_fingerprint_tells_version_and_sizes(street_scenes):
  fingerprint = tfds_source.fingerprint(street_scenes)
  assert fingerprint["name"] == f"street_scenes/tiny/{street_scenes.version}"
  counts = {name: split["examples"] for name, split in fingerprint["splits"].items()}
  assert counts == {"test": 4, "train": 16, "validation": 7}
  assert all(split["bytes"] > 1000 for split in fingerprint["splits"].values())


def test_prepared_data_are_not_prepared_again(street_scenes, street_scenes_dir):
  files = {path: path.stat().st_mtime_ns for path in street_scenes_dir.rglob("*")}
  dataset = tfds_source.TfdsDataset(
    ml_collections.ConfigDict(
      {"name": "street_scenes/tiny", "data_dir": str(street_scenes_dir), "manual_dir": None}
    )
  )
  assert len(dataset.split("train")) == 16
  assert dataset.fingerprint() == tfds_source.fingerprint(street_scenes)
  assert {path: path.stat().st_mtime_ns for path in street_scenes_dir.rglob("*")} == files


def test_another_run_may_prepare_the_same_data_meanwhile(street_scenes_dir, tmp_path, monkeypatch):
  generate = StreetScenes._split_generators

  def generate_late(self, manager):
    shutil.copytree(street_scenes_dir, tmp_path, dirs_exist_ok=True)
    return generate(self, manager)

  monkeypatch.setattr(StreetScenes, "_split_generators", generate_late)
  assert _open("street_scenes/tiny", tmp_path).info.splits["train"].num_examples == 16
  assert not list(tmp_path.rglob("incomplete*"))


def test_cityscapes_sample(cityscapes, cityscapes_zips):
  ids = {}
  for split in ("train", "validation", "test"):
    examples = _examples(tfds_source.open_split(cityscapes, split))
    ids[split] = [example["id"] for example in examples]
    for example in examples:
      assert example["image"].shape == (1024, 2048, 3)
      assert example["label"].shape == (1024, 2048)
      assert not label_spaces.CITYSCAPES_19.unknown_ids(example["label"])
  assert [len(names) for names in ids.values()] == [5, 2, 1]
  with zipfile.ZipFile(cityscapes_zips / "leftImg8bit_trainvaltest.zip") as archive:
    stems = {pathlib.PurePath(name).name for name in archive.namelist() if name.endswith(".png")}
  assert {f"{name}_leftImg8bit.png" for names in ids.values() for name in names} == stems


def test_cityscapes_pixels_are_those_of_the_archives(cityscapes, cityscapes_zips):
  example = tfds_source.open_split(cityscapes, "validation")[0]
  image = images.decoded(example["image"])
  np.testing.assert_array_equal(image[:700], images.decoded(example["image"], 700))
  for archive, ending, got in (
    ("leftImg8bit_trainvaltest.zip", "_leftImg8bit.png", image[..., ::-1]),
    ("gtFine_trainvaltest.zip", "_gtFine_labelIds.png", example["label"]),
  ):
    with zipfile.ZipFile(cityscapes_zips / archive) as file:
      (name,) = (name for name in file.namelist() if name.endswith(example["id"] + ending))
      expected = cv2.imdecode(np.frombuffer(file.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(got, expected)


def test_missing_archives_are_named_with_the_way_to_get_them(tmp_path):
  (tmp_path / "gtFine_trainvaltest.zip").touch()
  with pytest.raises(UserError) as error:
    _open("cityscapes/semantic_segmentation", tmp_path / "data", tmp_path)
  message = str(error.value)
  assert message.startswith(f"Cityscapes: leftImg8bit_trainvaltest.zip not found in {tmp_path}.")
  for part in (
    "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from https://www.cityscapes-dataset",
    "--config.input.data.manual_dir=DIR",
    "python main.py --config=configs/street_scenes.py",
  ):
    assert part in message
  # By default they must be where TFDS looks for them.
  with pytest.raises(UserError, match=r"not found in .*/data/downloads/manual"):
    _open("cityscapes/semantic_segmentation", tmp_path / "data")


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("cityscape", "unknown data set in config.input.data.name 'cityscape': did you mean 'citysc"),
    ("street_scenes/128x255", "variant of street_scenes '128x255': did you mean '128x256'"),
    ("street_scenes", "variant of street_scenes ''.*choose from 128x256, 128x256_disparity, 25"),
  ],
)
def test_unknown_data_sets_are_refused(tmp_path, name, message):
  with pytest.raises(UserError, match=message):
    _open(name, tmp_path)


@pytest.mark.parametrize(
  ("split", "message"),
  [
    ("val", r"street_scenes val: Unknown split 'val'.*\(splits: train, validation, test\)"),
    ("train[:0]", r"street_scenes train\[:0\]: the split is empty"),
    ("train[9:99]", r"street_scenes train\[9:99\]: .*\[9:99\] incompatible with 16 examples"),
    ("train[", r"street_scenes train\[: .*'train\['.*\(splits: train, validation, test\)"),
  ],
)
def test_unknown_and_empty_splits_are_refused(street_scenes, split, message):
  with pytest.raises(UserError, match=message) as error:
    tfds_source.open_split(street_scenes, split)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  ("content", "reason"),
  [(b"", r"\(0 bytes\)"), (b"no picture", r"\(10 bytes\)")],
)
@pytest.mark.parametrize(
  ("feature", "what"), [("image_left", "image"), ("segmentation_label", "label")]
)
def test_an_example_that_cannot_be_decoded_is_named(street_scenes, feature, what, content, reason):
  source = tfds_source.open_split(street_scenes, "test")
  damaged = dataclasses.replace(source, records=[{**source.records[1], feature: content}])
  example_id = source[1]["id"]
  message = f"example '{example_id}' of street_scenes test: {what} cannot be decoded {reason}"
  with pytest.raises(UserError, match=message):
    damaged[0]
