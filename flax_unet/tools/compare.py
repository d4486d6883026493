"""Compares finished runs side by side.

    python -m flax_unet.tools.compare RUN RUN ... [--markdown] [--json=FILE] [--page=DIR]

Each RUN is the run folder of a finished run, or the folder of a study (see `repeat`), which stands
for its runs. Shows the settings that differ, all scores, and the differences in mean IoU and in the
IoU of each class with paired bootstrap intervals. Runs that differ only in their seed share a
column, with mean and standard deviation. All differences are relative to the first column.
`--page=DIR` also writes the comparison to `DIR/index.html`, with curves and the images that differ
most.
"""

import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from flax_unet import errors, files, terminal
from flax_unet.evaluation.report import (
  comparison,
  comparison_tables,
  comparison_verdicts,
  finished_runs,
  report_files,
)
from flax_unet.tables import markdown_table, text_table

_EVAL = flags.DEFINE_string(
  "eval", None, "The evaluation to compare, such as val (default: all that the runs share)."
)
_MARKDOWN = flags.DEFINE_boolean("markdown", False, "Print the tables as Markdown.")
_JSON = flags.DEFINE_string("json", None, "A file to write all numbers to, such as compared.json.")
_PAGE = flags.DEFINE_string(
  "page", None, "A folder to write the comparison to as a page, such as compared."
)


def main(argv: Sequence[str]):
  """Runs the program; see above."""
  if len(argv) < 2:
    raise errors.UserError("no runs: name the run folder of at least one finished run")
  runs = finished_runs.of_folders([pathlib.Path(folder).expanduser() for folder in argv[1:]])
  folders = [folder for run in runs for folder in run]
  names = [_EVAL.value] if _EVAL.value else finished_runs.shared_evaluations(folders)
  page = _page_file(pathlib.Path(_PAGE.value).expanduser()) if _PAGE.value else None
  groups = {name: _groups(runs, name) for name in names}
  compared = {name: comparison.compare(groups[name]) for name in names}
  first, *others = names
  _print(comparison_tables.run_tables(compared[first]))
  for name in names:
    _print(comparison_tables.score_tables(compared[name], f", {name}" if others else ""))
    print("\n".join(comparison_verdicts.verdicts(compared[name])) + "\n")
  if _JSON.value:
    content = compared[first] | {"others": {name: compared[name] for name in others}}
    files.write_output(_JSON.value, content)
  if page:
    _write_page(page, groups, compared)
    print(f"Look at {page}")


def _groups(runs: Sequence[Sequence[pathlib.Path]], name: str) -> list[list[finished_runs.Run]]:
  """Loads an evaluation of all runs, and puts those together that differ only in their seed."""
  loaded = [finished_runs.load_pooled(folders, name) for folders in runs]
  finished_runs.check_same_pictures(loaded)
  return comparison.group(loaded)


def _page_file(folder: pathlib.Path) -> pathlib.Path:
  """Creates the folder of the page, and returns the page's path.

  Raises:
    UserError: the folder is not writable, is that of a run, or holds another page.
  """
  from flax_unet.evaluation.report import comparison_page

  page = folder / report_files.PAGE
  if (folder / "run.json").exists():
    raise errors.UserError(f"--page={folder}: is the folder of a run; choose another")
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
      pass
    if page.exists() and not comparison_page.is_of(page, "compare"):
      raise errors.UserError(f"{page}: is not the page of a comparison; choose another --page")
  except OSError as error:
    raise errors.UserError(f"--page={folder}: cannot be written ({error.strerror})") from error
  return page


def _write_page(
  page: pathlib.Path,
  groups: Mapping[str, Sequence[Sequence[finished_runs.Run]]],
  compared: Mapping[str, Mapping[str, Any]],
) -> None:
  # They import matplotlib and TensorBoard's file format.
  from flax_unet.evaluation.report import comparison_page
  from flax_unet.run import events

  first = next(iter(groups.values()))
  comparison_page.write(
    page,
    title=comparison_page.title(first),
    command=terminal.command_line(),
    program="compare",
    evaluations=[
      comparison_page.Compared(name, groups[name], numbers) for name, numbers in compared.items()
    ],
    histories={
      folder: events.scalars(folder) for runs in first for run in runs for folder in run.folders
    },
  )


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
