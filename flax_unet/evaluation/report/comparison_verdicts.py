"""Describes what a comparison shows, and what images and seeds may explain."""

from collections.abc import Mapping, Sequence
from typing import Any

_ROUNDING = 1e-9  # a difference below it comes from the order of sums

Bounds = tuple[float, float]


def may_explain(images: Bounds, seeds: Bounds | None) -> list[str]:
  """Returns what may explain a difference: "images", "seeds", both, or nothing.

  Args:
    images: the interval of the difference over images.
    seeds: the interval over seeds; None if there is none.
  """
  intervals = {"images": images} | ({} if seeds is None else {"seeds": seeds})
  return [name for name, bounds in intervals.items() if not _excludes_zero(bounds)]


def _excludes_zero(bounds: Bounds) -> bool:
  low, high = bounds
  return low > _ROUNDING or high < -_ROUNDING


def verdicts(compared: Mapping[str, Any], names: Sequence[str] | None = None) -> list[str]:
  """Returns a line on each group but the first: its mean IoU, and its classes; one on the loss.

  Args:
    compared: from `comparison.compare`.
    names: of the groups; None: #1, #2 and so on.
  """
  names = names or [f"#{number}" for number in range(1, len(compared["groups"]) + 1)]
  means = compared["scores"].get("mean_iou", ())[1:]
  if not means:
    return []
  lines = []
  for index, interval in enumerate(compared["mean_iou_difference_interval"]):
    entry = means[index]
    seeds = entry["seed_interval"]
    line = f"{names[index + 1]} - {names[0]}: mean IoU {entry['difference']:+.4f}, which "
    if explanations := may_explain(interval, seeds):
      line += f"other {' or '.join(explanations)} may explain."
    elif seeds is None:
      line += "other images do not explain; with one run on a side, other seeds may."
    else:
      line += "neither other images nor other seeds explain."
    lines.append(line + _classes(compared, index, seeds is not None))
  if not compared["has_one_loss"]:
    lines.append("The losses are left out: the runs were trained with different ones.")
  return lines


def _classes(compared: Mapping[str, Any], index: int, with_seeds: bool) -> str:
  """Names the classes of a group whose difference nothing explains."""
  intervals = compared["class_difference_intervals"]
  if not intervals:
    return ""
  found = [
    f"{name} {compared['per_class'][name][index + 1]['difference']:+.4f}"
    for name, of_groups in intervals.items()
    if not may_explain(of_groups[index], compared["per_class"][name][index + 1]["seed_interval"])
  ]
  known = "images and seeds" if with_seeds else "images"
  return f" Classes whose difference {known} do not explain: {', '.join(found) or 'none'}."
