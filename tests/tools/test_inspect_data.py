import importlib.util
import subprocess
import sys

import cv2
import numpy as np
import pytest

from flax_unet.data import datasets, op_spec, pipeline
from flax_unet.data.label_spaces import CITYSCAPES_19

_CONFIG = """
from configs import street_scenes

def get_config(arg=None):
  config = street_scenes.get_config("runlocal")
  config.seed = 3
  config.input.data = {{
    "name": "folder", "split": "train", "data_dir": {data_dir!r}, "images": "images",
    "labels": "labels", "label_suffix": "", "lists": {{}}, "validation_share": 0.25,
    "validation_seed": 0,
  }}
  config.input.pp = "label_map|random_crop(16, 32)|flip_lr"
  return config
"""


@pytest.fixture(name="data")
def _data(tmp_path):
  """Eight images; the upper half is road, a quarter sidewalk and a quarter void."""
  rng = np.random.default_rng(0)
  label = np.repeat(np.array([7, 7, 8, 0], np.uint8), 6)[:, None].repeat(40, axis=1)
  for name in ("images", "labels"):
    (tmp_path / name).mkdir()
  for number in range(8):
    image = rng.integers(0, 256, (24, 40, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image)
    cv2.imwrite(str(tmp_path / "labels" / f"{number}.png"), label)
  (tmp_path / "config.py").write_text(_CONFIG.format(data_dir=str(tmp_path)))
  return tmp_path


def _inspect(data, *arguments):
  command = [sys.executable, "-m", "flax_unet.tools.inspect_data"]
  command += [f"--config={data / 'config.py'}", f"--output={data / 'out' / 'sheet.png'}"]
  return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def _rows(text):
  return [line.split() for line in text.splitlines()]


def test_tells_what_is_in_the_data_and_draws_what_training_sees(data):
  result = _inspect(data, "--examples=3")
  assert result.returncode == 0, result.stderr
  rows = _rows(result.stdout)
  assert ["train", "6", "24", "x", "40", "25.00", "%", "0", "0"] in rows
  assert ["validation", "2", "24", "x", "40", "25.00", "%", "0", "0"] in rows
  assert ["road", "66.667", "%", "66.667", "%"] in rows
  assert ["sidewalk", "33.333", "%", "33.333", "%"] in rows
  assert ["car", "-", "-"] in rows
  assert "train: never seen: building, wall" in result.stdout

  sheet = cv2.imread(str(data / "out" / "sheet.png"), cv2.IMREAD_COLOR_RGB)
  spec = importlib.util.spec_from_file_location("config", data / "config.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  source = datasets.open_dataset(config.input.data, CITYSCAPES_19).split("train")
  op = op_spec.parse(config.input.pp, CITYSCAPES_19)
  batch = next(pipeline.train_batches(source, op, batch_size=8, seed=config.seed))
  for row, image in enumerate(batch["image"].reshape(8, 16, 32, 3)[:3]):
    np.testing.assert_array_equal(sheet[row * 40 : row * 40 + 16, :32], image)


def test_unusable_examples_are_told_in_one_line(data):
  (data / "images" / "3.png").write_bytes(b"no picture")
  result = _inspect(data)
  assert result.returncode == 1
  assert result.stderr.splitlines()[-1].startswith("error: ")
  assert (result.stdout + result.stderr).count("3.png") == 1
  assert "label_space" not in result.stderr and "on_bad_example=skip" in result.stderr
  assert ["0", "1"] in [row[-2:] for row in _rows(result.stdout)]  # unknown values, unreadable


def test_unknown_values_are_told_once_and_as_such(data):
  label = np.full((24, 40), 7, np.uint8)
  label[3, 5] = 77
  cv2.imwrite(str(data / "labels" / "3.png"), label)
  result = _inspect(data)
  assert result.returncode == 1
  assert result.stdout.count("3.png: value 77 at x=5, y=3 is not in label space") == 1
  assert "77" not in result.stderr
  assert "set config.label_space to the label space of the data" in result.stderr
  assert ["1", "0"] in [row[-2:] for row in _rows(result.stdout)]  # unknown values, unreadable


def test_an_output_that_cannot_be_written_is_one_line(data):
  (data / "out").write_text("a file")
  result = _inspect(data)
  assert result.returncode == 1
  assert f"error: cannot write {data / 'out' / 'sheet.png'}" in result.stderr
  assert "Traceback" not in result.stderr
