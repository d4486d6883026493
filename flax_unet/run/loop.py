"""The training loop, and what it needs around it."""

import contextlib
import functools
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import ml_collections
import numpy as np
from absl import logging

from flax_unet import devices, nested, terminal
from flax_unet.data import feed, pipeline
from flax_unet.evaluation.report import report_files
from flax_unet.run import (
  beginning,
  events,
  lock,
  parts,
  planner,
  processes,
  reporting,
  stopping,
  workdir,
)
from flax_unet.run.beginning import Beginning
from flax_unet.run.experiment import Experiment
from flax_unet.training import checkpoint, writers
from flax_unet.training.state import TrainState, params_digest
from flax_unet.training.train_log import TrainLog

if TYPE_CHECKING:  # importing it takes seconds, as it loads TensorFlow
  from clu import metric_writers, periodic_actions

_IN_STEP = ("image", "label", "weights")  # the parts of a batch that the train step takes


def train(config: ml_collections.ConfigDict, folder: pathlib.Path) -> int:
  """Trains a model, evaluates it and writes the report; resumes an interrupted run.

  Args:
    config: the configuration, see `configs/`.
    folder: the run folder, `--workdir`.

  Returns:
    The exit code: 0, or 128 plus the signal's number if SIGTERM or Ctrl-C ended the run early.

  Raises:
    UserError: the configuration, the data or the folder cannot be used, or another process is
      training in the folder.
  """
  if checkpoint.exist(folder):
    config = workdir.with_chosen(config, folder)
  processes.check_same_run(config, folder)
  config, plan = planner.settle(config)
  if plan:
    logging.info("The plan:\n\n%s\n", planner.show(plan))
  built = parts.build(config)
  with contextlib.ExitStack() as stack:
    # The lock of the first process covers all processes of a run.
    processes.in_first(lambda: stack.enter_context(lock.hold(folder)))
    begun = beginning.begin(built, folder, plan)
    if begun is None:  # it is finished
      page = folder / report_files.FOLDER / report_files.PAGE
      logging.info("%s is finished: look at %s", folder, page)
      return 0
    with begun.info.noting_how_it_ends():
      return _train(begun)


def _train(begun: Beginning) -> int:
  """Takes the remaining steps, evaluates, and writes the report.

  The order within a step is fixed: batch, step, log, save, evaluate, stop. So a failing evaluation
  loses nothing, and a run that was killed during an evaluation repeats it when it resumes.
  """
  run, info, checkpoints, state = begun.run, begun.info, begun.checkpoints, begun.state
  config, skipped, results = run.config, set(begun.skipped), {}
  step, since_best, interrupted = begun.step, begun.since_best, False
  with contextlib.ExitStack() as stack:
    stack.enter_context(checkpoints.finishing())
    stop = stack.enter_context(stopping.StopSignal())
    writer = writers.Opening(functools.partial(_open_writer, begun))
    stack.callback(writer.close)
    log = TrainLog(
      writer,
      run.schedule,
      config.log_training_steps,
      config.input.batch_size,
      config.skip_nonfinite,
      begun.unwritten_metrics,
    )

    def save(step: int) -> None:
      log.settle()
      writer.flush()  # the logs up to a checkpoint must be on disk before it
      skipped.update(devices.gather_rows(np.array(sorted(skipped), str)).tolist())
      place = {
        "examples_seen": step * config.input.batch_size,
        "skipped": sorted(skipped),
        "unwritten_metrics": log.unwritten,
        "since_best": since_best,
        "config": workdir.to_json(config),
      }
      checkpoints.save(state, step, place=place)
      info.update()

    def evaluate(step: int, due: list[str]) -> None:
      nonlocal since_best
      checkpoints.wait_until_finished()
      results.update(reporting.score_checkpoint(run, due, state, step, writer, checkpoints))
      if run.parts.best[0] in due:
        since_best = processes.broadcast(0 if checkpoints.scores.best == step else since_best + 1)
      log.restart_clock()

    if begun.due:
      evaluate(step, begun.due)
    batches = _train_batches(run, step)
    stack.callback(batches.close)
    train_step = run.parts.map_train_step()
    profilers = _make_profilers(config, begun.folder, step)
    if step < run.total_steps:
      logging.info("Compiling the train step")  # the first step does: it can take minutes
    while step < run.total_steps and not _has_converged(config, since_best):
      step += 1
      batch, waited = feed.timed_next(batches, config.input.timeout)
      state, metrics = train_step(state, {key: batch[key] for key in _IN_STEP if key in batch})
      for profile in profilers:
        profile(step)
      log.add(step, metrics, batch["id"], waited)
      skipped |= feed.newly_skipped(batch, skipped)
      due = run.due_evals(step)
      saved = bool(due) or step % config.ckpt_steps == 0
      if saved:
        save(step)
      if due:
        evaluate(step, due)
      if step < run.total_steps and stop.reached(step):
        if not saved:
          save(step)
        interrupted = True
        break
  if interrupted:
    logging.info("Stopped at step %d of %d%s", step, run.total_steps, terminal.to_resume())
    info.end(f"stopped at step {step} by {stop.signum.name}")
    return 128 + stop.signum
  if step < run.total_steps:
    logging.info(
      "Stopped early at step %d of %d: %s has not improved in %d evaluations",
      step,
      run.total_steps,
      config.best,
      since_best,
    )
    results.clear()  # score again with the audit, which only final evaluations compute
  _finish(begun, state, step, results, skipped)
  return 0


def _has_converged(config: ml_collections.ConfigDict, since_best: int) -> bool:
  """Whether `config.best` has not improved for as long as `config.early_stopping` says."""
  return 0 < config.early_stopping <= since_best


def _finish(
  begun: Beginning, state: TrainState, step: int, results: dict[str, Any], skipped: set[str]
) -> None:
  """Writes the results of a finished run; the scores first, in case the rest fails."""
  run, info = begun.run, begun.info
  missing = [name for name in run.evaluations if name not in results]  # scored by an earlier start
  results |= reporting.evaluate_all(run, missing, state.eval_variables, final=True)
  if jax.process_index() != 0:
    return
  for error in sorted(skipped):
    logging.warning("Skipped in training: %s", error)
  info.update(
    steps=step,
    params_digest=params_digest(state),
    skipped_training_examples=sorted(skipped),
    flops_per_step=run.flops_per_step(state),
  )
  reporting.write_report(
    run,
    begun.folder,
    begun.folder / report_files.FOLDER,
    step,
    state.eval_variables,
    {name: results[name] for name in run.evaluations},
    on_scores_written=lambda: info.end("finished", finished=True),
  )


def _train_batches(run: Experiment, start: int) -> Iterator[pipeline.Batch]:
  """Yields the batches after the first `start`, on the devices."""
  config = run.config
  yield from pipeline.to_devices(
    pipeline.train_batches(
      run.train_source(),
      run.parts.train_op,
      batch_size=config.input.batch_size,
      seed=config.seed,
      start=start,
      skip_bad_examples=config.input.on_bad_example == "skip",
      focus=run.focus,
      shares=run.parts_of_source,
      workers=config.input.workers,
      prefetch=config.input.prefetch,
    ),
    config.input.prefetch_to_device,
  )


def _open_writer(begun: Beginning) -> "metric_writers.MetricWriter":
  """Opens a writer to the terminal and, in the first process, to TensorBoard."""
  is_first = jax.process_index() == 0
  if is_first:
    events.forget_after(begun.folder, begun.step, again=begun.due)
  writer = writers.make(begun.run.total_steps, begun.folder if is_first else None)
  if begun.step == 0:
    writer.write_hparams(_hyperparameters(begun.run.config))
  return writer


def _hyperparameters(config: ml_collections.ConfigDict) -> dict[str, bool | int | float | str]:
  """The configuration as TensorBoard takes hyper-parameters: flat, with plain values."""
  flat = nested.flatten(config.to_dict())
  plain = (bool, int, float, str)
  return {key: value if isinstance(value, plain) else str(value) for key, value in flat.items()}


def _make_profilers(
  config: ml_collections.ConfigDict, folder: pathlib.Path, start: int
) -> "list[periodic_actions.Profile]":
  """Profilers for TensorBoard: none, or one for a few steps soon after the start."""
  if not config.profile_steps:
    return []
  from clu import periodic_actions

  return [
    periodic_actions.Profile(
      logdir=folder,
      num_profile_steps=config.profile_steps,
      profile_duration_ms=None,
      first_profile=start + 5,  # by then everything is compiled and the input has warmed up
      every_secs=None,
    )
  ]
