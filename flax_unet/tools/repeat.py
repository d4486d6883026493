"""Trains the same configuration with several seeds, or on several folds, and reports the spread.

    python -m flax_unet.tools.repeat --config=configs/camvid.py:quick --seeds=3 --workdir=runs/study
    python -m flax_unet.tools.repeat --config=configs/folder.py:... --folds=5 --workdir=runs/study
    python -m flax_unet.tools.repeat ... --against=runs/other_study

The runs are subfolders of the study's folder, `seed_0`, `seed_0_fold_1` and so on. After an
interruption, the same command resumes. At the end, it prints the mean and standard deviation of all
scores, the scores of each class, and the difference in mean IoU from another study with its paired
interval. It writes them to `study.json`, and to a page with links to the runs' reports,
`index.html`. Folds are pooled: each image is scored by the run that did not train on it.
"""

import os
import pathlib
import signal
import subprocess
import sys
import types
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from flax_unet import config_flag, errors, files, nested, tables, terminal
from flax_unet.evaluation.report import (
  comparison,
  comparison_page,
  comparison_tables,
  comparison_verdicts,
  finished_runs,
  report_files,
)
from flax_unet.planning import rules
from flax_unet.run import events, workdir

_CONFIG = config_flag.define()
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "The folder of the study, such as runs/study (default: runs/CONFIG_study)."
)
_SEEDS = flags.DEFINE_integer(
  "seeds", None, "The number of seeds, from config.seed on (default: 3; with --folds, 1).", 1
)
_FOLDS = flags.DEFINE_integer(
  "folds", None, "The number of folds; only for folder data without lists or split folders.", 2
)
_AGAINST = flags.DEFINE_string("against", None, "The folder of another study to compare with.")

_OWN_FLAGS = ("workdir", "seeds", "folds", "against")
_STUDY = finished_runs.STUDY


def main(argv: Sequence[str]) -> int:
  """Runs the program; see above."""
  if argv[1:]:
    raise errors.UserError(f"unexpected argument '{argv[1]}': settings begin with --config.")
  config_flag.settle()
  config = _CONFIG.value
  folder = _folder()
  if _FOLDS.value and config.input.data.name != "folder":
    raise errors.UserError(
      f"--folds={_FOLDS.value}: config.input.data.name = '{config.input.data.name}' has its own "
      "splits; folds need folder data without lists or split folders"
    )
  other = _read(pathlib.Path(_AGAINST.value).expanduser()) if _AGAINST.value else None
  seeds = _SEEDS.value or (1 if _FOLDS.value else 3)
  by_seed = [_runs_of_seed(seed) for seed in range(config.seed, config.seed + seeds)]
  planned: dict[str, Any] = {}  # by the first run, so that all runs are alike
  for name, settings in ((name, s) for runs in by_seed for name, s in runs.items()):
    code = _train(folder / name, {**settings, **planned})
    planned = planned or _planned(config, folder / name)
    if code:
      if code > 128:
        logging.info("Stopped in %s. To resume: %s", folder / name, terminal.command_line())
      return code
  study = {
    "command": terminal.command_line(),
    "evaluation": config.best.partition("/")[0],
    "runs": [list(runs) for runs in by_seed],
  }
  files.write_json(folder / _STUDY, study)
  _report(folder, study, other)
  return 0


def _folder() -> pathlib.Path:
  if _WORKDIR.value:
    return pathlib.Path(_WORKDIR.value).expanduser()
  default = workdir.choose(None, config_flags.get_config_filename(flags.FLAGS["config"]))
  return default.with_name(f"{default.name}_study")


def _runs_of_seed(seed: int) -> dict[str, dict[str, Any]]:
  """The settings of each run with a seed, by its name: one, or one for each fold."""
  if not _FOLDS.value:
    return {f"seed_{seed}": {"seed": seed}}
  return {
    f"seed_{seed}_fold_{fold}": {"seed": seed, "input.data.fold": f"{fold}/{_FOLDS.value}"}
    for fold in range(1, _FOLDS.value + 1)
  }


def _planned(config: ml_collections.ConfigDict, run: pathlib.Path) -> dict[str, Any]:
  """The settings that a run has chosen from its data."""
  keys = rules.keys(config.plan.rules, config)
  if not keys or not (run / config_flag.CONFIG).exists():
    return {}
  chosen = nested.flatten(
    config_flag.from_json(files.read_json(run / config_flag.CONFIG)).to_dict()
  )
  return {key: chosen[key] for key in keys}


def _train(folder: pathlib.Path, settings: dict[str, Any]) -> int:
  """Trains in a separate process, which frees all memory; returns its exit code.

  Signals are passed on to it: it saves a checkpoint and ends.
  """
  given = _others_flags(sys.argv[1:])
  changed = [f"--config.{key}={value}" for key, value in settings.items()]
  command = [sys.executable, "-m", "flax_unet.tools.train", *given, *changed]
  process, early = None, []

  def pass_on(number: int, frame: types.FrameType | None) -> None:
    del frame
    if process is None:  # it is starting
      early.append(number)
    else:
      process.send_signal(number)

  signals = (signal.SIGINT, signal.SIGTERM)
  before = [signal.signal(number, pass_on) for number in signals]
  try:
    # In a session of its own, a Ctrl-C does not reach it a second time from the terminal.
    process = subprocess.Popen(
      [*command, f"--workdir={folder}"],
      start_new_session=True,
      env=os.environ | {terminal.PART_OF_STUDY: "1"},
    )
    for number in early:
      process.send_signal(number)
    code = process.wait()
  finally:
    for number, handler in zip(signals, before, strict=True):
      signal.signal(number, handler)
  return code if code >= 0 else 128 - code


def _others_flags(arguments: Sequence[str]) -> list[str]:
  """The command line without this program's own flags, `--seeds=3` or `--seeds 3`."""
  others, skip = [], False
  for argument in arguments:
    name, has_value, _ = argument.partition("=")
    is_own = name.startswith("-") and name.lstrip("-") in _OWN_FLAGS
    if not is_own and not skip:
      others.append(argument)
    skip = is_own and not has_value
  return others


def _read(folder: pathlib.Path) -> tuple[pathlib.Path, dict[str, Any]]:
  """Reads what `main` wrote about a study."""
  if not (folder / _STUDY).exists():
    raise errors.UserError(f"--against={folder}: holds no finished study, {_STUDY} is missing")
  return folder, files.read_json(folder / _STUDY)


def _load(folder: pathlib.Path, study: dict[str, Any]) -> list[finished_runs.Run]:
  """Reads the runs of a study, one for each seed: folds are pooled."""
  return [
    finished_runs.load_pooled([folder / name for name in names], study["evaluation"])
    for names in study["runs"]
  ]


def _report(
  folder: pathlib.Path,
  study: dict[str, Any],
  other: tuple[pathlib.Path, dict[str, Any]] | None,
) -> None:
  """Prints the tables of a study, and writes its page."""
  groups = [_load(folder, study)]
  if other:
    groups.insert(0, _load(*other))
  finished_runs.check_same_pictures([run for runs in groups for run in runs])
  compared = comparison.compare(groups)
  names = [f"{_AGAINST.value}", str(folder)] if other else [str(folder)]
  for title, header, rows in comparison_tables.score_tables(compared, "", names):
    if rows:
      print(f"{title}\n\n{tables.text_table(header, rows)}\n")
  print("\n".join(comparison_verdicts.verdicts(compared, names)))
  page = folder / report_files.PAGE
  comparison_page.write(
    page,
    title=folder.name,
    command=study["command"],
    program="repeat",
    evaluations=[comparison_page.Compared(study["evaluation"], groups, compared)],
    histories={
      run: events.scalars(run) for runs in groups for found in runs for run in found.folders
    },
  )
  files.write_json(folder / _STUDY, {**study, **compared})
  logging.info("The study: %s", page)


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flag_as_required("config")
  terminal.set_up()
  errors.run(main)


if __name__ == "__main__":
  run()
