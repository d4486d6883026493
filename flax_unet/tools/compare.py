"""Compares finished runs side by side.

    python -m flax_unet.tools.compare RUN RUN ... [--markdown] [--json=FILE]

Each RUN is the run folder of a finished run. Shows the settings that differ, all scores, the
difference in mean IoU with its paired bootstrap interval, and the scores of each class. Runs that
differ only in their seed share a column, with mean and standard deviation. All differences are
relative to the first column.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from flax_unet import errors, files, terminal
from flax_unet.evaluation.report import comparison
from flax_unet.tables import markdown_table, text_table

_EVAL = flags.DEFINE_string(
  "eval", None, "The evaluation to compare, such as val (default: all that the runs share)."
)
_MARKDOWN = flags.DEFINE_boolean("markdown", False, "Print the tables as Markdown.")
_JSON = flags.DEFINE_string("json", None, "A file to write all numbers to, such as compared.json.")


Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def main(argv: Sequence[str]):
  """Runs the program; see above."""
  if len(argv) < 2:
    raise errors.UserError("no runs: name the run folder of at least one finished run")
  folders = [pathlib.Path(folder).expanduser() for folder in argv[1:]]
  names = [_EVAL.value] if _EVAL.value else comparison.shared_evaluations(folders)
  compared = {name: _compare(folders, name) for name in names}
  first, *others = names
  print_tables(run_tables(compared[first]))
  for name in names:
    print_tables(score_tables(compared[name], f", {name}" if others else ""))
  if _JSON.value:
    content = compared[first] | {"others": {name: compared[name] for name in others}}
    files.write_output(_JSON.value, content)


def _compare(folders: Sequence[pathlib.Path], name: str) -> dict[str, Any]:
  """Compares an evaluation of all runs."""
  runs = [comparison.load(folder, name) for folder in folders]
  comparison.check_same_pictures(runs)
  return comparison.compare(comparison.group(runs))


def print_tables(tables: Sequence[Table]) -> None:
  """Prints title and content of each table that has rows."""
  for title, header, rows in tables:
    if rows:
      table = markdown_table if _MARKDOWN.value else text_table
      print(f"{'### ' if _MARKDOWN.value else ''}{title}\n\n{table(header, rows)}\n")


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


def run() -> None:
  """Runs the program with the arguments of the command line."""
  errors.run(main)


if __name__ == "__main__":
  run()
