import json
import subprocess
import sys

import numpy as np
import pytest

from flax_unet.evaluation.metrics import segmentation


@pytest.fixture(name="runs")
def _runs(tmp_path):
  """Three finished runs on two images of two classes: two seeds, and another learning rate."""
  for name, seed, lr, right in (("a", 0, 0.1, 60), ("b", 1, 0.1, 70), ("c", 0, 0.3, 80)):
    report = tmp_path / name / "report"
    report.mkdir(parents=True)
    (tmp_path / name / "config.json").write_text(json.dumps({"seed": seed, "optax": {"lr": lr}}))
    (tmp_path / name / "run.json").write_text(json.dumps({"git_commit": "abc"}))
    scores = {"mean_iou": right / 100, "per_class": {"road": {"iou": right / 100}}}
    scores["definitions"] = {
      score.name: score._asdict()
      for score in (segmentation.SCORES[0], segmentation.CLASS_SCORES[0])
    }
    (report / "metrics.json").write_text(json.dumps({"step": 9, "evals": {"val": scores}}))
    confusions = np.array([[[right, 100 - right], [100 - right, right]]] * 2)
    np.savez(report / "confusions.npz", **{"val/ids": ["x", "y"], "val/confusions": confusions})
  return tmp_path


def _compare(folder, *names, flags=()):
  runs = [str(folder / name) for name in names]
  command = [sys.executable, "-m", "flax_unet.tools.compare", *runs, *flags]
  return subprocess.run(command, capture_output=True, text=True, check=False)


def test_tables_show_settings_scores_and_differences(runs):
  result = _compare(runs, "a", "b", "c", flags=[f"--json={runs / 'compared.json'}"])
  assert result.stderr == ""
  lines = [line.split() for line in result.stdout.splitlines()]
  assert ["#1", f"{runs / 'a'},", f"{runs / 'b'}", "0,", "1"] in lines
  assert ["optax.lr", "0.1", "0.3"] in lines
  assert ["mean", "IoU", "0.6500", "±", "0.0707", "0.8000", "+0.1500"] in lines
  assert "IoU by class" in result.stdout
  assert ["road", "0.6500", "±", "0.0707", "0.8000", "+0.1500"] in lines
  # The images are alike, so resampling changes nothing: 80/120 - (60/140 + 70/130) / 2.
  assert ["#2", "-", "#1", "+0.1500", "+0.1832", "to", "+0.1832"] in lines
  compared = json.loads((runs / "compared.json").read_text())
  assert compared["scores"]["mean_iou"][1]["difference"] == pytest.approx(0.15)


def test_markdown(runs):
  lines = _compare(runs, "a", "c", flags=["--markdown"]).stdout.splitlines()
  assert "### Settings that differ" in lines
  assert "| setting | #1 | #2 |" in lines
  assert "| optax.lr | 0.1 | 0.3 |" in lines


def test_seeds_alone_have_a_mean_and_no_difference(runs):
  output = _compare(runs, "a", "b").stdout
  assert "0.6500 ± 0.0707" in output
  assert "Settings that differ" not in output
  assert "Difference" not in output


def test_mistakes_are_one_line(runs):
  result = _compare(runs, "a", "nowhere")
  assert result.returncode == 1
  assert result.stderr.startswith(f"error: {runs / 'nowhere/report/metrics.json'}: does not exist")
  assert len(result.stderr.splitlines()) == 1
  assert "name the run folder of at least one" in _compare(runs).stderr
