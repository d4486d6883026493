"""Tables for the terminal and for Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flax_unet.evaluation.bootstrap import Interval

_CLASS_SCORES = ("iou", "iiou", "f1", "precision", "recall", "share")
_SPLIT_SCORES = (
  ("mean_iou", "mean IoU"),
  ("category_iou", "category IoU"),
  ("iiou", "iIoU"),
  ("category_iiou", "category iIoU"),
  ("pixel_accuracy", "pixel accuracy"),
  ("mean_accuracy", "mean accuracy"),
  ("mean_f1", "mean F1"),
  ("frequency_weighted_iou", "frequency-weighted IoU"),
)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Aligns cells in columns, those of numbers to the right, under a ruled header."""
  columns = [_aligned(name, cells) for name, *cells in zip(header, *rows, strict=True)]
  title, *lines = ("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
  return "\n".join([title, "  ".join("-" * len(cells[0]) for cells in columns), *lines])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """The same as a Markdown table."""
  lines = [header, ["---"] * len(header), *rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _aligned(name: str, cells: Sequence[str]) -> list[str]:
  """Pads a column's name and cells to one width."""
  width = max(map(len, (name, *cells)))
  numbers = all(cell[:1] in "+-0123456789" for cell in cells)
  return [cell.rjust(width) if numbers else cell.ljust(width) for cell in (name, *cells)]


def score_tables(scores: Mapping[str, Any], interval: Interval) -> str:
  """Tables of the scores by class, by category and of the split; `-` where there is none.

  Where the classes are all the categories there are, these would only repeat them.
  """
  by_class = [
    (name, *(_cell(item.get(score)) for score in _CLASS_SCORES))
    for name, item in scores["per_class"].items()
  ]
  by_category = [
    (name, _cell(item["iou"]), _cell(item.get("iiou")))
    for name, item in scores["per_category"].items()
  ]
  has_categories = scores["per_category"].keys() != scores["per_class"].keys()
  of_split = [
    (title, _cell(scores[name]))
    for name, title in _SPLIT_SCORES
    if name in scores and (has_categories or not name.startswith("category"))
  ]
  of_split[0] += (f"{_cell(interval.low)} to {_cell(interval.high)}",)
  of_split[1:] = [(*row, "") for row in of_split[1:]]
  class_header = ("class", "IoU", "iIoU", "F1", "precision", "recall", "share")
  category_tables = [text_table(("category", "IoU", "iIoU"), by_category)] * has_categories
  return "\n\n".join(
    (
      text_table(class_header, by_class),
      *category_tables,
      text_table(("score", "value", "95 % interval over pictures"), of_split),
    )
  )


def _cell(value: float | None) -> str:
  return "-" if value is None or np.isnan(value) else f"{value:.4f}"
