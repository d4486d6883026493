"""The geometry of the page's charts; the template draws it in the colours of the reader's theme."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.ticker
import numpy as np

from flax_unet.evaluation.metrics import segmentation

Curve = tuple[Sequence[int], Sequence[float]]

_MAX_POINTS = 400  # of a line: more than a chart has pixels would only make the page larger
_MAX_LABELLED = 32  # classes in a confusion matrix with names and numbers
_FAINTEST = 1e-3  # share of a row's pixels from which on a cell of the confusion matrix is drawn


@dataclasses.dataclass(frozen=True)
class Tick:
  """A mark on an axis: where, and what stands there."""

  at: float
  text: str


@dataclasses.dataclass(frozen=True)
class Line:
  """One line of a chart.

  Attributes:
    name: what it shows.
    points: its coordinates as SVG has them, "x,y x,y".
    lone: the coordinates where there is one point only, which would be no line; or None.
    best: coordinates and text of the best value, or None.
  """

  name: str
  points: str
  lone: tuple[float, float] | None
  best: tuple[float, float, str] | None


@dataclasses.dataclass(frozen=True)
class Chart:
  """A chart of `width` x `height` units, with room for the ticks' texts at the left and bottom."""

  title: str
  lines: list[Line]
  x_ticks: list[Tick]
  y_ticks: list[Tick]
  width: int = 360
  height: int = 220
  left: int = 46
  bottom: int = 26
  top: int = 14
  right: int = 16


def learning_curves(history: Mapping[str, Curve]) -> list[Chart]:
  """Makes charts of loss, mean IoU and learning rate; those without a curve are left out.

  Args:
    history: steps and values of `loss`, `learning_rate` and, for every eval, `<eval>/mean_iou`.
      Values that are not finite are left out.
  """
  finite = {name: _finite(curve) for name, curve in history.items()}
  curves = {name: curve for name, curve in finite.items() if len(curve[0])}
  scores = {
    name.removesuffix("/mean_iou"): curve
    for name, curve in curves.items()
    if name.endswith("/mean_iou")
  }
  groups = {
    "Loss": {"loss": curves["loss"]} if "loss" in curves else {},
    "Mean IoU": scores,
    "Learning rate": {"rate": curves["learning_rate"]} if "learning_rate" in curves else {},
  }
  last_step = max(
    (steps[-1] for group in groups.values() for steps, _ in group.values()), default=0
  )
  return [
    _chart(title, group, int(last_step), mark_best=group is scores)
    for title, group in groups.items()
    if group
  ]


def _finite(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
  steps, values = np.asarray(curve[0]), np.asarray(curve[1], np.float64)
  keep = np.isfinite(values)
  return steps[keep], values[keep]


def _chart(
  title: str,
  curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
  last_step: int,
  mark_best: bool,
) -> Chart:
  """Lays out curves over the steps `0..last_step`; values start at 0."""
  chart = Chart(title, [], [], [])
  highest = max(values.max() for _, values in curves.values())
  y_values = matplotlib.ticker.MaxNLocator(4).tick_values(0, highest if highest > 0 else 1)
  x_values = matplotlib.ticker.MaxNLocator(5, integer=True).tick_values(0, max(last_step, 1))
  right, floor = chart.width - chart.right, chart.height - chart.bottom

  def x_of(step: float) -> float:
    return round(chart.left + (right - chart.left) * step / max(last_step, 1), 1)

  def y_of(value: float) -> float:
    return round(floor - (floor - chart.top) * value / y_values[-1], 1)

  for name, (steps, values) in curves.items():
    drawn = zip(*_thinned(steps, values), strict=True)
    places = [(x_of(step), y_of(value)) for step, value in drawn]
    points = " ".join(f"{x},{y}" for x, y in places)
    lone = places[0] if len(places) == 1 else None
    at = np.argmax(values)
    best = (x_of(steps[at]), y_of(values[at]), f"{values[at]:.4f}") if mark_best else None
    chart.lines.append(Line(name, points, lone, best))
  number = matplotlib.ticker.EngFormatter(sep="")
  chart.x_ticks.extend(Tick(x_of(x), number(x)) for x in x_values if 0 <= x <= last_step)
  chart.y_ticks.extend(Tick(y_of(y), _short(y)) for y in y_values if y >= 0)
  return chart


def _short(value: float) -> str:
  """A number that fits beside an axis: "0.25", "2.5e-4"."""
  plain = f"{value:g}"
  if len(plain) <= 5 and "e" not in plain:
    return plain
  return np.format_float_scientific(value, precision=2, trim="-", exp_digits=1)


def _thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Averages neighbours, until there are few enough points."""
  starts = np.arange(0, len(values), math.ceil(len(values) / _MAX_POINTS))
  counts = np.diff([*starts, len(values)])
  return np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts


@dataclasses.dataclass(frozen=True)
class Matrix:
  """Where the confusion matrix lies among the names of its classes, in the units of its drawing."""

  names: Sequence[str]

  @property
  def labelled(self) -> bool:
    """Whether there is room for names, and for numbers in the cells."""
    return len(self.names) <= _MAX_LABELLED

  @property
  def side(self) -> int:
    """Of a cell."""
    return 26 if self.labelled else 8

  @property
  def size(self) -> int:
    """Of all cells."""
    return self.side * len(self.names)

  @property
  def left(self) -> int:
    """Room for the rows' names."""
    return max(112, self._text + 10)

  @property
  def top(self) -> int:
    """Room for the columns' names, which rise by 60 degrees."""
    return round(0.87 * self._text) + 16

  @property
  def right(self) -> int:
    """Room for the end of the last column's name."""
    return round(0.5 * self._text) + 2

  @property
  def _text(self) -> int:
    """About the width of the longest name."""
    return round(6.2 * max(map(len, self.names))) if self.labelled else 0


@dataclasses.dataclass(frozen=True)
class Cell:
  """A cell of the confusion matrix, with the share of its row's pixels."""

  row: int
  column: int
  share: float

  @property
  def opacity(self) -> float:
    """The square root, so that a few per cent can be seen."""
    return round(math.sqrt(self.share), 2)


def confusion_cells(confusion: np.ndarray) -> list[Cell]:
  """The cells that can be seen, row by row.

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
  """The confusions that take the most pixels.

  Args:
    confusion: int64 `[classes, classes]`.
    names: of the classes.
    number: of confusions.

  Returns:
    For each, the most frequent first: `true` and `predicted`, class names; `pixels`; and `share`,
    that of the true class's pixels.
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
