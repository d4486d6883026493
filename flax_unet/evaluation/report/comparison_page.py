"""Writes the HTML page of a comparison: runs, settings, scores, intervals, curves and images.

Like the report of a run, the page is one file that works offline. It links the runs' reports.
"""

import dataclasses
import itertools
import os
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from flax_unet import files, tables
from flax_unet.data import file_search
from flax_unet.evaluation.metrics.score import Score
from flax_unet.evaluation.report import (
  comparison_charts,
  comparison_images,
  comparison_tables,
  comparison_verdicts,
  curves,
  finished_runs,
  report_files,
  report_pictures,
  templates,
)
from flax_unet.evaluation.report.curves import Curve, Panel
from flax_unet.evaluation.report.finished_runs import Run

_IMAGES = 5  # number of images that a group loses or gains most on
_PICTURES = 2  # number of pictures of each
_MOST_COLUMNS = 9  # of a table that fits on the page, and on paper
_MOST_PAIRS = 3  # of a difference and its interval in such a table
_MOST_TRIPLES = 2  # of a difference and two intervals

Pictures = Mapping[pathlib.Path, Mapping[str, Mapping[str, str]]]  # see `report_pictures`, by run
History = Mapping[str, Curve]  # of a run, by the tag of its event files


@dataclasses.dataclass(frozen=True)
class Compared:
  """An evaluation of all runs.

  Attributes:
    name: of the evaluation.
    groups: the runs, grouped.
    numbers: from `comparison.compare`.
  """

  name: str
  groups: Sequence[Sequence[Run]]
  numbers: Mapping[str, Any]

  @property
  def headline(self) -> Score | None:
    """The most important score of the evaluation."""
    found = self.groups[0][0].scores.get("definitions", {})
    named = [Score(**item) for item in found.values() if item["name"] in self.numbers["scores"]]
    return named[0] if named else None


def write(
  path: pathlib.Path,
  *,
  title: str,
  command: str,
  program: str,
  evaluations: Sequence[Compared],
  histories: Mapping[pathlib.Path, History],
) -> None:
  """Writes the page.

  Args:
    path: the HTML file.
    title: its title.
    command: the command that made it.
    program: "compare" or "repeat", see `is_of`.
    evaluations: the evaluations, all of the same runs.
    histories: the curves by run folder; folders without curves are named on the page.
  """
  groups = evaluations[0].groups
  folders = {folder: index for index, runs in enumerate(groups) for folder in _folders(runs)}
  pictures = {
    folder: report_pictures.read(folder / report_files.FOLDER / report_files.PAGE)
    for folder in folders
  }
  panels = _panels(evaluations, {folder: histories.get(folder, {}) for folder in folders})
  first = evaluations[0]
  _, *settings = comparison_tables.run_tables(first.numbers)  # the page has its own table of runs
  environment = templates.environment()
  environment.filters |= {"score": tables.cell, "title": curves.upper_first}
  html = environment.get_template("comparison.html.j2").render(
    title=title,
    command=command,
    program=program,
    marks={f"#{index + 1}": index for index in range(len(groups))},
    names=group_names(groups),
    runs=[
      [_run(folder, run, first, path.parent) for run in runs for folder in run.folders]
      for runs in groups
    ],
    number_of_runs=sum(len(_folders(runs)) for runs in groups),
    headline=first.headline,
    settings=settings,
    evaluations=[_evaluation(item, pictures, len(evaluations) > 1) for item in evaluations],
    few_images=comparison_charts.FEW_IMAGES,
    charts=comparison_charts.learning_curves(
      panels, {str(folder): index for folder, index in folders.items()}
    ),
    without_curves=[str(folder) for folder in folders if not histories.get(folder)],
  )
  with files.replacing(path) as temporary:
    temporary.write_text(html, encoding="utf-8")


def is_of(path: pathlib.Path, program: str) -> bool:
  """Whether a file is a page that this program wrote."""
  mark = f'<meta name="generator" content="flax_unet {program}">'
  return mark in path.read_text(encoding="utf-8", errors="replace")


def title(groups: Sequence[Sequence[Run]]) -> str:
  """The title of a page on these groups: their names, if they are few."""
  *others, last = group_names(groups)
  if len(groups) > 3:
    return f"{len(groups)} groups of runs compared"
  return f"{', '.join(others)} and {last} compared" if others else last


def group_names(groups: Sequence[Sequence[Run]]) -> list[str]:
  """Names groups by what the paths of their runs have in common."""
  paths = [[folder.absolute() for folder in _folders(runs)] for runs in groups]
  root = os.path.commonpath([folder.parent for folders in paths for folder in folders])
  names = []
  for folders in paths:
    inside = [os.path.relpath(folder, root) for folder in folders]
    if len(folders) == 1:
      names.append(inside[0])
      continue
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*inside, strict=False))
    common = "".join(letters[0] for letters in same).rstrip("_-. /") or inside[0]
    names.append(f"{common} ({len(folders)} runs)")
  return names


def _folders(runs: Sequence[Run]) -> list[pathlib.Path]:
  return [folder for run in runs for folder in run.folders]


def _run(
  folder: pathlib.Path, run: Run, item: Compared, page_folder: pathlib.Path
) -> dict[str, Any]:
  """A line of the table of runs; folds that were pooled have their own scores."""
  if len(run.folders) > 1:
    run = finished_runs.load(folder, item.name)
  report = folder / report_files.FOLDER / report_files.PAGE
  link = None
  if report.exists():
    relative = os.path.relpath(report.resolve(), page_folder.resolve())
    link = urllib.parse.quote(os.fsencode(pathlib.Path(relative).as_posix()))
  return {
    "folder": file_search.printable(str(folder)),
    "link": link,
    "seed": run.config.get("seed"),
    "step": run.facts["step"],
    "score": run.scores[item.headline.name] if item.headline else None,
  }


def _evaluation(item: Compared, pictures: Pictures, several: bool) -> dict[str, Any]:
  """What the template shows of an evaluation."""
  first, *others = item.groups
  suffix = f", {item.name}" if several else ""
  images = [_images(first, runs, pictures) for runs in others]
  names = list(item.numbers["per_class"])
  if len(names) != first[0].confusions.shape[1]:  # an evaluator without scores by class
    names = [f"class {index}" for index in range(first[0].confusions.shape[1])]
  return {
    "name": item.name,
    "pictures": item.numbers["pictures"],
    "tables": _split(comparison_tables.split_tables(item.numbers, suffix)),
    "class_tables": _split(comparison_tables.class_tables(item.numbers, suffix)),
    "verdicts": comparison_verdicts.verdicts(item.numbers),
    "has_seeds": comparison_tables.has_seeds(item.numbers),
    "forests": comparison_charts.forests(item.numbers),
    "has_few": any(
      number < comparison_charts.FEW_IMAGES for number in item.numbers["class_pictures"].values()
    ),
    "images": images,
    "differ": any(found["lost"] or found["gained"] for found in images),
    "class_names": names,
  }


def _split(
  tables: Sequence[comparison_tables.Table],
) -> list[tuple[str, list[tuple[Sequence[str], list[Sequence[str]]]]]]:
  """Titles and parts of the tables that have rows."""
  return [(title, _parts(header, rows)) for title, header, rows in tables if rows]


def _parts(
  header: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[tuple[Sequence[str], list[Sequence[str]]]]:
  """Splits a table that is too wide into several: groups from differences, then some of each."""
  if len(header) <= _MOST_COLUMNS:
    return [(header, list(rows))]
  if comparison_tables.INTERVAL in header:
    with_seeds = comparison_tables.SEED_INTERVAL in header
    fixed, size = 2, 3 * _MOST_TRIPLES if with_seeds else 2 * _MOST_PAIRS
  else:
    groups = sum(" - " not in name for name in header[1:])
    fixed, size = 1, min(groups, _MOST_COLUMNS - 1)

  def part(line: Sequence[str], start: int) -> Sequence[str]:
    return [*line[:fixed], *line[start : start + size]]

  starts = range(fixed, len(header), size)
  return [(part(header, start), [part(row, start) for row in rows]) for start in starts]


def _images(first: Sequence[Run], other: Sequence[Run], pictures: Pictures) -> dict[str, Any]:
  """The images that differ most, and pictures of those that do among what both reports show."""
  lost, gained = comparison_images.changed(first, other)
  before, after = (
    {
      name: panels
      for run in reversed(runs)
      if run.is_pictured
      for folder in run.folders
      for name, panels in pictures[folder].items()
    }
    for runs in (first, other)
  )
  shown = [
    (image, before[image.id], after[image.id])
    for images in (lost, gained)
    for image in [image for image in images if image.id in before and image.id in after][:_PICTURES]
  ]
  return {"lost": lost[:_IMAGES], "gained": gained[:_IMAGES], "shown": shown}


def _panels(
  evaluations: Sequence[Compared], histories: Mapping[pathlib.Path, History]
) -> list[Panel]:
  """The training losses, and each evaluation's most important score."""
  wanted = {"Training loss": "train/loss"}
  for item in evaluations:
    if item.headline:
      title = f"{curves.upper_first(item.headline.title)}, {item.name}"
      wanted[title] = f"{item.name}/{item.headline.name}"
  found = [
    Panel(title, {str(run): curve[tag] for run, curve in histories.items() if tag in curve})
    for title, tag in wanted.items()
  ]
  return [panel for panel in found if panel.curves]
