"""Writes the HTML report of a run: its scores, curves, images, and how to reproduce it.

The file needs no network and no other file, follows the reader's light or dark theme, and is
readable on a phone. Its numbers come from `metrics.json`, `config.json`, `run.json` and the event
files.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flax_unet import files, tables
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.evaluation import Result
from flax_unet.evaluation.metrics import audit
from flax_unet.evaluation.metrics.score import Score
from flax_unet.evaluation.report import curves, page_charts, page_facts, report_files, templates
from flax_unet.evaluation.report.curves import Curve, Panel
from flax_unet.evaluation.report.page_mistakes import OfClass
from flax_unet.evaluation.report.page_pictures import Shown

_CONFUSIONS = 8  # number of the most frequent confusions to list


def write(
  path: pathlib.Path,
  *,
  run: str,
  step: int,
  evals: Mapping[str, Mapping[str, Any]],
  results: Mapping[str, Result],
  confusion: np.ndarray,
  definitions: Sequence[audit.Row],
  ceilings: Sequence[audit.Row],
  history: Mapping[str, Curve],
  panels: Sequence[Panel],
  worst: Sequence[Shown],
  best: Sequence[Shown],
  mistakes: Sequence[OfClass],
  label_space: LabelSpace,
  config: Mapping[str, Any],
  run_info: Mapping[str, Any],
) -> None:
  """Writes the HTML report.

  Args:
    path: the HTML file.
    run: the run's name.
    step: the number of steps the model has been trained for.
    evals: the scores of each evaluation, as in `metrics.json`; most of the report is about the
      first.
    results: the results of the evaluations, which describe their scores.
    confusion: int64 `[classes, classes]`, of the first evaluation.
    definitions: the audit of the first evaluation; may be empty.
    ceilings: the audit's ceilings; may be empty.
    history: steps and values, see `page_facts.columns`.
    panels: the curves to draw, see `curves.panels`.
    worst: the worst images of the first evaluation, worst first.
    best: its best images, best first.
    mistakes: the worst images of its classes.
    label_space: names and colours of the classes.
    config: the configuration, as in `config.json`.
    run_info: as in `run.json`; empty if training has not ended.
  """
  name, scores = next(iter(evals.items()))
  shown = [_EvalTables.of(evals[key], result, label_space) for key, result in results.items()]
  environment = templates.environment()
  environment.filters |= {"score": tables.cell, "percent": _percent, "title": curves.upper_first}
  html = environment.get_template("page.html.j2").render(
    program="report",
    run=run,
    step=step,
    evals=evals,
    eval_name=name,
    scores=scores,
    headline=shown[0].table[0],
    tables={key: item.table for key, item in zip(results, shown, strict=True)},
    columns=list(dict.fromkeys(score for item in shown for score in item.table)),
    by_class={key: item for key, item in zip(results, shown, strict=True) if item.classes},
    categories=_categories(scores, label_space),
    definitions=definitions,
    ceilings=ceilings,
    charts=page_charts.learning_curves(panels),
    class_names=label_space.class_names,
    colors=[f"rgb({red},{green},{blue})" for red, green, blue in label_space.colors.tolist()],
    matrix=page_charts.Matrix(label_space.class_names),
    cells=page_charts.confusion_cells(confusion),
    confusion={"names": label_space.class_names, "counts": confusion.tolist()},
    frequent=page_charts.frequent_confusions(confusion, label_space.class_names, _CONFUSIONS),
    worst=worst,
    best=best,
    mistakes=mistakes,
    image_ids=results[name].ids.tolist(),
    files=_files(path.parent, list(evals)),
    command=page_facts.command(run_info),
    is_dirty=str(run_info.get("git_commit")).endswith("-dirty"),
    facts=page_facts.columns(run_info, history),
    params_digest=run_info.get("params_digest"),
    settings=page_facts.settings(config),
  )
  with files.replacing(path) as temporary:
    temporary.write_text(html, encoding="utf-8")


def _files(folder: pathlib.Path, evaluations: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
  """The evaluations' files beside the page that exist, with what each of them is."""
  named = {
    name: [
      (f"{what} ({ending.upper()})", file(name, ending))
      for what, file in (
        ("confusion matrix", report_files.confusion_matrix),
        ("scores of every image", report_files.image_scores),
      )
      for ending in ("png", "csv")
    ]
    for name in evaluations
  }
  return {
    name: [(what, file) for what, file in found if (folder / file).exists()]
    for name, found in named.items()
  }


@dataclasses.dataclass(frozen=True)
class _EvalTables:
  """The tables that the report shows of an evaluation.

  Attributes:
    table: the scores of the split.
    class_table: the scores by class.
    classes: the classes with their scores, best first, those without a score last.
    means: the means over classes, by score name.
  """

  table: list[Score]
  class_table: list[Score]
  classes: list[dict[str, Any]]
  means: dict[str, float | None]

  @classmethod
  def of(cls, scores: Mapping[str, Any], result: Result, label_space: LabelSpace) -> "_EvalTables":
    """Selects the scores that an evaluation has."""
    per_class = scores.get("per_class", {})
    # If every category has one class, the category IoU repeats the mean IoU.
    repeated = set() if _categories(scores, label_space) else {"category_iou"}
    columns = [
      score
      for score in result.evaluator.class_table
      if any(score.name in item for item in per_class.values())
    ]
    rows = [
      {"name": name, "index": label_space.class_names.index(name), **item}
      for name, item in per_class.items()
    ]
    if columns:
      sign = 1 if columns[0].higher_is_better else -1

      def rank(row: Mapping[str, Any]) -> tuple[bool, float]:
        value = row.get(columns[0].name)
        return value is not None, sign * (value or 0.0)

      rows.sort(key=rank, reverse=True)
    return cls(
      table=[score for score in result.table if score.name not in repeated],
      class_table=columns,
      classes=rows if columns else [],
      means={score.name: _mean(per_class, score.name) for score in columns},
    )


def _mean(per_class: Mapping[str, Mapping[str, Any]], score: str) -> float | None:
  """The mean over the classes that have a value; None for shares."""
  values = [item.get(score) for item in per_class.values()]
  defined = [value for value in values if value is not None]
  return float(np.mean(defined)) if defined and score != "share" else None


def _categories(scores: Mapping[str, Any], label_space: LabelSpace) -> dict[str, float | None]:
  """The IoU by category; empty if every class is its own category."""
  if all(len(members) == 1 for members in label_space.categories.values()):
    return {}
  return {name: item["iou"] for name, item in scores.get("per_category", {}).items()}


def _percent(value: float | None) -> str:
  return "-" if value is None or np.isnan(value) else f"{100 * value:.2f} %"
