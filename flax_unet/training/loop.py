"""Training: the loop, and what stands around it."""

import functools
import pathlib
import shlex
import sys
import time
from collections.abc import Iterable

import flax
import jax
import ml_collections
from absl import logging
from clu import metric_writers, periodic_actions

from flax_unet import terminal
from flax_unet.data import pipeline
from flax_unet.evaluation import report
from flax_unet.evaluation.evaluator import Result
from flax_unet.training import (
  checkpoint,
  checks,
  events,
  experiment,
  feed,
  stopping,
  weights,
  workdir,
)
from flax_unet.training.experiment import Experiment
from flax_unet.training.state import TrainState, num_params, params_digest
from flax_unet.training.train_log import ProgressWriter, TrainLog


def train(config: ml_collections.ConfigDict, folder: pathlib.Path) -> int:
  """Trains a model, evaluates it and writes the report; goes on where a run stopped.

  The order within a step is fixed: batch, step, log, evaluate, save, stop.

  Args:
    config: what to do, see `configs/`.
    folder: the run's folder, the "workdir".

  Returns:
    The exit code: 0, or 128 and the signal's number where SIGTERM or Ctrl-C ended the run early.

  Raises:
    UserError: the configuration, the data or the folder cannot be used.
  """
  started = time.monotonic()
  checks.check(config)
  # Before the folder has its configuration, so that one which cannot be used may be corrected.
  starts_fresh = not checkpoint.exist(folder)
  initial = weights.initial(config) if config.init_from and starts_fresh else {}
  workdir.open_workdir(folder, config)
  run = experiment.build(config)
  checkpoints = checkpoint.Checkpoints(folder)
  state = run.init_state()
  logging.info("%s", terminal.aligned(run.summary(state) | {"writes to": str(folder)}))
  start = checkpoints.newest or 0
  skipped, unwritten = set(), []  # the errors of examples that could not be used; see `TrainLog`
  if checkpoints.newest is None:
    state = weights.put(initial, state)
  else:
    state, place = checkpoints.restore(start, state)
    skipped, unwritten = set(place["skipped"]), place["unwritten_metrics"]
    logging.info("Going on from step %d of %d", start, run.total_steps)
  events.forget_after(folder, start)

  batches = pipeline.to_devices(
    pipeline.train_batches(
      run.train_source(),
      run.train_op,
      batch_size=config.input.batch_size,
      seed=config.seed,
      start=start,
      skip_bad_examples=config.input.on_bad_example == "skip",
      workers=config.input.workers,
      prefetch=config.input.prefetch,
    ),
    config.input.prefetch_to_device,
  )
  train_step = experiment.map_train_step(config)
  writer = _make_writer(folder, run.total_steps)
  if start == 0:
    writer.write_hparams(_hyperparameters(config))
  profilers = _make_profilers(config, folder, start)
  log = TrainLog(
    writer,
    run.schedule,
    config.log_training_steps,
    config.input.batch_size,
    config.skip_nonfinite,
    unwritten,
  )

  results, stopped = {}, False
  with stopping.StopSignal() as stop:
    for step in range(start + 1, run.total_steps + 1):
      batch, waited = feed.timed_next(batches, config.input.timeout)
      state, metrics = train_step(state, {key: batch[key] for key in ("image", "label")})
      for profile in profilers:
        profile(step)
      log.add(step, metrics, batch["id"], waited)
      skipped |= feed.newly_skipped(batch, skipped)
      due = _due_evals(config, step, run.total_steps)
      if due:
        log.settle()
        results = _evaluate(run, due, state, final=step == run.total_steps)
        _write_results(writer, run, step, results)
        log.restart_clock()
      stopped = step < run.total_steps and stop.reached(step)
      if due or stopped or step % config.ckpt_steps == 0:
        log.settle()
        writer.flush()  # all that led to a checkpoint is on disk before it
        checkpoints.save(
          state,
          step,
          place={
            "examples_seen": step * config.input.batch_size,
            "skipped": sorted(skipped),
            "unwritten_metrics": log.unwritten,
          },
          config=config.to_dict(),
          mean_iou=_score(run, results if due else {}),
        )
      if stopped:
        break
  batches.close()
  writer.close()
  checkpoints.close()
  if stopped:
    command = shlex.join(["python", *sys.argv])
    logging.info("Stopped at step %d of %d. To go on: %s", step, run.total_steps, command)
    return 128 + stop.signum
  if not results:  # the run had come to its end before
    results = _evaluate(run, run.evaluators, state, final=True)
  if jax.process_index() == 0:
    for error in sorted(skipped):
      logging.warning("Left out in training: %s", error)
    workdir.write_run_info(
      folder,
      data=run.dataset.fingerprint(),
      parameters=num_params(state),
      params_digest=params_digest(state),
      steps=run.total_steps,
      skipped_training_examples=sorted(skipped),
      flops_per_step=run.flops_per_step(state),
      seconds=time.monotonic() - started,
    )
    _write_report(run, folder, run.total_steps, state, results)
  return 0


def _make_writer(folder: pathlib.Path, total_steps: int) -> metric_writers.MetricWriter:
  """Writes to the terminal, and in the first process to TensorBoard."""
  writers = [ProgressWriter(total_steps)]
  if jax.process_index() == 0:
    writers.append(metric_writers.SummaryWriter(str(folder)))
  return metric_writers.AsyncMultiWriter(writers)


def _hyperparameters(config: ml_collections.ConfigDict) -> dict[str, bool | int | float | str]:
  """The configuration as TensorBoard has hyper-parameters: flat, of plain values."""
  flat = flax.traverse_util.flatten_dict(config.to_dict(), sep=".")
  plain = (bool, int, float, str)
  return {key: value if isinstance(value, plain) else str(value) for key, value in flat.items()}


def _make_profilers(
  config: ml_collections.ConfigDict, folder: pathlib.Path, start: int
) -> list[periodic_actions.Profile]:
  """What profiles the run, for TensorBoard: nothing, or some steps soon after the start."""
  if not config.profile_steps:
    return []
  return [
    periodic_actions.Profile(
      logdir=folder,
      num_profile_steps=config.profile_steps,
      profile_duration_ms=None,
      first_profile=start + 5,  # programs are compiled, and the input has settled
      every_secs=None,
    )
  ]


def _due_evals(config: ml_collections.ConfigDict, step: int, total_steps: int) -> list[str]:
  return [
    name
    for name, eval_config in config.evals.items()
    if step % eval_config.log_steps == 0 or step == total_steps
  ]


def _evaluate(
  run: Experiment, names: Iterable[str], state: TrainState, *, final: bool
) -> dict[str, Result]:
  """Evaluates the model; the audit is for the final scores."""
  variables = state.eval_variables
  return {name: run.evaluators[name](variables, audit_predictions=final) for name in names}


def _score(run: Experiment, results: dict[str, Result]) -> float | None:
  """The mean IoU by which the best checkpoint is told: that of the configuration's first eval."""
  first = next(iter(run.evaluators))
  return results[first].scores["mean_iou"] if first in results else None


def _write_results(
  writer: metric_writers.MetricWriter, run: Experiment, step: int, results: dict[str, Result]
) -> None:
  """Writes scores and pictures for TensorBoard."""
  for name, result in results.items():
    keys = ("mean_iou", "pixel_accuracy", "mean_f1")
    writer.write_scalars(step, {f"{name}/{key}": result.scores[key] for key in keys})
    writer.write_images(step, report.panels(name, result.examples, run.label_space))


def _write_report(
  run: Experiment, folder: pathlib.Path, step: int, state: TrainState, results: dict[str, Result]
) -> None:
  """Writes the report of a step's results, and says where it is."""
  curves = events.scalars(folder)
  history = {tag.removeprefix("train/"): curve for tag, curve in curves.items()}
  content = {
    "step": step,
    "results": results,
    "history": history,
    "label_space": run.label_space,
  }
  report.write(folder / "report", **content)
  first = run.evaluators[next(iter(results))]
  report.write_page(
    folder, **content, predict=functools.partial(first.pictures, state.eval_variables)
  )
  for name, result in results.items():
    logging.info("Scores at step %d\n%s", step, report.text(name, result))
  logging.info("Look at %s", folder / "report" / "index.html")


def evaluate(config: ml_collections.ConfigDict, folder: pathlib.Path, which: str) -> None:
  """Evaluates a checkpoint of a run, and writes the report anew.

  Args:
    config: the run's configuration; its `evals` may differ from those of training.
    folder: the run's folder.
    which: "newest" or "best".

  Raises:
    UserError: there is no checkpoint.
  """
  checks.check(config)
  checkpoints = checkpoint.Checkpoints(folder, read_only=True)
  step = checkpoints.choose(which)
  run = experiment.build(config)
  state, _ = checkpoints.restore(step, run.init_state())
  _write_report(run, folder, step, state, _evaluate(run, run.evaluators, state, final=True))
