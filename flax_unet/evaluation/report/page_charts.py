"""The geometry of the report's charts; the template draws them in the colours of the theme."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import matplotlib.ticker
import numpy as np

from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report.curves import Curve, Panel

_MAX_POINTS = 400  # per line; more points than pixels would only make the file larger
_ZOOMED_POINTS = 100  # per line of a zoomed chart: the averages show trends instead of noise
_ZOOMED_FROM = 0.25  # share of a curve's steps that a zoomed axis need not show
_MAX_LABELLED = 32  # largest number of classes for a confusion matrix with names and numbers
_FAINTEST = 1e-3  # least share of a row's pixels for which a cell of the matrix is drawn


@dataclasses.dataclass(frozen=True)
class Tick:
  """A mark on an axis: its position and text."""

  at: float
  text: str


@dataclasses.dataclass(frozen=True)
class Line:
  """One line of a chart.

  Attributes:
    name: the name of the line.
    points: its coordinates in SVG notation, "x,y x,y".
    lone: the coordinates of the only point, if there is just one; or None.
    best: coordinates and text of the best value, or None.
    style: the number of its colour.
  """

  name: str
  points: str
  lone: tuple[float, float] | None
  best: tuple[float, float, str] | None
  style: int


@dataclasses.dataclass(frozen=True)
class End:
  """A text at the end of a line, in the line's colour."""

  x: float
  y: float
  text: str
  style: int


@dataclasses.dataclass(frozen=True)
class Chart:
  """A chart of `width` x `height` units, with room for tick labels at the left and bottom.

  Attributes:
    title: the title.
    lines: the curves.
    x_ticks: the marks on the axis of steps.
    y_ticks: the marks on the axis of values.
    ends: numbers at the ends of the lines, by which to tell them apart; or none.
  """

  title: str
  lines: list[Line]
  x_ticks: list[Tick]
  y_ticks: list[Tick]
  ends: list[End] = dataclasses.field(default_factory=list)
  width: int = 360
  height: int = 220
  left: int = 46
  bottom: int = 26
  top: int = 14
  right: int = 16


def learning_curves(panels: Sequence[Panel], *, zoomed: bool = False) -> list[Chart]:
  """Lays out curves, see `curves.panels`, without values that are not finite.

  Args:
    panels: the curves.
    zoomed: whether to show small differences: the axis of values covers the last three quarters of
      each curve, so that lines may leave the chart, and curves are averaged over more steps.
  """
  finite = []
  for panel in panels:
    curves = {name: _finite(curve) for name, curve in panel.curves.items()}
    curves = {name: curve for name, curve in curves.items() if len(curve[0])}
    if curves:
      finite.append(dataclasses.replace(panel, curves=curves))
  last_step = max(
    (int(steps[-1]) for panel in finite for steps, _ in panel.curves.values()), default=0
  )
  return [_chart(panel, last_step, zoomed) for panel in finite]


def _finite(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
  steps, values = np.asarray(curve[0]), np.asarray(curve[1], np.float64)
  keep = np.isfinite(values)
  return steps[keep], values[keep]


def _chart(panel: Panel, last_step: int, zoomed: bool) -> Chart:
  """Lays out curves over the steps `0..last_step`; see `learning_curves`."""
  chart = Chart(panel.title, [], [], [])
  y_values = (_zoomed_axis if zoomed else _axis_from_zero)(panel)
  x_values = matplotlib.ticker.MaxNLocator(5, integer=True).tick_values(0, max(last_step, 1))
  right, floor = chart.width - chart.right, chart.height - chart.bottom
  bottom = y_values[0]

  def x_of(step: float) -> float:
    return round(chart.left + (right - chart.left) * step / max(last_step, 1), 1)

  def y_of(value: float) -> float:
    return round(floor - (floor - chart.top) * (value - bottom) / (y_values[-1] - bottom), 1)

  for style, (name, (steps, values)) in enumerate(panel.curves.items()):
    most = _ZOOMED_POINTS if zoomed else _MAX_POINTS
    drawn = zip(*_thinned(steps, values, most), strict=True)
    places = [(x_of(step), y_of(value)) for step, value in drawn]
    points = " ".join(f"{x},{y}" for x, y in places)
    lone = places[0] if len(places) == 1 else None
    at = panel.best_of(name)
    best = (x_of(steps[at]), y_of(values[at]), f"{values[at]:.4f}") if panel.best else None
    chart.lines.append(Line(name, points, lone, best, style))
  number = matplotlib.ticker.EngFormatter(sep="")
  chart.x_ticks.extend(Tick(x_of(x), number(x)) for x in x_values if 0 <= x <= last_step)
  chart.y_ticks.extend(Tick(y_of(y), _short(y)) for y in y_values)
  return chart


def _axis_from_zero(panel: Panel) -> np.ndarray:
  """The marks of an axis of values that starts at 0, or below if needed."""
  lowest = min(0.0, *(values.min() for _, values in panel.curves.values()))
  highest = max(values.max() for _, values in panel.curves.values())
  marks = matplotlib.ticker.MaxNLocator(4).tick_values(lowest, highest if highest > 0 else 1)
  return marks if lowest < 0 else marks[marks >= 0]


def _zoomed_axis(panel: Panel) -> np.ndarray:
  """The marks of an axis of values that leaves out the beginning of every curve."""
  late = [
    values[np.asarray(steps) >= _ZOOMED_FROM * steps[-1]] for steps, values in panel.curves.values()
  ]
  lowest, highest = min(values.min() for values in late), max(values.max() for values in late)
  return matplotlib.ticker.MaxNLocator(4).tick_values(lowest, highest)


def _short(value: float) -> str:
  """A number short enough for an axis: "0.25", "2.5e-4"."""
  plain = f"{value:g}"
  if len(plain) <= 5 and "e" not in plain:
    return plain
  return np.format_float_scientific(value, precision=2, trim="-", exp_digits=1)


def _thinned(steps: np.ndarray, values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
  """Averages neighbouring points, so that at most `most` remain."""
  starts = np.arange(0, len(values), math.ceil(len(values) / most))
  counts = np.diff([*starts, len(values)])
  return np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts


@dataclasses.dataclass(frozen=True)
class Matrix:
  """The layout of the confusion matrix and its class names, in the units of the drawing."""

  names: Sequence[str]

  @property
  def labelled(self) -> bool:
    """Whether there is room for names and for numbers in the cells."""
    return len(self.names) <= _MAX_LABELLED

  @property
  def side(self) -> int:
    """Side length of a cell."""
    return 26 if self.labelled else 8

  @property
  def size(self) -> int:
    """Side length of the whole matrix."""
    return self.side * len(self.names)

  @property
  def left(self) -> int:
    """Room for the row names."""
    return max(112, self._text + 10)

  @property
  def top(self) -> int:
    """Room for the column names, which are rotated by 60 degrees."""
    return round(0.87 * self._text) + 16

  @property
  def right(self) -> int:
    """Room for the end of the last column's name."""
    return round(0.5 * self._text) + 2

  @property
  def _text(self) -> int:
    """Approximate width of the longest name."""
    return round(6.2 * max(map(len, self.names))) if self.labelled else 0


@dataclasses.dataclass(frozen=True)
class Cell:
  """A cell of the confusion matrix, with its share of the row's pixels."""

  row: int
  column: int
  share: float

  @property
  def opacity(self) -> float:
    """The square root of the share, so that a few percent are visible."""
    return round(math.sqrt(self.share), 2)


def confusion_cells(confusion: np.ndarray) -> list[Cell]:
  """The visible cells, row by row.

  Args:
    confusion: int64 `[classes, classes]`, rows are true classes.
  """
  shares = segmentation.ratio(confusion, confusion.sum(axis=1, keepdims=True))
  rows, columns = np.nonzero(shares >= _FAINTEST)
  return [
    Cell(int(row), int(column), float(shares[row, column]))
    for row, column in zip(rows, columns, strict=True)
  ]


def frequent_confusions(
  confusion: np.ndarray, names: Sequence[str], number: int
) -> list[dict[str, Any]]:
  """The confusions with the most pixels.

  Args:
    confusion: int64 `[classes, classes]`.
    names: names of the classes.
    number: the largest number of confusions to return.

  Returns:
    For each, most frequent first: `true` and `predicted`, class names; `pixels`; and `share`, the
    share of the true class's pixels.
  """
  wrong = confusion.copy()
  np.fill_diagonal(wrong, 0)
  found = []
  for flat in np.argsort(-wrong, axis=None, kind="stable")[:number]:
    row, column = np.unravel_index(flat, wrong.shape)
    if pixels := int(wrong[row, column]):
      share = pixels / int(confusion[row].sum())
      found.append(
        {"true": names[row], "predicted": names[column], "pixels": pixels, "share": share}
      )
  return found
