"""The training loop, in this process; real kills and signals are in `tests/faults`."""

import json
import pathlib
import shutil
import signal

import numpy as np
import pytest

from flax_unet.data import pipeline, tfds_source
from flax_unet.errors import UserError
from flax_unet.run import events, experiment, loop, parts, reporting, stopping
from flax_unet.training import checkpoint


@pytest.fixture(scope="module")
def uninterrupted(tiny_config, tmp_path_factory) -> pathlib.Path:
  """The run folder of thirty steps."""
  folder = tmp_path_factory.mktemp("uninterrupted") / "run"
  assert loop.train(tiny_config(), folder) == 0
  return folder


@pytest.fixture
def copy_of_run(uninterrupted, tmp_path) -> pathlib.Path:
  return pathlib.Path(shutil.copytree(uninterrupted, tmp_path / "run"))


def _json(path):
  return json.loads(path.read_text())


def _curves(folder):
  """The curves that the configuration determines: all except the speeds."""
  speed = ("train/steps_per_second", "train/images_per_second", "train/waiting_for_data")
  return {tag: curve for tag, curve in events.scalars(folder).items() if tag not in speed}


def _checkpoints(folder):
  checkpoints = checkpoint.Checkpoints(folder, read_only=True)
  newest, best = checkpoints.newest, checkpoints.scores.best
  checkpoints.close()
  return newest, best


def _assert_same_result(folder, expected):
  digests = [_json(path / "run.json")["params_digest"] for path in (folder, expected)]
  assert digests[0] == digests[1]
  assert _curves(folder) == _curves(expected)
  scores = [_json(path / "report" / "metrics.json") for path in (folder, expected)]
  assert scores[0] == scores[1]


def test_a_run_leaves_what_it_promises(uninterrupted):
  assert _json(uninterrupted / "config.json")["total_steps"] == 30
  info = _json(uninterrupted / "run.json")
  assert info["steps"] == 30
  assert info["data"]["splits"]["train"]["examples"] == 16
  assert info["parameters"] > 1000
  assert info["flops_per_step"] > 1e6
  curves = _curves(uninterrupted)
  assert curves["train/loss"][0] == [5, 10, 15, 20, 25, 30]
  assert curves["val/mean_iou"][0] == [15, 30]
  assert np.mean(curves["train/loss"][1][-2:]) < curves["train/loss"][1][0]

  report = _json(uninterrupted / "report" / "metrics.json")
  assert report["step"] == 30
  assert report["evals"]["val"]["mean_iou"] == pytest.approx(curves["val/mean_iou"][1][-1])
  with np.load(uninterrupted / "report" / "confusions.npz") as arrays:
    assert arrays["val/confusions"].shape == (7, 19, 19)


def test_the_best_checkpoint_is_that_of_the_best_evaluation(uninterrupted):
  steps, scores = _curves(uninterrupted)["val/mean_iou"]
  assert _checkpoints(uninterrupted) == (30, steps[int(np.argmax(scores))])


def test_thirty_steps_equal_seventeen_and_thirteen(
  uninterrupted, tiny_config, tmp_path, monkeypatch
):
  folder = tmp_path / "run"
  reached = stopping.StopSignal.reached

  def signal_at_17(self, step):
    if step == 17:
      signal.raise_signal(signal.SIGTERM)
    return reached(self, step)

  with monkeypatch.context() as patch:
    patch.setattr(stopping.StopSignal, "reached", signal_at_17)
    assert loop.train(tiny_config(), folder) == 128 + signal.SIGTERM
  assert _checkpoints(folder)[0] == 17
  info = _json(folder / "run.json")
  assert info["starts"][0]["ended"] == "stopped at step 17 by SIGTERM"
  assert (info["finished"], info["data"]["splits"]["train"]["examples"]) == (False, 16)

  starts = []

  def train_batches(*args, start, **kwargs):
    starts.append(start)
    return original(*args, start=start, **kwargs)

  original = pipeline.train_batches
  monkeypatch.setattr(pipeline, "train_batches", train_batches)
  assert loop.train(tiny_config(), folder) == 0
  assert starts == [17]
  _assert_same_result(folder, uninterrupted)


@pytest.mark.parametrize("workers", [1, 3])
def test_worker_processes_change_nothing(uninterrupted, tiny_config, tmp_path, workers):
  assert loop.train(tiny_config(**{"input.workers": workers}), tmp_path / "run") == 0
  _assert_same_result(tmp_path / "run", uninterrupted)


def _content(folder):
  """All files below a folder, with their modification times."""
  files = (path for path in sorted(folder.rglob("*")) if path.is_file())
  return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_the_command_of_a_finished_run_changes_nothing(copy_of_run, tiny_config):
  before = _content(copy_of_run)
  assert loop.train(tiny_config(), copy_of_run) == 0
  assert _content(copy_of_run) == before


def test_a_finished_run_without_a_report_is_only_evaluated_again(
  copy_of_run, uninterrupted, tiny_config, monkeypatch
):
  shutil.rmtree(copy_of_run / "report")
  monkeypatch.setattr(pipeline, "train_batches", lambda *args: pytest.fail("trained on"))
  assert loop.train(tiny_config(), copy_of_run) == 0
  _assert_same_result(copy_of_run, uninterrupted)


def test_hyper_parameters_and_profiles_are_there_for_tensorboard(tiny_config, tmp_path):
  config = tiny_config(total_steps=9, profile_steps=2)
  assert loop.train(config, tmp_path) == 0
  assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))
  (path,) = tmp_path.glob("events.out.tfevents.*")
  assert b"input.batch_size" in path.read_bytes()  # of the hparams plugin


def test_epochs_are_turned_into_steps(tiny_config, tmp_path):
  # 3 epochs of 16 images in batches of 8 are 6 steps; of 12 images, 4.5 steps.
  changes = {"total_steps": None, "input.batch_size": 8, "schedule.warmup_steps": 0}
  config = tiny_config(total_epochs=3, **changes)
  assert experiment.open_data(parts.build(config)).total_steps == 6
  config.input.data.split = "train[:12]"
  assert experiment.open_data(parts.build(config)).total_steps == 5


@pytest.mark.parametrize("which", ["newest", "best"])
def test_a_checkpoint_is_evaluated(copy_of_run, tiny_config, which):
  newest, best = _checkpoints(copy_of_run)
  before = _content(copy_of_run)
  reporting.evaluate(tiny_config(), copy_of_run, which)
  after = _content(copy_of_run)
  assert before.items() <= after.items()  # including the report of training
  (folder,) = (copy_of_run / "evaluations").iterdir()
  assert {folder} == {path.parent for path in after.keys() - before}
  report = _json(folder / "metrics.json")
  assert report["settings"]["evals"]["val"]["pp"] == "label_map"
  steps, scores = _curves(copy_of_run)["val/mean_iou"]
  assert report["step"] == {"newest": newest, "best": best}[which]
  expected = scores[steps.index(report["step"])]
  assert report["evals"]["val"]["mean_iou"] == pytest.approx(expected)


def test_the_average_of_the_parameters_is_what_is_scored(uninterrupted, tiny_config):
  run = experiment.open_data(parts.build(tiny_config()))
  checkpoints = checkpoint.Checkpoints(uninterrupted, read_only=True)
  state, place = checkpoints.restore(30, run.init_state())
  checkpoints.close()
  assert place["examples_seen"] == 30 * 4
  averaged, last = (
    run.evaluations["val"]({"params": params, "batch_stats": batch_stats})
    for params, batch_stats in (
      (state.ema_params, state.ema_batch_stats),
      (state.params, state.batch_stats),
    )
  )
  with np.load(uninterrupted / "report" / "confusions.npz") as arrays:
    np.testing.assert_array_equal(arrays["val/confusions"], averaged.confusions)
    assert (arrays["val/confusions"] != last.confusions).any()


def test_without_a_checkpoint_there_is_nothing_to_evaluate(tiny_config, tmp_path):
  with pytest.raises(UserError, match="run holds no run: train first"):
    reporting.evaluate(tiny_config(), tmp_path / "run", "newest")


def test_a_folder_with_another_run_is_left_alone(copy_of_run, tiny_config):
  before = {path: path.stat().st_mtime_ns for path in copy_of_run.rglob("*")}
  with pytest.raises(UserError, match=r"another configuration \(seed: 0 there, 1 now\)"):
    loop.train(tiny_config(seed=1), copy_of_run)
  assert {path: path.stat().st_mtime_ns for path in copy_of_run.rglob("*")} == before


def test_a_run_may_begin_to_keep_decoded_pictures(tiny_config, uninterrupted, tmp_path):
  folder, cached = tmp_path / "run", {"input.cache": "disk", "input.cache_dir": str(tmp_path)}
  shutil.copytree(uninterrupted, folder)
  newest = _checkpoints(folder)[0]
  shutil.rmtree(folder / "checkpoints" / str(newest))
  loop.train(tiny_config(**cached), folder)
  _assert_same_result(folder, uninterrupted)
  assert len(list(tmp_path.glob("*/*.npy"))) == 16


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_examples_are_named(tiny_config, tmp_path, monkeypatch, workers):
  config = tiny_config(
    **{"label_space": "oxford_iiit_pet", "class_weights": None, "input.workers": workers}
  )
  with pytest.raises(UserError, match=r"example 'train_\d+': label value .* is not in label space"):
    loop.train(config, tmp_path / "run")


@pytest.mark.parametrize("step", [15, 30])
def test_an_evaluation_that_fails_loses_nothing_and_is_made_up_for(
  uninterrupted, tiny_config, tmp_path, monkeypatch, step
):
  evaluate_all, folder = reporting.evaluate_all, tmp_path / "run"

  def fail(run, names, variables, *, final):
    assert _checkpoints(folder)[0] == step  # on disk before the evaluation starts
    raise UserError("no batch came")

  with monkeypatch.context() as patch:
    patch.setattr(
      reporting, "evaluate_all", fail if step == 15 else _first_then(evaluate_all, fail)
    )
    with pytest.raises(UserError, match="no batch came"):
      loop.train(tiny_config(), folder)
  assert loop.train(tiny_config(), folder) == 0
  _assert_same_result(folder, uninterrupted)
  assert _checkpoints(folder) == _checkpoints(uninterrupted)


def _first_then(first, then):
  functions = iter([first])
  return lambda *args, **kwargs: next(functions, then)(*args, **kwargs)


def test_advice_can_be_followed_in_the_same_folder(tiny_config, tmp_path, monkeypatch):
  folder = tmp_path / "run"
  with pytest.raises(UserError, match=r"step \d+: loss nan.*Lower config.lr"):
    loop.train(tiny_config(lr=1e30, grad_clip_norm=None), folder)

  def fail(*args, **kwargs):
    raise UserError("no batch came")

  with monkeypatch.context() as patch:
    patch.setattr(reporting, "evaluate_all", fail)
    with pytest.raises(UserError, match="no batch came"):
      loop.train(tiny_config(lr=1e-3, grad_clip_norm=None), folder)
  advised = {
    "lr": 1e-4,
    "grad_clip_norm": 1.0,
    "skip_nonfinite": 2,
    "evals.val.inference.flip": True,
  }
  assert loop.train(tiny_config(**advised, log_training_steps=3), folder) == 0
  info = _json(folder / "run.json")
  changes = [(change["step"], change["key"], change["to"]) for change in info["changes"]]
  assert changes == [(0, "lr", 1e-3), *((15, key, advised[key]) for key in sorted(advised))]
  assert [start["step"] for start in info["starts"]] == [0, 0, 15]
  assert info["starts"][0]["ended"].startswith("step ")
  assert info["finished"]


def test_the_best_is_told_among_scores_of_one_evaluation(copy_of_run, tiny_config):
  """Another split gives other scores: earlier ones are not compared with later ones."""
  shutil.rmtree(copy_of_run / "checkpoints/30")
  score = {"evaluations": {"val": "earlier"}, "best_by": "earlier", "score": 1.0}
  score["higher_is_better"] = True
  (copy_of_run / "checkpoints/17/scores.json").write_text(json.dumps(score))
  assert _checkpoints(copy_of_run)[1] == 17
  assert loop.train(tiny_config(**{"evals.val.split": "test"}), copy_of_run) == 0
  assert _checkpoints(copy_of_run) == (30, 30)


@pytest.mark.parametrize("skipped", ["first", "all"])
def test_a_report_is_written_whatever_was_skipped(tiny_config, tmp_path, monkeypatch, skipped):
  real = tfds_source.TfdsSource.__getitem__

  def damaged(self, index):
    if "validation" in self.name and (index == 0 or skipped == "all"):
      raise UserError(f"example {index} is damaged")
    return real(self, index)

  monkeypatch.setattr(tfds_source.TfdsSource, "__getitem__", damaged)
  config = tiny_config(total_steps=2, **{"input.on_bad_example": "skip"})
  config.schedule.warmup_steps = 0
  assert loop.train(config, tmp_path) == 0
  scores = _json(tmp_path / "report/metrics.json")["evals"]["val"]
  assert scores["pictures"] == {"first": 6, "all": 0}[skipped]
  assert scores["skipped"][0] == "example 0 is damaged"
  assert (scores["mean_iou"] is None) == (skipped == "all")
  assert (tmp_path / "report/index.html").exists()
  assert (tmp_path / "report/qualitative.png").exists() == (skipped == "first")


def test_a_report_without_pictures(tiny_config, tmp_path):
  config = tiny_config(total_steps=2, **{"evals.val.num_pictures": 0, "schedule.warmup_steps": 0})
  assert loop.train(config, tmp_path) == 0
  assert (tmp_path / "report/index.html").exists()


def test_a_run_keeps_its_data(copy_of_run, tiny_config):
  info = _json(copy_of_run / "run.json")
  info["data"]["splits"]["train"]["examples"] = 15
  (copy_of_run / "run.json").write_text(json.dumps(info))
  with pytest.raises(UserError, match=r"data of .* have changed .*train.examples: 15 then, 16 now"):
    loop.train(tiny_config(), copy_of_run)
