"""Puts finished runs side by side.

    python -m flax_unet.tools.compare RUN RUN ... [--markdown] [--json=FILE]

Each RUN is the workdir of a finished run. Shows the settings that differ, all scores, the
difference of the mean IoU with its paired bootstrap interval, and the IoU of each class. Runs that
differ only in their seed are one column, with mean and standard deviation. All differences are from
the first column.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from flax_unet import errors, files, terminal
from flax_unet.evaluation.report import comparison
from flax_unet.tables import markdown_table, text_table

_EVAL = flags.DEFINE_string("eval", None, "Which evaluation to compare (default: the first).")
_MARKDOWN = flags.DEFINE_boolean("markdown", False, "Print the tables as Markdown.")
_JSON = flags.DEFINE_string("json", None, "File to write all numbers to.")


def main(argv: Sequence[str]):
  if len(argv) < 2:
    raise errors.UserError("no runs: name at least one workdir of a finished run")
  runs = [comparison.load(pathlib.Path(folder), _EVAL.value) for folder in argv[1:]]
  comparison.check_same_pictures(runs)
  compared = comparison.compare(comparison.group(runs))
  for title, header, rows in tables(compared):
    if rows:
      table = markdown_table if _MARKDOWN.value else text_table
      print(f"{'### ' if _MARKDOWN.value else ''}{title}\n\n{table(header, rows)}\n")
  if _JSON.value:
    files.write_output(_JSON.value, compared)


Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def tables(compared: Mapping[str, Any]) -> list[Table]:
  """Title, header and rows of each table; the groups of runs are columns #1, #2 and so on."""
  names = [f"#{number}" for number, _ in enumerate(compared["groups"], start=1)]
  others = [f"{name} - {names[0]}" for name in names[1:]]
  runs = [
    (name, ", ".join(item["runs"]), ", ".join(map(_value, item["seeds"])))
    for name, item in zip(names, compared["groups"], strict=True)
  ]
  settings = [
    (key, *(", ".join(map(_value, values)) for values in by_group))
    for key, by_group in compared["settings"].items()
  ]
  intervals = [
    (name, _signed(entry["difference"]), f"{_signed(low)} to {_signed(high)}")
    for name, entry, (low, high) in zip(
      others,
      compared["scores"]["mean_iou"][1:],
      compared["mean_iou_difference_interval"],
      strict=True,
    )
  ]
  return [
    ("Runs", ("", "workdir", "seed"), runs),
    ("Settings that differ", ("setting", *names), settings),
    (
      f"Scores on {terminal.counted(compared['pictures'], 'picture')}",
      ("score", *names, *others),
      _score_rows(compared["scores"]),
    ),
    (
      "Difference of the mean IoU",
      ("", "difference", "95 % interval over pictures, paired; does not cover seeds"),
      intervals,
    ),
    ("IoU by class", ("class", *names, *others), _score_rows(compared["per_class"])),
  ]


def _score_rows(scores: Mapping[str, Sequence[Mapping[str, float | None]]]) -> list[list[str]]:
  """A row for each score: its value in each group, then the differences from the first."""
  return [
    [
      name.replace("_", " "),
      *(_spread(entry["mean"], entry["std"]) for entry in by_group),
      *(_signed(entry["difference"]) for entry in by_group[1:]),
    ]
    for name, by_group in scores.items()
  ]


def _spread(mean: float, std: float | None) -> str:
  """A mean with its standard deviation over seeds, where there is one."""
  if np.isnan(mean):
    return "-"
  return f"{mean:.4f}" if std is None else f"{mean:.4f} ± {std:.4f}"


def _signed(value: float) -> str:
  return "-" if np.isnan(value) else f"{value:+.4f}"


def _value(value: Any) -> str:
  """A setting as text."""
  return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
  errors.run(main)
