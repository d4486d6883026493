"""The geometry of the charts that compare groups of runs; the template draws them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.ticker
import numpy as np

from flax_unet.evaluation.report import comparison_verdicts, page_charts
from flax_unet.evaluation.report.curves import Panel
from flax_unet.evaluation.report.page_charts import Chart, End, Tick

FEW_IMAGES = 10  # with fewer, a class's interval is unreliable

_ROW = 17  # height of a row of differences
_LONGEST = 26  # characters of a name
_LEAST = 0.001  # difference for which an axis has room even if all are smaller
_END_GAP = 11  # least distance of the numbers at the ends of lines


@dataclasses.dataclass(frozen=True)
class Row:
  """A difference with its interval.

  Attributes:
    name: of the class, shortened if it is long.
    full_name: of the class.
    y: of the middle of the row.
    x: of the difference; None if it is undefined.
    low: x of the lower bound of the interval over images; None if there is none.
    high: x of its upper bound, likewise.
    seed_low: x of the lower bound of the interval over seeds; None if there is none.
    seed_high: x of its upper bound, likewise.
    kind: "better" or "worse" if the intervals exclude 0, otherwise "unclear".
    text: the difference.
  """

  name: str
  full_name: str
  y: float
  x: float | None
  low: float | None
  high: float | None
  seed_low: float | None
  seed_high: float | None
  kind: str
  text: str


@dataclasses.dataclass(frozen=True)
class Forest:
  """Differences from the first group, of one other group, with a row for each class.

  Attributes:
    group: the index of the other group.
    rows: the mean first, then the classes.
    ticks: the marks on the axis of differences.
    zero: x of no difference.
    left: where the axis begins.
    right: where it ends.
    width: of the chart.
  """

  group: int
  rows: list[Row]
  ticks: list[Tick]
  zero: float
  left: float
  right: float
  width: int = 460

  @property
  def height(self) -> float:
    """Of the chart, with the text below the axis."""
    return self.rows[-1].y + _ROW + 14


def forests(compared: Mapping[str, Any]) -> list[Forest]:
  """Lays out the differences in IoU, in all charts on the same axis and in the same order.

  Args:
    compared: from `comparison.compare`.

  Returns:
    A chart for each group but the first; empty if there are no intervals.
  """
  by_class = compared["class_difference_intervals"]
  means = compared["scores"].get("mean_iou")
  if not by_class or not means or len(means) < 2:
    return []
  of_means = zip(means[1:], compared["mean_iou_difference_interval"], strict=True)
  entries = {"mean IoU": list(of_means)}
  differences = {
    name: np.array([entry["difference"] for entry in compared["per_class"][name][1:]])
    for name in by_class
  }
  rank = {name: np.mean(values) for name, values in differences.items()}
  for name in sorted(by_class, key=lambda name: (np.isnan(rank[name]), -rank[name])):
    few = compared["class_pictures"][name] < FEW_IMAGES
    entries[f"{name} †" if few else name] = list(
      zip(compared["per_class"][name][1:], by_class[name], strict=True)
    )
  return [
    _forest(index, {name: pairs[index] for name, pairs in entries.items()}, _bounds(entries))
    for index in range(len(means) - 1)
  ]


def _bounds(entries: Mapping[str, Sequence[Any]]) -> np.ndarray:
  """The marks of an axis that has room for all differences and intervals."""
  numbers = [
    number
    for pairs in entries.values()
    for entry, interval in pairs
    for number in (entry["difference"], *interval, *(entry["seed_interval"] or ()))
  ]
  defined = [number for number in numbers if not np.isnan(number)]
  low, high = max(-1.0, min(-_LEAST, *defined)), min(1.0, max(_LEAST, *defined))
  return matplotlib.ticker.MaxNLocator(5).tick_values(low, high)


def _forest(index: int, entries: Mapping[str, Any], marks: np.ndarray) -> Forest:
  names = [_shortened(name) for name in entries]
  left, right = 6.4 * max(map(len, names)) + 18, Forest.width - 52

  def x_of(value: float) -> float | None:
    if np.isnan(value):
      return None
    inside = min(max(value, marks[0]), marks[-1])  # an interval over seeds may be wider than 1
    return round(left + (right - left) * (inside - marks[0]) / (marks[-1] - marks[0]), 1)

  rows = []
  for place, (name, (entry, interval)) in enumerate(entries.items()):
    difference, over_seeds = entry["difference"], entry["seed_interval"]
    kind = "better" if difference > 0 else "worse"
    if comparison_verdicts.may_explain(interval, over_seeds):
      kind = "unclear"
    text = "-" if np.isnan(difference) else f"{difference:+.4f}"
    y = _ROW * (place + 0.5) + (6 if place else 0)
    bounds = [x_of(value) for value in (*interval, *(over_seeds or (np.nan, np.nan)))]
    rows.append(Row(names[place], name, y, x_of(difference), *bounds, kind, text))
  ticks = [Tick(x_of(mark), f"{mark:+g}" if mark else "0") for mark in marks]
  return Forest(index + 1, rows, ticks, x_of(0.0), left, right)


def _shortened(name: str) -> str:
  return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def learning_curves(panels: Sequence[Panel], groups: Mapping[str, int]) -> list[Chart]:
  """Lays out curves of several runs over each other.

  Args:
    panels: the curves by run.
    groups: the index of the group of each run, which decides about the colour and the number at
      the end of its lines.
  """
  charts = []
  for chart in page_charts.learning_curves(panels, zoomed=True):
    lines = [dataclasses.replace(line, style=groups[line.name]) for line in chart.lines]
    charts.append(dataclasses.replace(chart, lines=lines, ends=_ends(lines, chart)))
  return charts


def _ends(lines: Sequence[page_charts.Line], chart: Chart) -> list[End]:
  """A number for each group, beside the mean end of its lines, none on another."""
  ends = []
  for group in sorted({line.style for line in lines}):
    last = [line.points.split()[-1].split(",") for line in lines if line.style == group]
    x, y = np.array(last, float).mean(axis=0)
    ends.append(End(x + 6, y, str(group + 1), group))
  order = sorted(range(len(ends)), key=lambda place: ends[place].y)
  heights = _apart([ends[place].y for place in order], chart.height - chart.bottom)
  for place, y in zip(order, heights, strict=True):
    ends[place] = dataclasses.replace(ends[place], y=y)
  return ends


def _apart(heights: Sequence[float], floor: float) -> list[float]:
  """Moves ascending heights down until they are apart, then up until none is below the floor."""
  moved: list[float] = []
  for y in heights:
    moved.append(max(y, moved[-1] + _END_GAP) if moved else y)
  for place in reversed(range(len(moved))):
    moved[place] = min(moved[place], floor - _END_GAP * (len(moved) - 1 - place))
  return moved
