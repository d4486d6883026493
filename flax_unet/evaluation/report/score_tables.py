"""The scores of a split as tables for the terminal."""

from collections.abc import Mapping
from typing import Any

from flax_unet.evaluation.metrics.bootstrap import Interval
from flax_unet.tables import cell, text_table

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


def score_tables(scores: Mapping[str, Any], interval: Interval) -> str:
  """Tables of the scores by class, by category and of the split; `-` where there is none.

  Where the classes are all the categories there are, these would only repeat them.
  """
  by_class = [
    (name, *(cell(item.get(score)) for score in _CLASS_SCORES))
    for name, item in scores["per_class"].items()
  ]
  by_category = [
    (name, cell(item["iou"]), cell(item.get("iiou")))
    for name, item in scores["per_category"].items()
  ]
  has_categories = scores["per_category"].keys() != scores["per_class"].keys()
  of_split = [
    (title, cell(scores[name]))
    for name, title in _SPLIT_SCORES
    if name in scores and (has_categories or not name.startswith("category"))
  ]
  of_split[0] += (f"{cell(interval.low)} to {cell(interval.high)}",)
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
