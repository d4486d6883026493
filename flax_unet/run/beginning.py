"""Starts or resumes a run: its folder, data and state."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import logging

from flax_unet import terminal
from flax_unet.evaluation.report import report_files
from flax_unet.run import experiment, extension, init_from, planner, processes, run_info, workdir
from flax_unet.run.experiment import Experiment
from flax_unet.run.parts import Parts
from flax_unet.training import checkpoint
from flax_unet.training.state import TrainState, num_params


@dataclasses.dataclass(frozen=True)
class Beginning:
  """Where training begins.

  Attributes:
    run: the parts of the run.
    folder: the run's folder.
    info: the run's `run.json`.
    checkpoints: the run's checkpoints.
    step: the number of steps taken so far.
    state: the state after those steps.
    skipped: the errors of the examples skipped so far.
    unwritten_metrics: metrics of the last steps, not yet logged; see `TrainLog`.
    due: evaluations of this step that are still missing, because the run was interrupted in them.
    since_best: the number of evaluations since the best one.
  """

  run: Experiment
  folder: pathlib.Path
  info: run_info.RunInfo
  checkpoints: checkpoint.Checkpoints
  step: int
  state: TrainState
  skipped: Sequence[str]
  unwritten_metrics: Sequence[dict[str, float]]
  due: Sequence[str]
  since_best: int


def begin(parts: Parts, folder: pathlib.Path, plan: Sequence[planner.Row] = ()) -> Beginning | None:
  """Opens a run in a folder that this process owns.

  Args:
    parts: what the configuration names.
    folder: the run folder.
    plan: the choices of a plan, for `run.json`.

  Returns:
    Where to begin, or None if the run is finished and its report exists.

  Raises:
    UserError: the folder holds another run, or the data are unusable or have changed since the run
      began.
  """
  config = parts.config
  fresh = processes.broadcast(not checkpoint.exist(folder))
  initial = init_from.initial(config.init_from, parts.model) if config.init_from and fresh else {}
  changes = processes.in_first(lambda: workdir.check_config(folder, config, fresh=fresh)) or []
  info = run_info.RunInfo(folder, fresh=fresh)
  run = experiment.open_data(parts)
  processes.in_first(lambda: workdir.check_data(folder, info.content, run.dataset, run.label_space))
  checkpoints = checkpoint.Checkpoints(folder)
  step = checkpoints.newest or 0
  processes.in_first(lambda: extension.check(folder, run, changes, step))
  if step == run.total_steps:
    processes.in_first(lambda: workdir.check_ended(folder, changes))
  processes.in_first(lambda: workdir.write_config(folder, run.config))
  ended = step == run.total_steps or info.content.get("steps") == step  # or it stopped early
  if processes.broadcast(ended and not changes) and _is_complete(folder, info):
    checkpoints.close()
    return None
  logging.info("Initialising %s", config.model_name)
  state = run.init_state()
  facts = run.summary(state) | {"writes to": str(folder)}
  logging.info("%s", terminal.aligned(facts))
  info.begin(
    step,
    changes,
    data=run.dataset.fingerprint(),
    parameters=num_params(state),
  )
  info.update(total_steps=run.total_steps, finished=False)
  if plan:
    info.update(plan=list(plan))
  if run.config.model.get("mean", ()) != config.model.get("mean", ()):
    info.update(mean=list(run.parts.model.mean), stddev=list(run.parts.model.stddev))
  if run.class_weights:
    info.update(
      class_weights=dict(zip(run.label_space.class_names, run.class_weights, strict=True))
    )
  place: dict[str, Any] = {"skipped": [], "unwritten_metrics": []}
  due: list[str] = []
  since_best = 0
  if checkpoints.newest is None:
    state = init_from.put(initial, state)
  else:
    state, place = checkpoints.restore(step, state)
    logging.info("Resuming at step %d of %d", step, run.total_steps)
    due = run.due_evals(step)
    since_best = place.get("since_best", 0)
    rescored = [change for change in changes if change["key"].split(".")[0] in ("best", "evals")]
    if processes.broadcast(bool(rescored)):  # only the first process knows of changes
      since_best = 0
    evaluated = checkpoints.scores.evaluated(step)
    if processes.broadcast(all(evaluated.get(name) == run.eval_digest(name) for name in due)):
      if parts.best[0] in due:
        since_best = processes.broadcast(0 if checkpoints.scores.best == step else since_best + 1)
      due = []
  return Beginning(
    run=run,
    folder=folder,
    info=info,
    checkpoints=checkpoints,
    step=step,
    state=state,
    skipped=place["skipped"],
    unwritten_metrics=place["unwritten_metrics"],
    due=due,
    since_best=since_best,
  )


def _is_complete(folder: pathlib.Path, info: run_info.RunInfo) -> bool:
  """Whether the run is finished and its report exists; all processes get the same answer."""
  complete = all((folder / report_files.FOLDER / name).is_file() for name in report_files.COMPLETE)
  return processes.broadcast(complete and info.content.get("finished", False))
