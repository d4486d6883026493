"""The tables of a comparison of runs, for the terminal and for pages."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flax_unet import terminal

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def _columns(compared: Mapping[str, Any]) -> list[str]:
  """Returns the names of the columns, one per group of runs: #1, #2 and so on."""
  return [f"#{number}" for number, _ in enumerate(compared["groups"], start=1)]


def run_tables(compared: Mapping[str, Any]) -> list[Table]:
  """Returns title, header and rows of the tables of runs and settings."""
  names = _columns(compared)
  runs = [
    (name, ", ".join(item["runs"]), ", ".join(map(_value, item["seeds"])))
    for name, item in zip(names, compared["groups"], strict=True)
  ]
  settings = [
    (key, *(", ".join(map(_value, values)) for values in by_group))
    for key, by_group in compared["settings"].items()
  ]
  return [
    ("Runs", ("", "run folder", "seed"), runs),
    ("Settings that differ", ("setting", *names), settings),
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
  names, titles = names or _columns(compared), compared["titles"]
  others = [f"{name} - {names[0]}" for name in names[1:]]
  differences = compared["scores"].get("mean_iou", ())[1:]
  intervals = [
    (name, _signed(entry["difference"]), f"{_signed(low)} to {_signed(high)}")
    for name, entry, (low, high) in zip(
      others if differences else (),
      differences,
      compared["mean_iou_difference_interval"] if differences else (),
      strict=True,
    )
  ]
  class_score = titles.get(compared["class_score"], compared["class_score"])
  return [
    (
      f"Scores on {terminal.counted(compared['pictures'], 'image')}{suffix}",
      ("score", *names, *others),
      _score_rows(compared["scores"], titles),
    ),
    (
      f"Difference in mean IoU{suffix}",
      ("", "difference", "95 % interval over images, paired; does not cover seeds"),
      intervals,
    ),
    (
      f"{class_score} by class{suffix}",
      ("class", *names, *others),
      _score_rows(compared["per_class"], {}),
    ),
  ]


def _score_rows(
  scores: Mapping[str, Sequence[Mapping[str, float | None]]], titles: Mapping[str, str]
) -> list[list[str]]:
  """Returns a row for each score: its value in each group, then the differences from the first."""
  return [
    [
      titles.get(name, name.replace("_", " ")),
      *(_spread(entry["mean"], entry["std"]) for entry in by_group),
      *(_signed(entry["difference"]) for entry in by_group[1:]),
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


def _value(value: Any) -> str:
  """Formats a setting."""
  return f"{value:g}" if isinstance(value, float) else str(value)
