import json
import re
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
    per_class = {name: {"iou": right / 100} for name in ("road", "wall, <high>")}
    scores = {"mean_iou": right / 100, "per_class": per_class}
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
  road = ["road", "0.6500", "±", "0.0707", "0.8000", "2", "+0.1500", "+0.1832", "to", "+0.1832"]
  assert road in lines
  # The images are alike, so resampling changes nothing: 80/120 - (60/140 + 70/130) / 2.
  assert ["#2", "-", "#1", "+0.1500", "+0.1832", "to", "+0.1832", "-"] in lines
  assert "with one run on a side, other seeds may" in result.stdout
  compared = json.loads((runs / "compared.json").read_text())
  assert compared["scores"]["mean_iou"][1]["difference"] == pytest.approx(0.15)
  (bounds,) = compared["class_difference_intervals"]["road"]
  assert bounds == pytest.approx([80 / 120 - (60 / 140 + 70 / 130) / 2] * 2)
  assert compared["class_pictures"] == {"road": 2, "wall, <high>": 2}


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


def test_a_study_stands_for_its_runs(runs):
  (runs / "study.json").write_text(json.dumps({"runs": [["a"], ["b"]]}))
  (runs / "index.html").write_text("its page")
  assert _compare(runs, ".", "c").stdout == _compare(runs, "a", "b", "c").stdout
  result = _compare(runs, ".", "b")
  assert (result.returncode, result.stdout) == (1, "")
  assert result.stderr == f"error: {runs / 'b'}: is given twice; name each run once\n"


def test_mistakes_are_one_line(runs):
  result = _compare(runs, "a", "nowhere")
  assert result.returncode == 1
  assert result.stderr.startswith(f"error: {runs / 'nowhere/report/metrics.json'}: does not exist")
  assert len(result.stderr.splitlines()) == 1
  assert "name the run folder of at least one" in _compare(runs).stderr


def test_the_page_has_the_runs_and_their_numbers(runs):
  (runs / "a/report/index.html").write_text("a report")
  folder = runs / "new/folder with space/"
  result = _compare(runs, "a", "b", "c", flags=[f"--page={folder}"])
  assert (result.returncode, result.stderr) == (0, "")
  assert result.stdout.splitlines()[-1] == f"Look at {folder / 'index.html'}"
  page = (folder / "index.html").read_text(encoding="utf-8")
  assert re.findall(r'href="([^"]+)"', page) == ["data:,", "../../a/report/index.html"]
  for text in ("optax.lr", "0.6500 ± 0.0707", "+0.1832 to +0.1832", "wall, &lt;high&gt;"):
    assert text in page
  assert "These run folders have no event files" in page and "<polyline" not in page
  assert "://" not in page and "<script" not in page
  again = _compare(runs, "a", "c", flags=[f"--page={folder}"])  # replaces its own page
  assert again.returncode == 0, again.stderr


def test_pages_that_cannot_be_written_are_one_line(runs):
  (runs / "file").write_text("x")
  (runs / "a/report/index.html").write_text("the report of a run")
  for page, reason in (
    ("file", "--page={}/file: cannot be written (File exists)"),
    ("file/below", "--page={}/file/below: cannot be written (Not a directory)"),
    ("a", "--page={}/a: is the folder of a run; choose another"),
    ("a/report", "{}/a/report/index.html: is not the page of a comparison; choose another --page"),
  ):
    result = _compare(runs, "a", "c", flags=[f"--page={runs / page}"])
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == f"error: {reason.format(runs)}\n"
  assert (runs / "a/report/index.html").read_text() == "the report of a run"
