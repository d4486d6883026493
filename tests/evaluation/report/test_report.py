import csv
import json
import math

import cv2
import numpy as np

from flax_unet.data import label_spaces
from flax_unet.evaluation.evaluation import Result
from flax_unet.evaluation.evaluators.segmentation import Segmentation
from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report import curves, report

SPACE = label_spaces.CITYSCAPES_CATEGORIES


def _example(height=8, width=16):
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (height, width, 3), np.uint8)
  label = rng.integers(0, 7, (height, width)).astype(np.uint8)
  return "picture_0", image, label, np.zeros_like(label)


def _result(seed):
  """Two images; the last class occurs in neither labels nor predictions."""
  confusions = np.random.default_rng(seed).integers(0, 100, (2, 7, 7))
  confusions[:, 6] = confusions[:, :, 6] = 0
  scores = segmentation.scores(confusions.sum(0), SPACE)
  return Result(
    places=np.arange(2),
    ids=np.array(["picture_0", "picture_1"]),
    confusions=confusions,
    scores=scores,
    evaluator=Segmentation(),
    examples=[_example()],
    extra={},
    skipped=[],
  )


def _write(folder, step=30, **kwargs):
  results = {"val": _result(0), "test": _result(1)}
  history = {"loss": ([1, 2], [0.5, 0.25]), "val/mean_iou": ([2], [0.5])}
  report.write_scores(folder, step=step, results=results, label_space=SPACE, settings={})
  panels = curves.panels(kwargs.get("history", history), {"val": results["val"].table[0]})
  report.write_figures(folder, results=results, label_space=SPACE, panels=panels)
  return results


def test_scores_are_written_as_json(tmp_path):
  results = _write(tmp_path / "report")
  content = json.loads((tmp_path / "report/metrics.json").read_text())
  assert content["step"] == 30
  assert list(content["evals"]) == ["val", "test"]
  for name, result in results.items():
    written = content["evals"][name]
    assert written["mean_iou"] == result.scores["mean_iou"]
    assert written["per_class"]["flat"]["iou"] == result.scores["per_class"]["flat"]["iou"]
    # A class without a score is null, since JSON has no NaN.
    assert math.isnan(result.scores["per_class"]["vehicle"]["iou"])
    assert written["per_class"]["vehicle"]["iou"] is None


def test_scores_can_be_recomputed_from_the_matrices(tmp_path):
  results = _write(tmp_path / "report")
  content = json.loads((tmp_path / "report/metrics.json").read_text())
  with np.load(tmp_path / "report/confusions.npz") as arrays:
    assert set(arrays) == {f"{name}/{key}" for name in results for key in ("ids", "confusions")}
    for name, result in results.items():
      assert arrays[f"{name}/ids"].tolist() == result.ids.tolist()
      assert arrays[f"{name}/confusions"].dtype == np.int64
      scores = segmentation.scores(arrays[f"{name}/confusions"].sum(0), SPACE)
      assert scores["mean_iou"] == content["evals"][name]["mean_iou"]


def _rows(path):
  with path.open(encoding="utf-8", newline="") as stream:
    return list(csv.reader(stream))


def test_tables_have_the_numbers_of_metrics_json_and_of_the_matrices(tmp_path):
  results = _write(tmp_path / "report")
  content = json.loads((tmp_path / "report/metrics.json").read_text())
  for name, result in results.items():
    header, *rows = _rows(tmp_path / f"report/confusion_{name}.csv")
    assert header == ["true class", *SPACE.class_names]
    assert [row[0] for row in rows] == list(SPACE.class_names)
    counts = np.array([row[1:] for row in rows], np.int64)
    np.testing.assert_array_equal(counts, result.confusions.sum(0))
    scores = segmentation.scores(counts, SPACE)
    assert scores["mean_iou"] == content["evals"][name]["mean_iou"]

    header, *rows = _rows(tmp_path / f"report/image_scores_{name}.csv")
    assert header[:3] == ["id", "mean_iou", "pixel_accuracy"]
    assert header[3:] == [f"iou of {class_name}" for class_name in SPACE.class_names]
    for row, image_id, confusion in zip(rows, result.ids, result.confusions, strict=True):
      expected = segmentation.scores(confusion, SPACE)
      assert row[0] == image_id
      assert float(row[1]) == expected["mean_iou"]  # to the last bit
      assert float(row[2]) == expected["pixel_accuracy"]
      for cell, item in zip(row[3:], expected["per_class"].values(), strict=True):
        assert cell == "" if math.isnan(item["iou"]) else float(cell) == item["iou"]
      assert row[-1] == ""  # the last class occurs nowhere


def test_pictures_are_drawn_and_nothing_else_is_left(tmp_path):
  for step in (30, 60):
    _write(tmp_path / "report", step=step)
  by_eval = [f"{what}_{name}" for what in ("confusion", "image_scores") for name in ("val", "test")]
  pictures = ["learning_curves.png", "per_class_iou.png", "qualitative.png"]
  pictures += [f"{stem}.png" for stem in by_eval]
  for name in pictures:
    assert cv2.imread(str(tmp_path / "report" / name)).std() > 1
  names = sorted(path.name for path in (tmp_path / "report").iterdir())
  tables = [f"{stem}.csv" for stem in by_eval]
  assert names == sorted(["confusions.npz", "metrics.json", *pictures, *tables])
  assert json.loads((tmp_path / "report/metrics.json").read_text())["step"] == 60


def test_without_history_there_are_no_curves(tmp_path):
  _write(tmp_path / "report", history={})
  assert not (tmp_path / "report/learning_curves.png").exists()


def test_panels_show_image_label_and_prediction():
  name, image, label, prediction = _example()
  panels = report.panels("val", [(name, image, label, prediction)], SPACE)
  assert list(panels) == ["val/picture_0"]
  panel = panels["val/picture_0"]
  assert panel.shape == (1, 8, 48, 3)
  assert panel.dtype == np.uint8
  np.testing.assert_array_equal(panel[0, :, :16], image)
  np.testing.assert_array_equal(panel[0, :, 16:32], SPACE.colors[label])
  np.testing.assert_array_equal(panel[0, :, 32:], SPACE.colors[prediction])


def test_panels_of_large_pictures_are_thinned_out():
  panel = report.panels("val", [_example(1024, 2048)], SPACE)["val/picture_0"]
  assert panel.shape == (1, 256, 1536, 3)


def test_panels_enlarge_an_image_that_was_resized():
  name, image, label, prediction = _example()
  panel = report.panels("val", [(name, image[::2, ::2], label, prediction)], SPACE)
  assert panel["val/picture_0"].shape == (1, 8, 48, 3)
