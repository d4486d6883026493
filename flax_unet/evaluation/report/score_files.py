"""Writes the numbers of an evaluation as CSV files, for pandas and spreadsheets."""

import csv
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from flax_unet import files
from flax_unet.evaluation.metrics import segmentation


def write_confusion_matrix(
  path: pathlib.Path, confusion: np.ndarray, class_names: Sequence[str]
) -> None:
  """Writes pixel counts, with a row for each true class and a column for each predicted one.

  Args:
    path: the CSV file.
    confusion: int64 `[classes, classes]`.
    class_names: names of the classes.
  """
  rows = zip(class_names, confusion.tolist(), strict=True)
  _write(path, ["true class", *class_names], ([name, *counts] for name, counts in rows))


def write_image_scores(
  path: pathlib.Path, ids: np.ndarray, confusions: np.ndarray, class_names: Sequence[str]
) -> None:
  """Writes a row for each image: id, mean IoU, pixel accuracy, and the IoU of each class.

  Numbers have full precision. A cell is empty if neither the label nor the prediction of the image
  has a pixel of the class.

  Args:
    path: the CSV file.
    ids: str `[images]`.
    confusions: int64 `[images, classes, classes]`.
    class_names: names of the classes.
  """
  scores = np.column_stack(
    [
      segmentation.mean_iou(confusions),
      segmentation.pixel_accuracy(confusions),
      segmentation.class_iou(confusions),
    ]
  )
  cells = (["" if np.isnan(value) else value for value in row] for row in scores.tolist())
  _write(
    path,
    ["id", "mean_iou", "pixel_accuracy", *(f"iou of {name}" for name in class_names)],
    ([name, *row] for name, row in zip(ids.tolist(), cells, strict=True)),
  )


def _write(path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
  with (
    files.replacing(path) as temporary,
    temporary.open("w", encoding="utf-8", newline="") as stream,
  ):
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow(header)
    lines.writerows(rows)
