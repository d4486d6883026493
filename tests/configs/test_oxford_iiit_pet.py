import cv2
import numpy as np
import tensorflow_datasets as tfds

from configs import oxford_iiit_pet
from flax_unet.data import datasets, label_spaces, op_spec


def _write_archives(folder):
  """Twelve images of different sizes in the folders of the two official archives."""
  for name in ("images", "annotations/trimaps", "annotations/xmls"):
    (folder / name).mkdir(parents=True)
  rng = np.random.default_rng(0)
  for index in range(12):
    height, width = 20 + index, 30 - index
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    trimap = rng.integers(1, 4, (height, width), np.uint8)
    cv2.imwrite(str(folder / f"images/pug_{index}.jpg"), image)
    cv2.imwrite(str(folder / f"annotations/trimaps/pug_{index}.png"), trimap)
  lines = [f"pug_{index} 1 1 1\n" for index in range(12)]
  (folder / "annotations/trainval.txt").write_text("".join(lines[:10]))
  (folder / "annotations/test.txt").write_text("".join(lines[10:]))


def test_trimaps_become_classes(tmp_path, monkeypatch):
  _write_archives(tmp_path / "archives")
  monkeypatch.setattr(
    tfds.download.DownloadManager,
    "download_and_extract",
    lambda *_: dict.fromkeys(("images", "annotations"), str(tmp_path / "archives")),
  )
  config = oxford_iiit_pet.get_config()
  config.input.data.data_dir = str(tmp_path / "data")
  label_space = label_spaces.get(config.label_space)
  dataset = datasets.open_dataset(config.input.data, label_space)
  splits = {name: dataset.split(part.split) for name, part in config.evals.items()}
  splits["train"] = dataset.split(config.input.data.split)
  assert {name: len(source) for name, source in splits.items()} == {
    "train": 9,
    "val": 1,
    "test": 2,
  }
  op = op_spec.parse(config.evals.test.pp, label_space)
  for place in range(2):
    example = splits["test"][place]
    index = int(example["id"].removeprefix("pug_").removesuffix(".jpg"))
    stored = cv2.imread(
      str(tmp_path / f"archives/annotations/trimaps/pug_{index}.png"), cv2.IMREAD_UNCHANGED
    )
    np.testing.assert_array_equal(example["label"], stored)
    padded = op(example, np.random.default_rng(0))
    np.testing.assert_array_equal(padded["label"][: 20 + index, : 30 - index], stored - 1)
