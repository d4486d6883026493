"""Plans of runs on real, small folders of images."""

import dataclasses
import json

import cv2
import jax
import numpy as np
import pytest

from configs import folder
from flax_unet import errors
from flax_unet.planning import facts, rules
from flax_unet.planning.situation import Machine, Situation
from flax_unet.run import cost, loop, parts, planner, workdir

GIVEN = {"model.depth": 1, "input.workers": 0, "evals.val.num_pictures": 1}


@pytest.fixture(name="images", scope="module")
def _images(tmp_path_factory):
  """Twenty images of 40 x 48 pixels with a disc, four of them for validation."""
  root = tmp_path_factory.mktemp("discs")
  rng = np.random.default_rng(0)
  for index in range(20):
    mask = np.zeros((40, 48), np.uint8)
    cv2.circle(mask, rng.integers(10, 30, 2).tolist(), 9, 1, -1)
    image = np.where(mask[..., None], 200, 80) + rng.normal(0, 10, (40, 48, 3))
    split = "val" if index < 4 else "train"
    for name, pixels in (("images", image), ("labels", mask)):
      (root / name / split).mkdir(parents=True, exist_ok=True)
      cv2.imwrite(
        str(root / name / split / f"{index}.png"), np.clip(pixels, 0, 255).astype(np.uint8)
      )
  return root


@pytest.fixture(name="config")
def _config(images, tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  arguments = f"images={images}/images,labels={images}/labels,num_classes=2,width=2,model=unet"
  config = folder.get_config(f"{arguments},train_dir=train,val_dir=val")
  return _given(config, **GIVEN)


def _given(config, **settings):
  """A configuration with settings given by hand, as on the command line."""
  left = [name for name in config.plan.rules if not set(rules.keys([name], config)) & set(settings)]
  return workdir.replaced(config, {**settings, "plan.rules": tuple(left)})


def test_chooses_what_is_open_and_keeps_what_is_given(config):
  planned, rows = planner.settle(config)
  assert [row["setting"] for row in rows] == list(rules.RULES)
  given = [row["setting"] for row in rows if row["choice"] == "as given"]
  assert given == ["depth", "width", "workers"]
  assert planned.plan.rules == ()
  # 0.8 of 40 x 48 pixels is 32 x 38; 16 images are too few for batches of more than 4.
  assert planned.input.pp == (
    "label_map|random_scale(0.667, 1.333)|random_crop(32, 38)|flip_lr|photometric"
  )
  assert planned.input.batch_size == max(4, jax.device_count())
  assert (planned.model.width, planned.model.depth, planned.input.workers) == (2, 1, 0)
  assert (planned.total_steps, planned.total_epochs, planned.ema_decay) == (1000, None, 0.991)
  assert planner.settle(planned) == (planned, [])
  assert parts.build(planned).model.width == 2


def test_batches_in_the_file_need_not_fit_the_devices(config):
  odd = {"input.batch_size": 7, "evals.val.batch_size": 2 * jax.device_count() + 1}
  planned, _ = planner.settle(workdir.replaced(config, odd))
  for batch_size in (planned.input.batch_size, planned.evals.val.batch_size):
    assert batch_size % jax.device_count() == 0


def test_hours_bound_the_length(config):
  planned, rows = planner.settle(workdir.replaced(config, {"plan.hours": 0.001}))
  (row,) = (row for row in rows if row["setting"] == "length")
  seconds = float(row["reason"].split(",")[1].split()[0])
  assert planned.total_steps == pytest.approx(0.85 * 3.6 / seconds, rel=0.01, abs=1)


def _bytes(config, size):
  return cost.StepPlan(parts.build(config), size, jax.local_devices()).cost(4).total


def test_a_step_is_made_smaller_until_it_fits(config):
  config = workdir.replaced(config, {"plan.rules": ("crop",), "input.batch_size": 4})
  limit = (_bytes(config, (32, 38)) + _bytes(config, (16, 18))) / 2
  planned, rows = planner.settle(workdir.replaced(config, {"plan.memory_gib": limit / 2**30}))
  assert "random_crop(16, 18)" in planned.input.pp
  assert [row for row in rows if row["choice"] != "as given"] == [
    {"setting": "crop", "choice": "16 x 18 pixels", "reason": "the largest that fits into memory"}
  ]
  with pytest.raises(
    errors.UserError, match=r"no memory for any plan: a step of 4 crops of 4 x 4 does not fit"
  ):
    planner.settle(workdir.replaced(config, {"plan.memory_gib": 1e-5}))


def test_the_batch_shrinks_first_then_crops_then_the_network(config):
  settings = {
    "plan.rules": ("batch", "crop", "width"),
    "input.pp": "label_map|random_crop(40, 64)",
    "input.batch_size": 8,
    "model.width": 16,
    "model.depth": 3,
  }
  machine = Machine(is_cpu=True, devices=2, cores=2, memory=1)
  config = workdir.replaced(config, settings)
  situation = Situation(config, facts.Facts(*np.ones((3, 1, 2))), ("a", "b"), machine)
  tried = []
  while found := planner._smaller(situation):
    config = workdir.replaced(config, found[1].settings)
    situation = dataclasses.replace(situation, config=config)
    tried.append((config.input.batch_size, situation.crop, config.model.width))
  assert tried == [(4, (40, 64), 16), (2, (40, 64), 16), (2, (16, 32), 16), (2, (8, 16), 16),
                   (2, (8, 16), 8)]  # fmt: skip
  # What is given stays.
  given = dataclasses.replace(situation, config=workdir.replaced(config, {"input.batch_size": 8}))
  given.config.plan.rules = ("crop", "width")
  assert planner._smaller(given) is None


def test_a_run_keeps_its_plan(config, tmp_path):
  run = tmp_path / "run"
  config = _given(config, total_steps=2, total_epochs=None)
  assert loop.train(config, run) == 0
  content = json.loads((run / "config.json").read_text())
  assert content["plan"]["rules"] == [] and content["ema_decay"] is None
  told = json.loads((run / "run.json").read_text())["plan"]
  (batch,) = (row["choice"] for row in told if row["setting"] == "batch")
  assert batch == f"{max(4, jax.device_count())} crops"
  # With other devices or rules, the plan would differ; the run goes on with its own.
  again = workdir.with_chosen(workdir.replaced(config, {"input.batch_size": 8}), run)
  assert workdir.to_json(again) == content
  assert loop.train(config, run) == 0  # it is finished
  with pytest.raises(errors.UserError, match=r"another configuration \(plan.hours: None there"):
    loop.train(workdir.replaced(config, {"plan.hours": 1.0}), run)


def test_small_crops_may_be_given_and_unseen_classes_are_told(config, caplog):
  settings = {"input.pp": "label_map|random_crop(12, 20)", "label_space": "3_classes"}
  rules_left = tuple(name for name in config.plan.rules if name not in ("resolution", "crop"))
  config = workdir.replaced(config, {**settings, "plan.rules": (*rules_left, "depth")})
  planned, _ = planner.settle(config)
  # 12 pixels leave 6 after one halving, and 3 after two; few crops hold the disc of each image.
  assert planned.model.depth == 1
  assert "balanced_crop(12, 20, share=0.33)" not in planned.input.pp
  assert "No training mask has a pixel of 2: nothing can be learned" in caplog.text


def test_mistakes_are_told_before_the_data_are_read(config):
  with pytest.raises(errors.UserError, match=r"rule in config.plan.rules 'bach'.*batch"):
    planner.settle(workdir.replaced(config, {"plan.rules": ("bach",)}))
  with pytest.raises(errors.UserError, match=r"config.plan.hours = 0.* above 0"):
    planner.settle(workdir.replaced(config, {"plan.hours": 0.0}))
  with pytest.raises(errors.UserError, match=r"hours = 1.0 and config.total_steps .* leave one"):
    planner.settle(_given(config, **{"plan.hours": 1.0, "total_steps": 5}))
  with pytest.raises(errors.UserError, match=r"config\.loss"):
    planner.settle(workdir.replaced(config, {"loss": "dise"}))
