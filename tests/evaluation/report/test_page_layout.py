"""Layout of the HTML report on narrow screens, and for a label space without categories."""

import dataclasses
import pathlib
import re

import numpy as np
import pytest

from flax_unet import nested
from flax_unet.data import label_spaces
from flax_unet.evaluation.evaluation import Result
from flax_unet.evaluation.evaluators.segmentation import Segmentation
from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report import curves, page

SPACE = label_spaces.CITYSCAPES_19
ALONE = {name: (index,) for index, name in enumerate(SPACE.class_names)}


def _write(path: pathlib.Path, label_space: label_spaces.LabelSpace) -> str:
  """Writes and returns the HTML report on two evaluations without images."""
  confusion = np.arange(361, dtype=np.int64).reshape(19, 19)
  scores = nested.nan_to_none(segmentation.scores(confusion, label_space))
  result = Result(
    places=np.zeros(0, int),
    ids=np.zeros(0, str),
    confusions=confusion[None],
    scores=segmentation.scores(confusion, label_space),
    evaluator=Segmentation(),
    examples=[],
    extra={},
    skipped=[],
  )
  history = {"loss": ([1], [0.5]), "learning_rate": ([1], [2.5e-4]), "val/mean_iou": ([1], [0.25])}
  page.write(
    path,
    run="run",
    step=1,
    evals={"val": scores, "test": scores},
    confusion=confusion,
    definitions=[],
    ceilings=[],
    results={"val": result, "test": result},
    history=history,
    panels=curves.panels(history, {"val": result.table[0]}),
    worst=[],
    best=[],
    mistakes=[],
    label_space=label_space,
    config={},
    run_info={},
  )
  return path.read_text()


@pytest.mark.parametrize(
  ("categories", "shown", "headings"),
  [(SPACE.categories, 1, 2), (ALONE, 0, 0)],
)
def test_categories_that_only_repeat_the_classes_are_left_out(
  tmp_path, categories, shown, headings
):
  source = _write(tmp_path / "index.html", dataclasses.replace(SPACE, categories=categories))
  assert source.count("IoU by category") == shown
  assert source.count("Category IoU") == headings  # headline, and evaluations


def test_every_lone_point_is_drawn(tmp_path):
  source = _write(tmp_path / "index.html", SPACE)
  charts = re.findall(r'<svg viewBox="0 0 360 220".*?</svg>', source, re.DOTALL)
  places = [re.search(r'<circle [^>]*cx="([\d.]+)" cy="([\d.]+)"', chart) for chart in charts]
  # At the last step; 180 units up from y = 194 are 0.6, 0.32 and 3.2e-4.
  expected = [194 - 180 * share for share in (0.5 / 0.6, 0.25 / 0.32, 2.5e-4 / 3.2e-4)]
  assert [float(place[1]) for place in places] == [344.0] * 3
  assert [float(place[2]) for place in places] == pytest.approx(expected, abs=0.05)


def test_wide_tables_scroll_in_a_box_of_their_own_beside_their_first_column(tmp_path):
  source = _write(tmp_path / "index.html", SPACE)
  assert ".scroll { overflow-x: auto; }" in source
  assert ".scroll th:first-child { position: sticky; left: 0;" in source
  tables = source.count("<table")
  # The frequent confusions scroll with their surroundings, and the settings wrap.
  assert (tables, source.count('<div class="scroll"><table')) == (5, 3)


def test_one_chart_is_as_wide_as_one_of_three(tmp_path):
  source = _write(tmp_path / "index.html", SPACE)
  assert "repeat(auto-fill, minmax(min(290px, 100%), 1fr))" in source
