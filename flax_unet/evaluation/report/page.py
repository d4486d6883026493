"""The page of a run: one file with its scores, curves, pictures and all that it takes to repeat it.

It needs no network and no other file, follows the reader's light or dark theme, and can be read on
a phone. Its numbers are those of `metrics.json`, `config.json`, `run.json` and the event files.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

from flax_unet import files, tables
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.metrics import audit
from flax_unet.evaluation.report import page_charts, page_facts
from flax_unet.evaluation.report.page_pictures import Shown

_HEADLINES = {
  "pixel_accuracy": "Pixel accuracy",
  "mean_f1": "Mean F1",
  "mean_accuracy": "Mean accuracy",
  "frequency_weighted_iou": "Frequency-weighted IoU",
  "category_iou": "Category IoU",
}
_CONFUSIONS = 8  # of the most frequent ones


def write(
  path: pathlib.Path,
  *,
  run: str,
  step: int,
  evals: Mapping[str, Mapping[str, Any]],
  confusion: np.ndarray,
  definitions: Sequence[audit.Row],
  ceilings: Sequence[audit.Row],
  history: Mapping[str, page_charts.Curve],
  worst: Sequence[Shown],
  best: Sequence[Shown],
  label_space: LabelSpace,
  config: Mapping[str, Any],
  run_info: Mapping[str, Any],
) -> None:
  """Writes the page.

  Args:
    path: of the HTML file.
    run: the run's name.
    step: the number of steps that the model has been trained for.
    evals: the scores of each evaluation, as in `metrics.json`; most of the page is about the first.
    confusion: int64 `[classes, classes]`, of the first evaluation.
    definitions: its audit; may be empty.
    ceilings: likewise.
    history: steps and values of the curves, see `page_charts.learning_curves`.
    worst: pictures of the first evaluation, the worst first.
    best: the best first.
    label_space: names and colours of the classes.
    config: the configuration, as in `config.json`.
    run_info: as in `run.json`; empty where the training has not ended.
  """
  name, scores = next(iter(evals.items()))
  categories = _categories(scores, label_space)
  # Without categories of several classes theirs is the mean IoU once more.
  repeated = set() if categories else {"category_iou"}
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("flax_unet.evaluation.report", "page_template"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters |= {"score": tables.cell, "percent": _percent}
  html = environment.get_template("page.html.j2").render(
    run=run,
    step=step,
    evals=evals,
    eval_name=name,
    scores=scores,
    headlines={key: title for key, title in _HEADLINES.items() if key not in repeated},
    classes=_classes(scores["per_class"], label_space),
    categories=categories,
    definitions=definitions,
    ceilings=ceilings,
    charts=page_charts.learning_curves(history),
    class_names=label_space.class_names,
    colors=[f"rgb({red},{green},{blue})" for red, green, blue in label_space.colors.tolist()],
    matrix=page_charts.Matrix(label_space.class_names),
    cells=page_charts.confusion_cells(confusion),
    confusion={"names": label_space.class_names, "counts": confusion.tolist()},
    frequent=page_charts.frequent_confusions(confusion, label_space.class_names, _CONFUSIONS),
    worst=worst,
    best=best,
    command=page_facts.command(run_info),
    is_dirty=str(run_info.get("git_commit")).endswith("-dirty"),
    facts=page_facts.columns(run_info, history),
    params_digest=run_info.get("params_digest"),
    settings=page_facts.settings(config),
  )
  with files.replacing(path) as temporary:
    temporary.write_text(html, encoding="utf-8")


def _classes(
  per_class: Mapping[str, Mapping[str, float | None]], label_space: LabelSpace
) -> list[dict[str, Any]]:
  """The classes with their scores, the highest IoU first, those without one last."""
  rows = [
    {"name": name, "index": index, **per_class[name]}
    for index, name in enumerate(label_space.class_names)
  ]
  return sorted(rows, key=lambda row: -1.0 if row["iou"] is None else row["iou"], reverse=True)


def _categories(scores: Mapping[str, Any], label_space: LabelSpace) -> dict[str, float | None]:
  """The IoU by category; empty where every class is a category of its own."""
  if all(len(members) == 1 for members in label_space.categories.values()):
    return {}
  return {name: item["iou"] for name, item in scores["per_category"].items()}


def _percent(value: float | None) -> str:
  return "-" if value is None or np.isnan(value) else f"{100 * value:.2f} %"
