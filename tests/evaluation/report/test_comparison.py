import dataclasses
import json

import numpy as np
import pytest

from flax_unet import base_config, nested
from flax_unet.data import label_spaces
from flax_unet.errors import UserError
from flax_unet.evaluation.metrics import bootstrap, segmentation
from flax_unet.evaluation.report import comparison, comparison_verdicts, finished_runs

SPACE = label_spaces.CITYSCAPES_CATEGORIES


def _confusions(accuracy, seed, pictures=12):
  """Images with 100 pixels per class, of which about this share is correct."""
  rng = np.random.default_rng(seed)
  right = rng.binomial(100, accuracy, (pictures, 7))
  confusions = np.zeros((pictures, 7, 7), np.int64)
  classes = np.arange(7)
  confusions[:, classes, classes] = right
  confusions[:, classes, (classes + 1) % 7] = 100 - right
  return confusions


def write_run(folder, accuracy, seed=0, ids=None, confusions=None, step=600, **config):
  """Writes the files of a finished run."""
  confusions = _confusions(accuracy, seed) if confusions is None else confusions
  ids = [f"ulm_{number}" for number in range(len(confusions))] if ids is None else ids
  (folder / "report").mkdir(parents=True)
  config = {"seed": seed, "lr": 0.1, "model": {"width": 16}, **config}
  (folder / "config.json").write_text(json.dumps(config))
  (folder / "run.json").write_text(json.dumps({"versions": {"jax": "0.10"}, "command": "x"}))
  scores = nested.nan_to_none(segmentation.scores(confusions.sum(axis=0), SPACE))
  # Not scores, so in no table: an interval, a number of images, a list of errors.
  scores |= {"mean_iou_interval": [0.1, 0.2], "pictures": len(ids), "skipped": ["p7: damaged"]}
  report = {"step": step, "evals": {"val": scores}}
  (folder / "report" / "metrics.json").write_text(json.dumps(report))
  arrays = {"val/ids": np.array(ids), "val/confusions": confusions}
  np.savez(folder / "report" / "confusions.npz", **arrays)
  return folder


def _load(folder, name, *args, **kwargs):
  return finished_runs.load(write_run(folder / name, *args, **kwargs))


def test_runs_that_differ_in_the_seed_are_one_group(tmp_path):
  runs = [
    _load(tmp_path, "a", 0.7, seed=0),
    _load(tmp_path, "b", 0.8, seed=0, lr=0.2),
    _load(tmp_path, "c", 0.7, seed=1),
  ]
  groups = comparison.group(runs)
  assert [[run.folder.name for run in group] for group in groups] == [["a", "c"], ["b"]]
  compared = comparison.compare(groups)
  assert compared["settings"] == {"lr": [[0.1], [0.2]]}
  assert [item["seeds"] for item in compared["groups"]] == [[0, 1], [0]]

  a, b, c = (float(segmentation.mean_iou(run.confusions.sum(axis=0))) for run in runs)
  first, second = compared["scores"]["mean_iou"]
  assert first["mean"] == pytest.approx((a + c) / 2)
  assert first["std"] == pytest.approx(abs(a - c) / 2**0.5)
  assert second["std"] is None
  assert second["difference"] == pytest.approx(b - (a + c) / 2)
  (interval,) = compared["mean_iou_difference_interval"]
  assert interval == bootstrap.mean_iou_difference_interval(
    [runs[0].confusions, runs[2].confusions], [runs[1].confusions]
  )
  assert 0 < interval.low < second["difference"] < interval.high
  sky = compared["per_class"]["sky"]
  expected = runs[1].scores["per_class"]["sky"]["iou"] - sky[0]["mean"]
  assert sky[1]["difference"] == pytest.approx(expected)


def test_a_run_of_an_earlier_version_has_the_defaults_of_new_settings(tmp_path):
  default = base_config.get_config().accumulate_steps
  config = {"input": {}, "evals": {}}
  runs = [
    _load(tmp_path, "earlier", 0.7, seed=0, **config),
    _load(tmp_path, "later", 0.8, seed=1, accumulate_steps=default, **config),
    _load(tmp_path, "other", 0.8, seed=2, accumulate_steps=default + 1, **config),
  ]
  groups = comparison.group(runs)
  assert [[run.folder.name for run in group] for group in groups] == [
    ["earlier", "later"],
    ["other"],
  ]
  assert comparison.compare(groups)["settings"] == {"accumulate_steps": [[default], [default + 1]]}


def test_losses_are_compared_if_they_are_the_same(tmp_path):
  runs = [
    _load(tmp_path, name, 0.7, seed=seed, loss=loss)
    for name, seed, loss in (("a", 0, "dice"), ("b", 1, "dice"), ("c", 0, "focal"))
  ]
  runs = [dataclasses.replace(run, scores={**run.scores, "loss": 0.5}) for run in runs]
  assert comparison.compare([runs[:1], runs[1:2]])["scores"]["loss"][1]["difference"] == 0
  compared = comparison.compare(comparison.group(runs))
  assert "loss" not in compared["scores"]
  assert comparison_verdicts.verdicts(compared)[-1].startswith("The losses are left out")


def test_facts_are_not_settings(tmp_path):
  runs = [_load(tmp_path, name, 0.7, step=step) for name, step in (("a", 600), ("b", 900))]
  compared = comparison.compare(comparison.group(runs))
  assert compared["settings"] == {}
  assert compared["facts"] == {"step": [[600], [900]]}


def test_pictures_are_paired_by_id_and_not_by_place(tmp_path):
  confusions = _confusions(0.7, seed=0)
  ids = [f"ulm_{number}" for number in range(len(confusions))]
  order = np.random.default_rng(0).permutation(len(ids))
  runs = [
    _load(tmp_path, "a", 0, ids=ids, confusions=confusions),
    _load(tmp_path, "b", 0, lr=1, ids=np.array(ids)[order], confusions=confusions[order]),
  ]
  finished_runs.check_same_pictures(runs)
  compared = comparison.compare(comparison.group(runs))
  assert compared["mean_iou_difference_interval"] == [(0, 0)]


def test_runs_on_other_pictures_are_refused(tmp_path):
  first = _load(tmp_path, "a", 0.7)
  ids = [f"ulm_{number}" for number in range(2, 14)]
  with pytest.raises(
    UserError,
    match=r"/b and .*/a were scored on different images: "
    r"ulm_12, ulm_13 only in the first, ulm_0, ulm_1 only in the second",
  ):
    finished_runs.check_same_pictures([first, _load(tmp_path, "b", 0.7, ids=ids)])


def test_runs_on_other_labels_of_the_same_pictures_are_refused(tmp_path):
  first = _load(tmp_path, "a", 0.7)
  larger = _load(tmp_path, "b", 0.7, confusions=4 * first.confusions)
  with pytest.raises(UserError, match="different labels: in ulm_0, 2800 and 700 pixels count"):
    finished_runs.check_same_pictures([first, larger])
  padded = np.pad(first.confusions, ((0, 0), (0, 1), (0, 1)))
  more_classes = dataclasses.replace(first, confusions=padded)
  with pytest.raises(UserError, match="different classes: 8 and 7"):
    finished_runs.check_same_pictures([first, more_classes])


def test_classes_of_other_names_or_in_another_order_are_refused(tmp_path):
  first, other = _load(tmp_path, "a", 0.7), _load(tmp_path, "b", 0.7)
  by_class = other.scores["per_class"]
  swapped = {"sky" if name == "human" else "human" if name == "sky" else name: item
             for name, item in by_class.items()}  # fmt: skip
  other = dataclasses.replace(other, scores={**other.scores, "per_class": swapped})
  with pytest.raises(UserError, match="different classes, or in another order: 'human' and 'sky'"):
    finished_runs.check_same_pictures([first, other])


def test_matrices_of_another_number_of_images_are_refused(tmp_path):
  folder = write_run(tmp_path / "a", 0.7)
  arrays = dict(np.load(folder / "report/confusions.npz"))
  arrays["val/confusions"] = arrays["val/confusions"][:-1]
  np.savez(folder / "report/confusions.npz", **arrays)
  with pytest.raises(UserError, match="holds no readable matrices of evaluation 'val'"):
    finished_runs.load(folder)


def test_scores_without_a_value_stay_without_one(tmp_path):
  confusions = _confusions(0.7, seed=0)
  confusions[:, 6] = confusions[:, :, 6] = 0
  runs = [_load(tmp_path, name, 0, confusions=confusions, lr=name) for name in ("a", "b")]
  compared = comparison.compare(comparison.group(runs))
  assert np.isnan(compared["per_class"]["vehicle"][1]["difference"])
  assert compared["scores"]["mean_iou"][1]["difference"] == 0


def test_folders_that_are_no_finished_run_are_named(tmp_path):
  with pytest.raises(UserError, match=r"metrics.json: does not exist; .* a finished run\?"):
    finished_runs.load(tmp_path)
  folder = write_run(tmp_path / "a", 0.7)
  with pytest.raises(UserError, match="/a: has no evaluation 'test', only val"):
    finished_runs.load(folder, "test")
  (folder / "report" / "confusions.npz").write_bytes(b"half")
  with pytest.raises(UserError, match=r"confusions.npz: holds no readable matrices of .* 'val'"):
    finished_runs.load(folder)
  (folder / "report" / "metrics.json").write_text("{")
  with pytest.raises(UserError, match=r"metrics.json: is not JSON"):
    finished_runs.load(folder)


def test_the_same_seed_again_and_another_length_are_no_seeds(tmp_path):
  runs = [
    _load(tmp_path, "a", 0.7, seed=0),
    _load(tmp_path, "again", 0.7, seed=0),
    _load(tmp_path, "longer", 0.7, seed=1, step=900),
    _load(tmp_path, "seed", 0.7, seed=2),
  ]
  groups = comparison.group(runs)
  names = [[run.folder.name for run in group] for group in groups]
  assert names == [["a", "seed"], ["again"], ["longer"]]
  scores = comparison.compare(groups)["scores"]
  assert not scores.keys() & {"mean_iou_interval", "pictures", "skipped"}


@pytest.mark.parametrize("file", ["config.json", "run.json", "report/metrics.json"])
@pytest.mark.parametrize("content", [b"", b'{"evals": {"val"'])
def test_files_that_are_empty_or_cut_off_are_one_line(tmp_path, file, content):
  folder = write_run(tmp_path / "a", 0.7)
  (folder / file).write_bytes(content)
  with pytest.raises(UserError, match=rf"{file}: is ") as error:
    finished_runs.load(folder)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 100, 1000])
def test_matrices_that_are_cut_off_are_one_line(tmp_path, length):
  folder = write_run(tmp_path / "a", 0.7)
  path = folder / "report/confusions.npz"
  path.write_bytes(path.read_bytes()[:length])
  with pytest.raises(UserError, match=r"confusions.npz: holds no readable matrices"):
    finished_runs.load(folder)
