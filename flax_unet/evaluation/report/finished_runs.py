"""Reads finished runs: their settings, facts, scores and per-image confusion matrices."""

import dataclasses
import itertools
import pathlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flax_unet import files, nested
from flax_unet.data import label_space_file
from flax_unet.errors import UserError
from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report import report_files

STUDY = "study.json"  # in the folder of a study, see tools/repeat.py

# The parts of run.json that may explain a difference; the rest differs in every run.
_FACTS = ("git_commit", "versions", "devices", "parameters", "seconds", "changes")


@dataclasses.dataclass(frozen=True)
class Run:
  """One finished run, scored on one split.

  Attributes:
    folders: the run folder; for pooled folds, one for each.
    config: the settings by dotted key.
    facts: the step that was scored, and parts of run.json, by dotted key.
    scores: as in `report/metrics.json`.
    ids: str `[images]`.
    confusions: int64 `[images, classes, classes]`.
    is_pictured: whether the pages of its reports show images of this evaluation.
  """

  folders: tuple[pathlib.Path, ...]
  config: Mapping[str, Any]
  facts: Mapping[str, Any]
  scores: Mapping[str, Any]
  ids: np.ndarray
  confusions: np.ndarray
  is_pictured: bool

  @property
  def folder(self) -> pathlib.Path:
    """The first run folder, to name the run in messages."""
    return self.folders[0]


def of_folders(folders: Sequence[pathlib.Path]) -> list[list[pathlib.Path]]:
  """Lists the runs that folders stand for: each is one run, or a study with all its runs.

  Returns:
    The folders of each run; several for the folds of a study, which count as one run.

  Raises:
    UserError: a run is named twice.
  """
  runs = []
  for folder in folders:
    if (folder / STUDY).exists():
      study = files.read_json(folder / STUDY)
      runs += [[folder / name for name in names] for names in study["runs"]]
    else:
      runs.append([folder])
  seen = set()
  for folder in itertools.chain.from_iterable(runs):
    if folder.resolve() in seen:
      raise UserError(f"{folder}: is given twice; name each run once")
    seen.add(folder.resolve())
  return runs


def shared_evaluations(folders: Sequence[pathlib.Path]) -> list[str]:
  """The names of the evaluations that all runs have, in the order of the first run.

  Raises:
    UserError: a report is missing or unreadable, or the runs share no evaluation.
  """
  first, *others = (list(_read_report(folder)["evals"]) for folder in folders)
  shared = [name for name in first if all(name in names for names in others)]
  if not shared:
    raise UserError(f"{', '.join(map(str, folders))}: have no evaluation in common")
  return shared


def _read_report(folder: pathlib.Path) -> dict[str, Any]:
  file = folder / report_files.FOLDER / report_files.SCORES
  if not file.exists():
    raise UserError(f"{file}: does not exist; is {folder} the workdir of a finished run?")
  report = files.read_json(file)
  evals = report.get("evals")
  if not evals:
    raise UserError(f"{folder}: its report/metrics.json holds no evaluation")
  if "step" not in report:
    raise UserError(f"{folder}/report/metrics.json: is of another version of flax_unet")
  return report


def load(folder: pathlib.Path, name: str | None = None) -> Run:
  """Reads an evaluation of a run.

  Args:
    folder: the run folder.
    name: the name of the evaluation; None: the first.

  Raises:
    UserError: a file is missing or unreadable, or there is no such evaluation.
  """
  report = _read_report(folder)
  evals = report["evals"]
  name = name or next(iter(evals))
  if name not in evals:
    raise UserError(f"{folder}: has no evaluation '{name}', only {', '.join(evals)}")
  file = folder / report_files.FOLDER / report_files.CONFUSIONS
  try:
    with file.open("rb") as stream, np.load(stream) as arrays:
      ids, confusions = arrays[f"{name}/ids"], arrays[f"{name}/confusions"]
    if len(ids) != len(confusions):
      raise ValueError("another number of images")
  except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
    raise UserError(f"{file}: holds no readable matrices of evaluation '{name}'") from None
  order = np.argsort(ids)
  info = files.read_json(folder / "run.json")
  facts = {key: info[key] for key in _FACTS if info.get(key)}
  return Run(
    folders=(folder,),
    config=nested.flatten(files.read_json(folder / "config.json")),
    facts={"step": report["step"], **nested.flatten(facts)},
    scores=evals[name],
    ids=ids[order],
    confusions=confusions[order],
    is_pictured=name == next(iter(evals)),
  )


def load_pooled(folders: Sequence[pathlib.Path], name: str) -> Run:
  """Reads an evaluation of a run, or of several folds as if they were one.

  Raises:
    UserError: see `load` and `pool`.
  """
  runs = [load(folder, name) for folder in folders]
  return pool(runs, name) if len(runs) > 1 else runs[0]


def completed(runs: Sequence[Run]) -> list[Run]:
  """Gives runs of earlier versions the settings that exist now, with their defaults."""
  keys = [set(run.config) for run in runs]
  if all(other == keys[0] for other in keys):
    return list(runs)
  from flax_unet.run import workdir  # imports jax

  configs = [workdir.completed(files.read_json(run.folder / "config.json")) for run in runs]
  return [
    dataclasses.replace(run, config=config) for run, config in zip(runs, configs, strict=True)
  ]


def check_same_pictures(runs: Sequence[Run]) -> None:
  """Refuses runs that were not scored on the same labels of the same images.

  Raises:
    UserError: the message names the runs, and what differs.
  """
  first = runs[0]
  for run in runs[1:]:
    pair = f"{run.folder} and {first.folder} were scored on different"
    ours, theirs = set(run.ids.tolist()), set(first.ids.tolist())
    if ours != theirs:
      raise UserError(
        f"{pair} images: {_some(ours - theirs)} only in the first, "
        f"{_some(theirs - ours)} only in the second"
      )
    if run.confusions.shape != first.confusions.shape:
      raise UserError(f"{pair} classes: {run.confusions.shape[1]} and {first.confusions.shape[1]}")
    names, other_names = (list(one.scores.get("per_class", {})) for one in (run, first))
    if names != other_names:
      differ = [
        f"'{ours}' and '{theirs}'"
        for ours, theirs in zip(names, other_names, strict=False)
        if ours != theirs
      ]
      raise UserError(f"{pair} classes, or in another order: {', '.join(differ[:3])}")
    labels, other_labels = run.confusions.sum(axis=2), first.confusions.sum(axis=2)
    if (different := (labels != other_labels).any(axis=1)).any():
      index = int(np.argmax(different))
      raise UserError(
        f"{pair} labels: in {run.ids[index]}, {labels[index].sum()} and "
        f"{other_labels[index].sum()} pixels count; compare runs at the same resolution"
      )


def pool(runs: Sequence[Run], name: str) -> Run:
  """Puts the folds of a cross-validation together, as if one run had scored all their images.

  Args:
    runs: the runs of the folds.
    name: of the evaluation.

  Raises:
    UserError: two of them scored the same image, or the scores do not follow from confusion
      matrices.
  """
  kind = runs[0].config[f"evals.{name}.type"]
  if kind != "segmentation":
    raise UserError(
      f"{runs[0].folder}: folds can only be put together for evaluations of type 'segmentation', "
      f"not config.evals.{name}.type = '{kind}'"
    )
  ids = np.concatenate([run.ids for run in runs])
  order = np.argsort(ids)
  if len(set(ids.tolist())) < len(ids):
    raise UserError(f"{runs[0].folder} and {runs[1].folder}: have images in common")
  confusions = np.concatenate([run.confusions for run in runs])[order]
  label_space = label_space_file.read(runs[0].folder / label_space_file.NAME)
  scores = segmentation.scores(confusions.sum(axis=0), label_space)
  return dataclasses.replace(
    runs[0],
    folders=tuple(folder for run in runs for folder in run.folders),
    scores={"definitions": runs[0].scores.get("definitions", {}), **scores},
    ids=ids[order],
    confusions=confusions,
  )


def _some(ids: set[str]) -> str:
  """Some of the ids, for a message."""
  shown = ", ".join(sorted(ids)[:3])
  more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
  return f"{shown or 'none'}{more}"
