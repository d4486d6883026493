import dataclasses
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from configs import camvid
from flax_unet import base_config
from flax_unet.data import class_pixels, datasets, label_spaces
from flax_unet.losses import class_weights
from flax_unet.planning import facts, rules
from flax_unet.planning.situation import Machine, Situation, Step
from flax_unet.run import workdir


@pytest.fixture(name="camvid_folder")
def _camvid_folder():
  folder = os.environ.get("CAMVID")
  if not folder:
    pytest.skip("CAMVID does not name the folder of the SegNet authors' version of CamVid")
  return pathlib.Path(folder)


def _open(config):
  label_space = label_spaces.get(config.label_space)
  return datasets.open_dataset(config.input.data, label_space), label_space


@pytest.mark.parametrize("has_test", [False, True])
def test_the_folders_decide(tmp_path, has_test):
  for split in ("train", "val", *["test"] * has_test):
    for folder, pixels in (
      (split, np.zeros((36, 48, 3), np.uint8)),
      (f"{split}annot", np.tile(np.arange(12, dtype=np.uint8), (36, 4))),
    ):
      (tmp_path / folder).mkdir()
      Image.fromarray(pixels).save(tmp_path / folder / f"{split}_0.png")
  (tmp_path / "train.txt").write_text("/SegNet/CamVid/train/other.png /SegNet/trainannot/other.png")
  config = camvid.get_config(f"data={tmp_path}")
  assert sorted(config.evals) == ["test", "val"][1 - has_test :]
  dataset, label_space = _open(config)
  for name, evaluation in config.evals.items():
    (example,) = dataset.split(evaluation.split)
    assert example["id"].endswith(f"{name}_0")
    indices = label_space.to_index(example["label"])
    np.testing.assert_array_equal(indices[0, :12], [*range(11), 255])


def test_the_authors_pictures(camvid_folder):
  dataset, label_space = _open(camvid.get_config(f"data={camvid_folder}"))
  train = dataset.split("train")
  assert (len(train), len(dataset.split("validation"))) == (367, 101)
  pixels = class_pixels.count(train, label_space)
  weights = class_weights.median_frequency(pixels)
  # As in the authors' segnet_train.prototxt, but for what they counted otherwise ("sign symbol").
  published = [
    0.2595,
    0.1826,
    4.5640,
    0.1417,
    0.9051,
    0.3826,
    9.6446,
    1.8418,
    0.6823,
    6.2478,
    7.3614,
  ]
  ratio = weights / published
  assert np.all(np.abs(np.delete(ratio, 6) - 1) < 0.25)


def test_the_plan_for_a_cpu_is_close_to_the_recipe(camvid_folder):
  config = camvid.get_config(f"data={camvid_folder}")
  dataset, label_space = _open(config)
  found = facts.read(dataset.split("train"), label_space)
  numbers = found[:, :13].astype(np.int64)
  machine = Machine(is_cpu=True, devices=2, cores=2, memory=2**33)
  base_config.set_network(config, "ma_unet")
  config.plan.rules = tuple(rules.RULES)
  step = Step(arguments=2**25, total=2**29)
  situation = Situation(
    config,
    facts.Facts(numbers[:, :2], numbers[:, 2:], found[:, 13:]),
    label_space.class_names,
    machine,
    step,
  )
  for rule in rules.RULES.values():
    settings = rule.choose(situation).settings
    situation = dataclasses.replace(situation, config=workdir.replaced(situation.config, settings))
  planned, recipe = situation.config, camvid.get_config(f"data={camvid_folder}")
  assert planned.input.pp == recipe.input.pp.replace("0.45, 0.9", "0.445, 0.889")
  assert (planned.input.batch_size, planned.input.workers) == (4, 1)
  assert planned.model.to_dict() == recipe.model.to_dict()
  assert planned.class_weights is None
  assert planned.total_steps == pytest.approx(recipe.total_steps, rel=0.02)
  assert planned.ema_decay == pytest.approx(recipe.ema_decay, abs=1e-4)
  assert planned.evals.val.inference.scales[0] == pytest.approx(240 / 360, abs=1e-3)
