"""What a run leaves to be looked at: scores, per-image matrices and pictures."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from flax_unet import errors, files, nested, terminal
from flax_unet.data.label_spaces import LabelSpace
from flax_unet.evaluation.evaluation import Result
from flax_unet.evaluation.evaluators.base import Picture
from flax_unet.evaluation.metrics import audit, bootstrap, segmentation
from flax_unet.evaluation.report import figures, page, page_pictures, score_tables
from flax_unet.evaluation.report.curves import Curve, Panel

FOLDER = "report"  # in the run's
PAGE = "index.html"
_SCORES, _CONFUSIONS = "metrics.json", "confusions.npz"
FILES = (_SCORES, _CONFUSIONS, PAGE)  # without which a report is not complete


def write_scores(
  folder: pathlib.Path,
  *,
  step: int,
  results: Mapping[str, Result],
  settings: Mapping[str, Any],
) -> None:
  """Writes the numbers of a report: all scores, and one confusion matrix a picture.

  Args:
    folder: where to; made where it is missing.
    step: the number of steps that the model has been trained for.
    results: of the evaluators, by name.
    settings: what was evaluated, and how.

  Raises:
    UserError: the folder cannot be written.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
    evals = {name: _numbers(result) for name, result in results.items()}
    files.write_json(folder / _SCORES, {"step": step, "evals": evals, "settings": settings})
    with files.replacing(folder / _CONFUSIONS) as temporary:
      arrays = {f"{name}/ids": result.ids for name, result in results.items()}
      arrays |= {f"{name}/confusions": result.confusions for name, result in results.items()}
      np.savez_compressed(temporary, **arrays)
  except OSError as error:
    raise errors.UserError(
      f"{folder}: cannot be written ({error.strerror}): name another folder with --output=DIR"
    ) from error


def write_figures(
  folder: pathlib.Path,
  *,
  results: Mapping[str, Result],
  panels: Sequence[Panel],
  label_space: LabelSpace,
) -> None:
  """Draws the pictures of a report.

  Args:
    folder: where to.
    results: of the evaluators, by name; pictures and bars show the first.
    panels: the curves, see `curves.panels`.
    label_space: names and colours.
  """
  first = next(iter(results.values()))
  if first.examples:
    figures.qualitative(first.examples, label_space, folder / "qualitative.png")
  iou = segmentation.class_iou(first.confusions.sum(axis=0))
  by_name = dict(zip(label_space.class_names, iou.tolist(), strict=True))
  figures.per_class_bars(by_name, label_space, folder / "per_class_iou.png")
  if panels:
    figures.learning_curves(panels, folder / "learning_curves.png")


def write_page(
  folder: pathlib.Path,
  *,
  run: str,
  step: int,
  results: Mapping[str, Result],
  history: Mapping[str, Curve],
  panels: Sequence[Panel],
  label_space: LabelSpace,
  config: Mapping[str, Any],
  run_info: Mapping[str, Any],
  predict: Callable[[Sequence[int]], list[Picture]],
) -> None:
  """Writes `index.html`, with the worst and best pictures of the first evaluator.

  Args:
    folder: where to.
    run: the run's name.
    step: see `write_scores`.
    results: see `write_scores`.
    history: steps and values, see `page_facts.columns`.
    panels: see `write_figures`.
    label_space: names and colours.
    config: the configuration that was used, as JSON has it.
    run_info: as in `run.json`; empty where there is none.
    predict: predicts the pictures at these places of the first evaluator's split.
  """
  first = next(iter(results.values()))
  number = len(first.examples)
  worst, best = page_pictures.choose(first.confusions, worst=number, best=-(-number // 2))
  pictures = predict(first.places[worst + best].tolist())
  shown = [
    page_pictures.show(picture, first.confusions[index], label_space)
    for picture, index in zip(pictures, worst + best, strict=True)
  ]
  definitions, ceilings = _audit(first)
  page.write(
    folder / PAGE,
    run=run,
    step=step,
    evals=nested.nan_to_none({name: _numbers(result) for name, result in results.items()}),
    results=results,
    confusion=first.confusions.sum(axis=0),
    definitions=definitions,
    ceilings=ceilings,
    history=history,
    panels=panels,
    worst=shown[: len(worst)],
    best=shown[len(worst) :],
    label_space=label_space,
    config=config,
    run_info=run_info,
  )


def _numbers(result: Result) -> dict[str, Any]:
  """All that an evaluation says in numbers, and what it had to leave out."""
  rows, ceilings = _audit(result)
  return {
    **result.scores,
    **{f"{name}_interval": interval for name, interval in _intervals(result).items()},
    "definitions": {
      score.name: score._asdict() for score in (*result.table, *result.evaluator.class_table)
    },
    "audit": {row.name: row.value for row in (*rows, *ceilings)},
    "pictures": len(result.ids),
    "skipped": result.skipped,
  }


def _intervals(result: Result) -> dict[str, bootstrap.Interval]:
  """The 95 % intervals of the scores that have one."""
  if "mean_iou" not in result.scores:
    return {}
  return {"mean_iou": bootstrap.mean_iou_interval(result.confusions)}


def _audit(result: Result) -> tuple[list[audit.Row], list[audit.Row]]:
  if not result.evaluator.audits:
    return [], []
  ceilings = audit.ceilings(result.extra) if result.extra else []
  return audit.definitions(result.confusions, result.extra), ceilings


def text(name: str, result: Result) -> str:
  """An evaluator's scores as tables for the terminal: by class, of the split, and the audit."""
  parts = [
    f"{name}: {terminal.counted(len(result.ids), 'picture')}",
    score_tables.score_tables(
      result.scores, result.table, result.evaluator.class_table, _intervals(result)
    ),
  ]
  if result.evaluator.audits:
    parts += ['What else gets called "mean IoU"', audit.table(*_audit(result))]
  return "\n\n".join(parts)


def panels(
  name: str,
  examples: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
  label_space: LabelSpace,
) -> dict[str, np.ndarray]:
  """Puts image, label and prediction side by side for TensorBoard.

  Args:
    name: the evaluator's.
    examples: see `figures.qualitative`.
    label_space: colours of the classes.

  Returns:
    uint8 `[1, height, 3 * width, 3]` by `<name>/<id>`, every n-th pixel of large pictures.
  """
  pictures = {}
  for example_id, image, label, prediction in examples:
    height, width = label.shape
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    panel = np.hstack([image, label_space.colorize(label), label_space.colorize(prediction)])
    stride = -(-height // 256)
    pictures[f"{name}/{example_id}"] = panel[None, ::stride, ::stride]
  return pictures
