"""Writes the HTML page of a study: its runs with links to their pages, and the tables."""

import pathlib
from collections.abc import Sequence

from flax_unet import files, tables
from flax_unet.evaluation.report import report, templates
from flax_unet.evaluation.report.comparison import Run


def write(
  path: pathlib.Path,
  name: str,
  command: str,
  runs: Sequence[tuple[str, Run]],
  shown: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]],
) -> None:
  """Writes the page.

  Args:
    path: the HTML file, in the folder of the study.
    name: of the study.
    command: the command that made it.
    runs: the runs by the names of their folders.
    shown: title, header and rows of each table.
  """
  html = (
    templates.environment()
    .get_template("study.html.j2")
    .render(
      name=name,
      command=command,
      runs=[
        (folder, f"{folder}/{report.FOLDER}/{report.PAGE}", tables.cell(run.scores["mean_iou"]))
        for folder, run in runs
      ],
      tables=[table for table in shown if table[2]],
    )
  )
  with files.replacing(path) as temporary:
    temporary.write_text(html)
