import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from flax_unet.data import label_spaces
from flax_unet.errors import UserError
from flax_unet.evaluation import scoring
from flax_unet.evaluation.metrics import audit, counting

ROOT = pathlib.Path(__file__).parents[2]
SPACE = label_spaces.CITYSCAPES_19


def _write(folder, name, ids):
  cv2.imwrite(str(folder / name), ids)
  return folder / name


@pytest.fixture(name="maps")
def _maps():
  """Label ids, predicted label ids and instance ids, of two images."""
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 34, (2, 3, 5)).repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
  predictions = np.where(rng.random(labels.shape) < 0.7, labels, labels[::-1]).astype(np.uint8)
  instances = np.where(labels >= 24, labels * np.uint16(1000) + 1, labels).astype(np.uint16)
  return labels, predictions, instances


def _pairs(folder, labels, predictions, instances=None):
  return [
    scoring.Pair(
      _write(folder, f"{index}_label.png", label),
      _write(folder, f"{index}_prediction.png", predictions[index]),
      None if instances is None else _write(folder, f"{index}_instance.png", instances[index]),
    )
    for index, label in enumerate(labels)
  ]


def test_counts_are_those_of_the_maps(tmp_path, maps):
  counts = scoring.count_pairs(_pairs(tmp_path, *maps), SPACE, workers=1)
  indices = [[SPACE.to_index(ids) for ids in kind] for kind in maps[:2]]
  expected = [counting.count(*pair, 19) for pair in zip(*indices, strict=True)]
  np.testing.assert_array_equal(counts.confusions, expected)
  extra = audit.sum_counts(audit.extra_counts(*pair, 19) for pair in zip(*indices, strict=True))
  assert set(counts.extra) == set(extra)
  for name, values in extra.items():
    np.testing.assert_array_equal(counts.extra[name], values)


def test_scores_have_instance_scores_where_there_are_maps(tmp_path, maps):
  labels, predictions, _ = maps
  scores = scoring.count_pairs(_pairs(tmp_path, *maps), SPACE, workers=1).scores(SPACE)
  assert 0 < scores["iiou"] < 1
  assert set(scores["per_class"]["car"]) > {"iou", "iiou"}
  assert "iiou" not in scores["per_class"]["road"]
  assert "iiou" in scores["per_category"]["vehicle"]
  without = scoring.count_pairs(_pairs(tmp_path, labels, predictions), SPACE, workers=1)
  assert "iiou" not in without.scores(SPACE)


def test_instance_maps_without_single_instances_may_have_one_byte(tmp_path, maps):
  labels, predictions, _ = maps
  pairs = _pairs(tmp_path, labels, predictions, labels)
  assert not scoring.count_pairs(pairs, SPACE, workers=1).instance_counts.class_tp.any()


def test_class_indices_score_like_label_ids(tmp_path, maps):
  labels, predictions, instances = maps
  by_ids = scoring.count_pairs(_pairs(tmp_path, *maps), SPACE, workers=1)
  indices = SPACE.to_index(predictions)
  by_indices = scoring.count_pairs(
    _pairs(tmp_path, labels, indices, instances), SPACE, train_ids=True, workers=1
  )
  np.testing.assert_array_equal(by_ids.confusions, by_indices.confusions)
  assert by_ids.scores(SPACE)["iiou"] == by_indices.scores(SPACE)["iiou"]


@pytest.mark.parametrize(
  ("kind", "change", "train_ids", "complaint"),
  [
    ("prediction", lambda x: x[:, :8], False, "is 8 x 24 pixels, but its label .* is 40 x 24"),
    ("instance", lambda x: x[:8], False, "is 40 x 8 pixels, but its label .* is 40 x 24"),
    ("label", lambda x: x + 200, False, "value 2.., which is no label id of 'cityscapes_19'"),
    ("prediction", lambda x: x * 0 + 34, False, "the value 34, which is no label id"),
    ("prediction", lambda x: x * 0 + 19, True, "the value 19, which is no class index"),
    (
      "prediction",
      lambda x: x.astype(np.uint16) + 300,
      False,
      "value 3.. at x=., y=. is not in label space",
    ),
  ],
)
def test_bad_files_are_named(tmp_path, maps, kind, change, train_ids, complaint):
  pairs = _pairs(tmp_path, *maps)
  ids = dict(zip(("label", "prediction", "instance"), maps, strict=True))[kind][1]
  _write(tmp_path, f"1_{kind}.png", change(ids))
  with pytest.raises(UserError, match=f"1_{kind}.png: .*{complaint}"):
    if train_ids:
      _write(tmp_path, "0_prediction.png", SPACE.to_index(maps[1][0]))
    scoring.count_pairs(pairs, SPACE, train_ids=train_ids, workers=1)


_SIGNALS = """
import functools, os, signal
from flax_unet import errors
from flax_unet.evaluation import scoring
def main(arguments):
  list(scoring._map({function}, [signal.{signum}] * 3, workers=2))
errors.run(main)
"""


@pytest.mark.parametrize(
  ("function", "signum", "code", "message"),
  [
    ("signal.raise_signal", "SIGKILL", 1, "error: a process that reads masks died: "),
    ("functools.partial(os.killpg, 0)", "SIGTERM", 143, "Stopped by SIGTERM."),
    ("functools.partial(os.kill, os.getpid())", "SIGKILL", -9, ""),
  ],
  ids=["one", "all", "main"],
)
def test_if_processes_are_killed_all_end(function, signum, code, message):
  result = subprocess.run(  # ends when the last process has closed its output
    [sys.executable, "-c", _SIGNALS.format(function=function, signum=signum)],
    capture_output=True,
    text=True,
    check=False,
    timeout=120,
    start_new_session=True,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
  )
  assert result.returncode == code, result.stderr
  assert result.stderr.startswith(message) and result.stderr.count("\n") == bool(message)
