"""Studies: several seeds, or the folds of a cross-validation."""

import itertools
import json
import re
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report import finished_runs


def _draw(folder, number):
  rng = np.random.default_rng(0)
  for name in ("images", "masks"):
    (folder / name).mkdir()
  for index in range(number):
    mask = np.zeros((32, 32), np.uint8)
    x, y = rng.integers(4, 28, 2).tolist()
    cv2.circle(mask, (x, y), 6, 1, -1)
    image = np.repeat(np.where(mask, 220, 60).astype(np.uint8)[..., None], 3, axis=2)
    cv2.imwrite(str(folder / f"images/{index}.png"), image)
    cv2.imwrite(str(folder / f"masks/{index}.png"), mask)


def _start(folder, *flags):
  settings = {
    "total_steps": 4,
    "input.pp": "'label_map|random_crop(16, 16)'",
    "input.batch_size": 4,
    "input.workers": 0,
    "model.depth": 1,
    "model.norm": "none",
    "evals.val.pp": "'label_map|pad_to_multiple(32)'",
    "evals.val.batch_size": 4,
    "evals.val.num_pictures": 1,
  }
  data = f"images={folder}/images,labels={folder}/masks,num_classes=2,model=unet,width=2"
  command = [sys.executable, "-m", "flax_unet.tools.repeat", f"--config=configs/folder.py:{data}"]
  command += [f"--config.{key}={value}".replace("'", "") for key, value in settings.items()]
  return subprocess.Popen(
    [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )


def _repeat(folder, *flags):
  process = _start(folder, *flags)
  stdout, stderr = process.communicate()
  return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def test_folds_score_every_image_once_and_seeds_pair_with_another_study(tmp_path):
  _draw(tmp_path, 7)
  study = tmp_path / "study"
  result = _repeat(tmp_path, "--folds=2", f"--workdir={study}")
  assert result.returncode == 0, result.stderr
  runs = [study / f"seed_0_fold_{fold}" for fold in (1, 2)]
  ids, confusions = [], 0
  for run in runs:
    with np.load(run / "report/confusions.npz") as arrays:
      ids += arrays["val/ids"].tolist()
      confusions = confusions + arrays["val/confusions"].sum(0)
  assert sorted(ids) == [str(index) for index in range(7)]
  content = json.loads((study / "study.json").read_text())
  expected = float(segmentation.mean_iou(confusions))
  assert content["scores"]["mean_iou"][0]["mean"] == pytest.approx(expected)
  assert f"{expected:.4f}" in result.stdout
  assert content["pictures"] == 7

  # For `compare`, the study is one run, which has scored all images.
  (folders,) = finished_runs.of_folders([study])
  assert folders == runs
  pooled = finished_runs.load_pooled(folders, "val")
  assert pooled.scores["mean_iou"] == pytest.approx(expected)

  # The page links the pages of the runs, with the score of each fold.
  page = (study / "index.html").read_text()
  assert "python -m flax_unet.tools.repeat --config=" in page
  links = re.findall(r'href="(seed[^"]+)"', page)
  assert links == [f"{run.name}/report/index.html" for run in runs]
  assert all((study / link).exists() for link in links)
  for run in runs:
    scores = json.loads((run / "report/metrics.json").read_text())["evals"]["val"]
    assert f'<td class="n strong"><data value="{scores["mean_iou"]}">' in page

  # Finished runs are not repeated; another study is compared image by image.
  again = _repeat(tmp_path, "--folds", "2", "--seeds=1", "--workdir", study, f"--against={study}")
  assert again.returncode == 0, again.stderr
  assert again.stderr.count("is finished") == 2
  assert "95 % over images" in again.stdout
  assert "+0.0000" in again.stdout


def test_failures_are_one_line(tmp_path):
  _draw(tmp_path, 3)
  (tmp_path / "other").mkdir()
  result = _repeat(tmp_path, f"--workdir={tmp_path}/study", f"--against={tmp_path}/other")
  assert result.returncode == 1
  assert result.stderr.splitlines()[-1].endswith("holds no finished study, study.json is missing")
  result = _repeat(tmp_path, "--folds=5", f"--workdir={tmp_path}/study")
  assert result.returncode == 1
  assert "of 5 folds of 3 images some are empty; use 3 at most" in result.stderr


def test_a_signal_to_it_alone_stops_its_run_and_the_same_command_goes_on(tmp_path):
  _draw(tmp_path, 7)
  study = tmp_path / "study"
  process = _start(tmp_path, "--seeds=1", f"--workdir={study}", "--config.total_steps=1000000")
  before = list(
    itertools.takewhile(lambda line: "Compiling the train step" not in line, process.stderr)
  )
  assert process.poll() is None, before
  process.send_signal(signal.SIGTERM)
  _, stderr = process.communicate(timeout=200)
  assert process.returncode == 128 + signal.SIGTERM, stderr
  assert "To resume: python" in stderr.splitlines()[-1]
  assert "Stopped at step" in stderr
  assert stderr.count("To resume:") == 1  # the study's command, and not that of its run
  assert not (study / "study.json").exists()


_SIGNALLED_WHILE_STARTING = """
import pathlib, signal, subprocess, sys
from flax_unet.tools import repeat
class Starting(subprocess.Popen):
  def __init__(self, command, **options):
    super().__init__([sys.executable, "-c", "import time; time.sleep(200)"], **options)
    signal.raise_signal(signal.SIGTERM)
subprocess.Popen = Starting
sys.exit(repeat._train(pathlib.Path(), {}))
"""


def test_a_signal_that_comes_while_a_run_starts_reaches_it_too():
  result = subprocess.run(  # returns when the run has closed its output too
    [sys.executable, "-c", _SIGNALLED_WHILE_STARTING],
    capture_output=True,
    text=True,
    check=False,
    timeout=100,
  )
  assert result.returncode == 128 + signal.SIGTERM, result.stderr
