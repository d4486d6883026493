"""Colour with disparity: the drawn scenes, and the official archives of Cityscapes."""

import shutil
import zipfile

import cv2
import ml_collections
import numpy as np
import pytest

from configs import cityscapes, street_scenes
from flax_unet.data import images, label_spaces, op_spec, tfds_source
from flax_unet.errors import UserError
from flax_unet.run import image_settings


def _open(config, data_dir, manual_dir=None):
  data = ml_collections.ConfigDict(config.input.data.to_dict())
  data.data_dir, data.manual_dir = str(data_dir), manual_dir and str(manual_dir)
  return tfds_source.TfdsDataset(data, image_settings.image_format(config))


def test_drawn_scenes_have_their_disparity(tmp_path):
  config = street_scenes.get_config("runlocal,depth")
  source = _open(config, tmp_path).split("validation")
  example, record = source[0], source.records[0]
  assert (example["image"].shape, example["image"].dtype) == ((64, 128, 4), np.uint16)
  color = images.decode(record["image_left"], "a:")
  np.testing.assert_array_equal(example["image"][..., :3], color.astype(np.uint16) * 257)
  stored = cv2.imdecode(np.frombuffer(record["disparity_map"], np.uint8), cv2.IMREAD_UNCHANGED)
  np.testing.assert_array_equal(example["image"][..., 3], stored)
  assert stored.min() == 1  # the sky, infinitely far away
  assert 256 < stored.max() < 2**15
  op = op_spec.parse(
    config.input.pp, label_spaces.CITYSCAPES_19, image_settings.image_format(config)
  )
  assert op(example, np.random.default_rng(0))["image"].shape == (64, 128, 4)
  with pytest.raises(UserError, match=r"street_scenes/tiny/1.0.0' has 8-bit RGB images, but "):
    config.input.data.name = "street_scenes/tiny"
    _open(config, tmp_path).split("validation")


@pytest.fixture(scope="module")
def zips(cityscapes_zips, tmp_path_factory):
  """The official archives of the sample, and one of disparity as the official one has it."""
  folder = tmp_path_factory.mktemp("zips")
  for archive in cityscapes_zips.glob("*.zip"):
    shutil.copy(archive, folder)
  rng = np.random.default_rng(0)
  with (
    zipfile.ZipFile(folder / "leftImg8bit_trainvaltest.zip") as pictures,
    zipfile.ZipFile(folder / "disparity_trainvaltest.zip", "w") as archive,
  ):
    for name in pictures.namelist():
      if name.endswith(".png"):
        values = rng.integers(0, 2**15, size=(1024, 2048), dtype=np.uint16)
        values[:, :100] = len(name)
        encoded = cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        archive.writestr(name.replace("leftImg8bit", "disparity"), encoded.tobytes())
  return folder


def test_disparity_joins_the_official_archives_by_id(zips, tmp_path):
  dataset = _open(cityscapes.get_config("depth"), tmp_path, zips)
  assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == [5, 2, 1]
  example = dataset.split("validation")[1]
  city = example["id"].split("_")[0]

  def stored(kind, ending):
    with zipfile.ZipFile(zips / f"{kind}_trainvaltest.zip") as archive:
      content = archive.read(f"{kind}/val/{city}/{example['id']}_{ending}.png")
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)

  color = stored("leftImg8bit", "leftImg8bit")[..., ::-1]
  np.testing.assert_array_equal(example["image"][..., :3], color.astype(np.uint16) * 257)
  np.testing.assert_array_equal(example["image"][..., 3], stored("disparity", "disparity"))
  np.testing.assert_array_equal(example["label"], stored("gtFine", "gtFine_labelIds"))


def test_a_missing_or_incomplete_archive_is_told_in_one_line(zips, tmp_path):
  config = cityscapes.get_config("depth")
  archive = zips / "disparity_trainvaltest.zip"
  kept = archive.read_bytes()
  try:
    archive.unlink()
    with pytest.raises(UserError, match=r"^Cityscapes: disparity_trainvaltest.zip not found in "):
      _open(config, tmp_path, zips)
    with zipfile.ZipFile(archive, "w") as file:
      file.writestr("disparity/README", "")
    with pytest.raises(UserError, match=r"disparity_trainvaltest.zip: lacks disparity/train/"):
      _open(config, tmp_path, zips)
    archive.write_bytes(kept[: len(kept) // 2])
    with pytest.raises(UserError, match="is a zip archive that is cut off; download it again"):
      _open(config, tmp_path, zips)
  finally:
    archive.write_bytes(kept)
