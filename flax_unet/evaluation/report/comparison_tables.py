"""The tables of a comparison of runs, for the terminal and for pages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flax_unet import terminal

# Intervals of the difference in the column before.
INTERVAL, SEED_INTERVAL = "95 % over images", "95 % over seeds"

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def _columns(compared: Mapping[str, Any]) -> list[str]:
  """Returns the names of the columns, one per group of runs: #1, #2 and so on."""
  return [f"#{number}" for number, _ in enumerate(compared["groups"], start=1)]


def run_tables(compared: Mapping[str, Any]) -> list[Table]:
  """Returns title, header and rows of the tables of runs, settings and facts."""
  names = _columns(compared)
  runs = [
    (name, ", ".join(item["runs"]), ", ".join(map(_value, item["seeds"])))
    for name, item in zip(names, compared["groups"], strict=True)
  ]
  settings, facts = (
    [
      (key, *(", ".join(map(_value, values)) for values in by_group))
      for key, by_group in compared[name].items()
    ]
    for name in ("settings", "facts")
  )
  return [
    ("Runs", ("", "run folder", "seed"), runs),
    ("Settings that differ", ("setting", *names), settings),
    ("Facts that differ", ("fact", *names), facts),
  ]


def score_tables(
  compared: Mapping[str, Any], suffix: str, names: Sequence[str] | None = None
) -> list[Table]:
  """Returns title, header and rows of the tables of an evaluation.

  Args:
    compared: from `comparison.compare`.
    suffix: ends each title.
    names: the names of the columns; None: #1, #2 and so on.
  """
  return [*split_tables(compared, suffix, names), *class_tables(compared, suffix, names)]


def split_tables(
  compared: Mapping[str, Any], suffix: str, names: Sequence[str] | None = None
) -> list[Table]:
  """The tables of the scores of the split; see `score_tables`."""
  names = names or _columns(compared)
  others = _differences(names)
  differences = compared["scores"].get("mean_iou", ())[1:]
  intervals = [
    (name, _signed(entry["difference"]), _bounds(interval), _bounds(entry["seed_interval"]))
    for name, entry, interval in zip(
      others if differences else (),
      differences,
      compared["mean_iou_difference_interval"] if differences else (),
      strict=True,
    )
  ]
  return [
    (
      f"Scores on {terminal.counted(compared['pictures'], 'image')}{suffix}",
      ("score", *names, *others),
      _score_rows(compared["scores"], compared["titles"]),
    ),
    (
      f"Difference in mean IoU{suffix}",
      ("", "difference", INTERVAL, SEED_INTERVAL),
      intervals,
    ),
  ]


def class_tables(
  compared: Mapping[str, Any], suffix: str, names: Sequence[str] | None = None
) -> list[Table]:
  """The tables of the scores by class, and of their differences; see `score_tables`."""
  names = names or _columns(compared)
  others = _differences(names)
  title = compared["titles"].get(compared["class_score"], compared["class_score"])
  by_class = compared["class_difference_intervals"] if others else {}
  values = _score_rows(compared["per_class"], {}, differences=not by_class)
  shown = (f"{title} by class{suffix}", ("class", *names, *(() if by_class else others)), values)
  if not by_class:
    return [shown]
  shown_intervals = [INTERVAL, *([SEED_INTERVAL] if has_seeds(compared) else [])]
  differences = (
    f"Difference in {title} by class{suffix}",
    ("class", "images", *(cell for name in others for cell in (name, *shown_intervals))),
    [
      [name, str(compared["class_pictures"][name]), *_class_cells(compared, name)]
      for name in by_class
    ],
  )
  if len(others) > 1:
    return [shown, differences]
  header = (*shown[1], *differences[1][1:])
  rows = [[*row, *more[1:]] for row, more in zip(values, differences[2], strict=True)]
  return [(shown[0], header, rows)]


def has_seeds(compared: Mapping[str, Any]) -> bool:
  """Whether two groups have several runs, so that differences have intervals over seeds."""
  first, *others = (len(item["seeds"]) > 1 for item in compared["groups"])
  return first and any(others)


def _differences(names: Sequence[str]) -> list[str]:
  """Names the columns of differences from the first group."""
  return [f"{name} - {names[0]}" for name in names[1:]]


def _class_cells(compared: Mapping[str, Any], name: str) -> Iterator[str]:
  """Yields the difference and its intervals in each group but the first, for a class."""
  groups = compared["per_class"][name][1:]
  for entry, interval in zip(groups, compared["class_difference_intervals"][name], strict=True):
    yield _signed(entry["difference"])
    yield _bounds(interval)
    if has_seeds(compared):
      yield _bounds(entry["seed_interval"])


def _score_rows(
  scores: Mapping[str, Sequence[Mapping[str, float | None]]],
  titles: Mapping[str, str],
  differences: bool = True,
) -> list[list[str]]:
  """Returns a row for each score: its value in each group, then the differences from the first."""
  return [
    [
      titles.get(name, name.replace("_", " ")),
      *(_spread(entry["mean"], entry["std"]) for entry in by_group),
      *(_signed(entry["difference"]) for entry in by_group[1:] if differences),
    ]
    for name, by_group in scores.items()
  ]


def _spread(mean: float, std: float | None) -> str:
  """Formats a mean with its standard deviation over seeds, if there is one."""
  if np.isnan(mean):
    return "-"
  return f"{mean:.4f}" if std is None else f"{mean:.4f} ± {std:.4f}"


def _signed(value: float) -> str:
  return "-" if np.isnan(value) else f"{value:+.4f}"


def _bounds(interval: tuple[float, float] | None) -> str:
  if interval is None:
    return "-"
  low, high = interval
  return "-" if np.isnan(low) else f"{_signed(low)} to {_signed(high)}"


def _value(value: Any) -> str:
  """Formats a setting."""
  return f"{value:g}" if isinstance(value, float) else str(value)
