"""Compares finished runs side by side.

    python -m flax_unet.tools.compare RUN RUN ... [--markdown] [--json=FILE]

Each RUN is the run folder of a finished run. Shows the settings that differ, all scores, the
difference in mean IoU with its paired bootstrap interval, and the scores of each class. Runs that
differ only in their seed share a column, with mean and standard deviation. All differences are
relative to the first column.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_unet import errors, files
from flax_unet.evaluation.report import comparison, comparison_tables
from flax_unet.tables import markdown_table, text_table

_EVAL = flags.DEFINE_string(
  "eval", None, "The evaluation to compare, such as val (default: all that the runs share)."
)
_MARKDOWN = flags.DEFINE_boolean("markdown", False, "Print the tables as Markdown.")
_JSON = flags.DEFINE_string("json", None, "A file to write all numbers to, such as compared.json.")


def main(argv: Sequence[str]):
  """Runs the program; see above."""
  if len(argv) < 2:
    raise errors.UserError("no runs: name the run folder of at least one finished run")
  folders = [pathlib.Path(folder).expanduser() for folder in argv[1:]]
  names = [_EVAL.value] if _EVAL.value else comparison.shared_evaluations(folders)
  compared = {name: _compare(folders, name) for name in names}
  first, *others = names
  _print(comparison_tables.run_tables(compared[first]))
  for name in names:
    _print(comparison_tables.score_tables(compared[name], f", {name}" if others else ""))
  if _JSON.value:
    content = compared[first] | {"others": {name: compared[name] for name in others}}
    files.write_output(_JSON.value, content)


def _compare(folders: Sequence[pathlib.Path], name: str) -> dict[str, Any]:
  """Compares an evaluation of all runs."""
  runs = [comparison.load(folder, name) for folder in folders]
  comparison.check_same_pictures(runs)
  return comparison.compare(comparison.group(runs))


def _print(tables: Sequence[comparison_tables.Table]) -> None:
  for title, header, rows in tables:
    if rows:
      table = markdown_table if _MARKDOWN.value else text_table
      print(f"{'### ' if _MARKDOWN.value else ''}{title}\n\n{table(header, rows)}\n")


def run() -> None:
  """Runs the program with the arguments of the command line."""
  errors.run(main)


if __name__ == "__main__":
  run()
