"""Runs that are extended, and runs that stop early."""

import json

import pytest

from flax_unet.errors import UserError
from flax_unet.run import experiment, extension, loop, parts
from flax_unet.training import checkpoint

SHORT = {
  "total_steps": 4,
  "schedule.decay_type": "constant",
  "schedule.warmup_steps": 2,
  "evals.val.log_steps": 100,
  "ckpt_steps": 100,
}


def _info(folder):
  return json.loads((folder / "run.json").read_text())


def test_a_finished_run_goes_on_as_if_it_had_been_longer(tiny_config, tmp_path):
  extended, whole = tmp_path / "extended", tmp_path / "whole"
  assert loop.train(tiny_config(**SHORT), extended) == 0
  assert loop.train(tiny_config(**SHORT | {"total_steps": 6}), extended) == 0
  assert loop.train(tiny_config(**SHORT | {"total_steps": 6}), whole) == 0
  info = _info(extended)
  assert info["params_digest"] == _info(whole)["params_digest"]
  assert info["changes"] == [{"step": 4, "key": "total_steps", "from": 4, "to": 6}]
  assert (info["total_steps"], info["steps"], info["finished"]) == (6, 6, True)
  with pytest.raises(UserError, match=r"total_steps = 5: .*extended has taken 6 steps already"):
    loop.train(tiny_config(**SHORT | {"total_steps": 5}), extended)
  with pytest.raises(UserError, match=r"all its steps with lr=0.\d+: to train.* --workdir=DIR \("):
    loop.train(tiny_config(**SHORT | {"total_steps": 6, "lr": 0.5}), extended)
  assert json.loads((extended / "config.json").read_text())["lr"] != 0.5


def test_a_rate_that_depends_on_the_length_cannot_go_on(tiny_config, tmp_path):
  for decay, allowed in (("cosine", False), ("constant", True), ("steps(at=(3,))", True)):
    config = tiny_config(**SHORT | {"total_steps": 6, "schedule.decay_type": decay})
    run = experiment.open_data(parts.build(config))
    changes = [{"key": "total_steps", "from": 4, "to": 6}]
    if allowed:
      extension.check(tmp_path, run, changes, step=4)
    else:
      with pytest.raises(UserError, match=r"depends on that length .* --config.init_from="):
        extension.check(tmp_path, run, changes, step=4)


def test_a_run_stops_early_where_nothing_improves(tiny_config, tmp_path):
  # Without normalisation and with tiny steps, all evaluations have the same scores.
  still = {"lr": 1e-30, "wd": 0.0, "model.norm": "none", "schedule.warmup_steps": 0}
  evals = {"evals.val.log_steps": 2, "best": "val/loss", "early_stopping": 2, "ckpt_steps": 100}
  config = tiny_config(**still, **evals)
  assert loop.train(config, tmp_path) == 0
  info = _info(tmp_path)
  assert (info["steps"], info["total_steps"], info["finished"]) == (6, 30, True)
  report = json.loads((tmp_path / "report/metrics.json").read_text())
  assert report["step"] == 6
  assert len(report["evals"]["val"]["audit"]) > 15  # as in a final evaluation
  checkpoints = checkpoint.Checkpoints(tmp_path, read_only=True)
  assert (checkpoints.newest, checkpoints.scores.best) == (6, 2)
  checkpoints.close()
  files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
  assert loop.train(config, tmp_path) == 0  # it stays finished
  assert files == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
  # More patience: it continues with the same count.
  config.early_stopping = 3
  assert loop.train(config, tmp_path) == 0
  assert _info(tmp_path)["steps"] == 8


def test_the_best_may_be_the_lowest(tiny_config, tmp_path):
  config = tiny_config(**SHORT | {"evals.val.log_steps": 1, "best": "val/loss", "lr": 1e-3})
  assert loop.train(config, tmp_path) == 0
  checkpoints = checkpoint.Checkpoints(tmp_path, read_only=True)
  losses = {
    step: json.loads((tmp_path / f"checkpoints/{step}/scores.json").read_text())["score"]
    for step in (checkpoints.newest, checkpoints.scores.best)
  }
  assert checkpoints.scores.best == min(losses, key=losses.get)
  checkpoints.close()


@pytest.mark.parametrize(
  ("best", "message"),
  [
    ("vol/mean_iou", "give EVALUATION/SCORE, such as val/mean_iou; the evaluations are val"),
    (
      "val/mean_ou",
      "'segmentation' has no score 'mean_ou'; set --config.best=val/SCORE, with one of mean_iou",
    ),
    ("mean_iou", "config.best = 'mean_iou': give EVALUATION/SCORE"),
  ],
)
def test_a_best_score_that_is_not_there_is_refused(tiny_config, tmp_path, best, message):
  with pytest.raises(UserError, match=message):
    loop.train(tiny_config(best=best), tmp_path)
  assert list(tmp_path.iterdir()) == []
