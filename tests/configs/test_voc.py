import numpy as np
import pytest
from PIL import Image

from configs import voc
from flax_unet.data import datasets, label_spaces, op_spec
from flax_unet.data.label_space import IGNORED


@pytest.fixture
def devkit(tmp_path):
  """A folder like VOCdevkit/VOC2012: palette PNGs, borders 255, images without a mask."""
  for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
    (tmp_path / name).mkdir(parents=True)
  palette = np.full((256, 3), (224, 224, 192), np.uint8)
  palette[:21] = label_spaces.VOC_21.colors
  for index, (height, width) in enumerate([(50, 37), (37, 50), (33, 50), (20, 20)]):
    name = f"2007_{index:06d}"
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(
      tmp_path / f"JPEGImages/{name}.jpg"
    )
    if index < 3:
      ids = np.zeros((height, width), np.uint8)
      ids[5:15, 5:15] = 255
      ids[6:14, 6:14] = 15
      mask = Image.fromarray(ids)
      mask.putpalette(palette.tobytes())
      mask.save(tmp_path / f"SegmentationClass/{name}.png")
  (tmp_path / "ImageSets/Segmentation/train.txt").write_text("2007_000000\n2007_000002\n")
  (tmp_path / "ImageSets/Segmentation/val.txt").write_text("2007_000001\n")
  return tmp_path


def test_reads_the_official_folder(devkit):
  config = voc.get_config()
  config.input.data.data_dir = str(devkit)
  label_space = label_spaces.get(config.label_space)
  dataset = datasets.open_dataset(config.input.data, label_space)
  train, val = dataset.split(config.input.data.split), dataset.split(config.evals.val.split)
  assert [example["id"] for example in train] == ["2007_000000", "2007_000002"]
  assert [example["id"] for example in val] == ["2007_000001"]
  op = op_spec.parse(config.evals.val.pp, label_space)
  example = op(val[0], np.random.default_rng(0))
  assert example["image"].shape == (128, 128, 3)
  counts = np.bincount(example["label"][:37, :50].reshape(-1), minlength=256)
  # The palette's indices are the classes, and the border of one pixel is ignored.
  assert counts[15] == 64 and counts[IGNORED] == 36 and counts[0] == 37 * 50 - 100


def test_the_augmented_masks_have_their_own_folder_and_list():
  data = voc.get_config("aug").input.data
  assert data.labels == "SegmentationClassAug"
  assert data.lists.train == "ImageSets/Segmentation/train_aug.txt"
