"""Writes the report of a run: scores, per-image confusion matrices, figures and the HTML file."""

import dataclasses
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
from flax_unet.evaluation.report import (
  figures,
  page,
  page_mistakes,
  page_pictures,
  report_files,
  score_figures,
  score_files,
  score_tables,
)
from flax_unet.evaluation.report.curves import Curve, Panel

_CHUNK = 8  # number of images that are predicted at a time, to save memory


def write_scores(
  folder: pathlib.Path,
  *,
  step: int,
  results: Mapping[str, Result],
  label_space: LabelSpace,
  settings: Mapping[str, Any],
) -> None:
  """Writes the numbers of a report: all scores, one confusion matrix per image, and CSV files.

  Args:
    folder: the folder of the report; created if it is missing.
    step: the number of steps the model has been trained for.
    results: the results of the evaluations, by name.
    label_space: names of the classes.
    settings: what was evaluated, and how.

  Raises:
    UserError: the folder is not writable.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
    evals = {name: _numbers(result) for name, result in results.items()}
    files.write_json(
      folder / report_files.SCORES, {"step": step, "evals": evals, "settings": settings}
    )
    with files.replacing(folder / report_files.CONFUSIONS) as temporary:
      arrays = {f"{name}/ids": result.ids for name, result in results.items()}
      arrays |= {f"{name}/confusions": result.confusions for name, result in results.items()}
      np.savez_compressed(temporary, **arrays)
    names = label_space.class_names
    for name, result in results.items():
      ids, confusions = result.ids, result.confusions
      matrix_file = folder / report_files.confusion_matrix(name, "csv")
      score_files.write_confusion_matrix(matrix_file, confusions.sum(axis=0), names)
      images_file = folder / report_files.image_scores(name, "csv")
      score_files.write_image_scores(images_file, ids, confusions, names)
  except OSError as error:
    raise errors.UserError(
      f"{folder}: cannot be written ({error.strerror}): choose another folder with --output=DIR"
    ) from error


def write_figures(
  folder: pathlib.Path,
  *,
  results: Mapping[str, Result],
  panels: Sequence[Panel],
  label_space: LabelSpace,
) -> None:
  """Draws the figures of a report.

  Args:
    folder: the folder of the report.
    results: the results of the evaluations, by name; images and bars show the first.
    panels: the curves, see `curves.panels`.
    label_space: names and colours of the classes.
  """
  first = next(iter(results.values()))
  if first.examples:
    figures.qualitative(first.examples, label_space, folder / "qualitative.png")
  iou = segmentation.class_iou(first.confusions.sum(axis=0))
  by_name = dict(zip(label_space.class_names, iou.tolist(), strict=True))
  score_figures.per_class_bars(by_name, label_space, folder / "per_class_iou.png")
  for name, result in results.items():
    matrix_file = folder / report_files.confusion_matrix(name, "png")
    names = label_space.class_names
    score_figures.confusion_matrix(result.confusions.sum(axis=0), names, matrix_file)
    scores = segmentation.mean_iou(result.confusions)
    if np.isfinite(scores).any():
      score_figures.image_scores(scores, folder / report_files.image_scores(name, "png"))
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
  """Writes `index.html`, with the worst and best images of the first evaluation.

  It also shows the worst image of each class; no images at all if `results` has no examples.

  Args:
    folder: the folder of the report.
    run: the run's name.
    step: see `write_scores`.
    results: see `write_scores`.
    history: steps and values, see `page_facts.columns`.
    panels: see `write_figures`.
    label_space: names and colours of the classes.
    config: the configuration that was used, as plain JSON.
    run_info: as in `run.json`; empty if there is none.
    predict: predicts the images at these indices of the first evaluation's split.
  """
  first = next(iter(results.values()))
  number = len(first.examples)
  worst, best = page_pictures.choose(first.confusions, worst=number, best=-(-number // 2))
  found = page_mistakes.find(first.confusions)
  of_classes = found[: page_mistakes.MOST_PICTURES if number else 0]
  wanted = [(index, None) for index in worst + best]
  wanted += [(item.worst[0].index, item.class_index) for item in of_classes]
  shown = _show(first, wanted, label_space, predict)
  pictures = [*shown[len(worst + best) :], *[None] * (len(found) - len(of_classes))]
  definitions, ceilings = _audit(first)
  page.write(
    folder / report_files.PAGE,
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
    best=shown[len(worst) : len(worst + best)],
    mistakes=[
      dataclasses.replace(item, picture=picture)
      for item, picture in zip(found, pictures, strict=True)
    ],
    label_space=label_space,
    config=config,
    run_info=run_info,
  )


def _show(
  result: Result,
  wanted: Sequence[tuple[int, int | None]],
  label_space: LabelSpace,
  predict: Callable[[Sequence[int]], list[Picture]],
) -> list[page_pictures.Shown]:
  """Prepares images for the page, each predicted once.

  Args:
    result: an evaluation.
    wanted: an image's index in `result`, and a class or None; see `page_pictures.show`.
    label_space: colours of the classes.
    predict: see `write_page`.
  """
  shown = {}
  indices = list(dict.fromkeys(index for index, _ in wanted))
  for start in range(0, len(indices), _CHUNK):
    chunk = indices[start : start + _CHUNK]
    for index, picture in zip(chunk, predict(result.places[chunk].tolist()), strict=True):
      for pair in wanted:
        if pair[0] == index:
          confusion = result.confusions[index]
          shown[pair] = page_pictures.show(picture, confusion, label_space, pair[1])
  return [shown[pair] for pair in wanted]


def _numbers(result: Result) -> dict[str, Any]:
  """The entry of an evaluation in `metrics.json`: scores, audit, and skipped examples."""
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
  """The 95 % intervals, for the scores that have one."""
  if "mean_iou" not in result.scores:
    return {}
  return {"mean_iou": bootstrap.mean_iou_interval(result.confusions)}


def _audit(result: Result) -> tuple[list[audit.Row], list[audit.Row]]:
  if not result.evaluator.audits:
    return [], []
  ceilings = audit.ceilings(result.extra) if result.extra else []
  return audit.definitions(result.confusions, result.extra), ceilings


def text(name: str, result: Result) -> str:
  """An evaluation's scores as tables for the terminal: by class, of the split, and the audit."""
  parts = [
    f"{name}: {terminal.counted(len(result.ids), 'image')}",
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
    name: the name of the evaluation.
    examples: see `figures.qualitative`.
    label_space: colours of the classes.

  Returns:
    uint8 `[1, height, 3 * width, 3]` by `<name>/<id>`; every n-th pixel of large images.
  """
  pictures = {}
  for example_id, image, label, prediction in examples:
    height, width = label.shape
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    panel = np.hstack([image, label_space.colorize(label), label_space.colorize(prediction)])
    stride = -(-height // 256)
    pictures[f"{name}/{example_id}"] = panel[None, ::stride, ::stride]
  return pictures
