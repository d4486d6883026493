"""Runs evaluations and writes their curves, scores and reports."""

import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import ml_collections
import numpy as np
from absl import logging

from flax_unet.evaluation.evaluation import Result
from flax_unet.evaluation.report import curves, report, report_files
from flax_unet.run import events, experiment, parts, processes, run_info, trained, workdir
from flax_unet.run.experiment import Experiment
from flax_unet.training import checkpoint
from flax_unet.training.checkpoint_scores import DecisiveScore
from flax_unet.training.state import TrainState
from flax_unet.weights import fit

if TYPE_CHECKING:  # importing it takes seconds, as it loads TensorFlow
  from clu import metric_writers


def score_checkpoint(
  run: Experiment,
  names: Iterable[str],
  state: TrainState,
  step: int,
  writer: "metric_writers.MetricWriter",
  checkpoints: checkpoint.Checkpoints,
) -> dict[str, Result]:
  """Evaluates the state saved last; writes its curves to disk before its score."""
  results = evaluate_all(run, names, state.eval_variables, final=step == run.total_steps)
  _write_results(writer, run, step, results)
  writer.flush()
  name, score = run.parts.best
  decisive = None
  if name in results:
    decisive = DecisiveScore(
      f"{run.eval_digest(name)}/{score.name}",
      results[name].scores.get(score.name, np.nan),
      score.higher_is_better,
    )
  checkpoints.scores.write(step, {name: run.eval_digest(name) for name in results}, decisive)
  return results


def evaluate_all(
  run: Experiment, names: Iterable[str], variables: Mapping[str, Any], *, final: bool
) -> dict[str, Result]:
  """Evaluates the model; only final scores include the audit."""
  return {name: run.evaluations[name](variables, audit_predictions=final) for name in names}


def _write_results(
  writer: "metric_writers.MetricWriter", run: Experiment, step: int, results: dict[str, Result]
) -> None:
  """Writes scores and images for TensorBoard."""
  for name, result in results.items():
    writer.write_scalars(step, {f"{name}/{key}": value for key, value in result.values.items()})
    writer.write_images(step, report.panels(name, result.examples, run.label_space))


def write_report(
  run: Experiment,
  folder: pathlib.Path,
  output: pathlib.Path,
  step: int,
  variables: Mapping[str, Any],
  results: Mapping[str, Result],
  on_scores_written: Callable[[], None] = lambda: None,
) -> None:
  """Writes the report on a step's results, and logs where it is.

  Args:
    run: the experiment.
    folder: the run folder.
    output: the folder of the report.
    step: the number of steps the model has been trained for.
    variables: the model's variables.
    results: the results of the evaluations, by name.
    on_scores_written: called once the scores are on disk, before anything is drawn.
  """
  config = workdir.to_json(run.config)
  report.write_scores(
    output,
    step=step,
    results=results,
    label_space=run.label_space,
    settings={"evals": config["evals"], "data": run.dataset.fingerprint()},
  )
  on_scores_written()
  for name, result in results.items():
    logging.info("Scores at step %d\n%s", step, report.text(name, result))
  history = {tag.removeprefix("train/"): curve for tag, curve in events.scalars(folder).items()}
  panels = curves.panels(history, {name: result.table[0] for name, result in results.items()})
  report.write_figures(output, results=results, panels=panels, label_space=run.label_space)
  first = run.evaluations[next(iter(results))]
  report.write_page(
    output,
    run=folder.absolute().name,
    step=step,
    results=results,
    history=history,
    panels=panels,
    label_space=run.label_space,
    config=config,
    run_info=run_info.read(folder),
    predict=functools.partial(first.pictures, variables),
  )
  logging.info("Look at %s", output / report_files.PAGE)


def evaluate(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  which: str,
  output: pathlib.Path | None = None,
) -> dict[str, Result]:
  """Evaluates a checkpoint of a run, and writes a separate report.

  Args:
    config: the run's configuration; its `evals` and `input` may differ from those of training.
    folder: the run folder, in which only `evaluations` changes.
    which: "newest" or "best".
    output: the folder of the report; None: `evaluations/<step>_<digest of the evals>` in `folder`.

  Returns:
    The result of each evaluation, by name.

  Raises:
    UserError: there is no checkpoint, it is of another model, or the report cannot be written.
  """
  config = workdir.with_chosen(config, folder)
  trained.check_same_model(config, folder)
  label_space = trained.read_label_space(folder)
  built = parts.build(config, label_space=label_space)
  processes.check_same_run(config, folder)
  run = experiment.open_data(built)
  step, variables = trained.load_variables(folder, which)
  fit.check_variables(built.model, variables, str(folder))
  if output is None:
    evals = json.dumps(workdir.to_json(config)["evals"], sort_keys=True)
    digest = hashlib.sha256(evals.encode()).hexdigest()[:8]
    output = folder / "evaluations" / f"{step}_{digest}"
  results = evaluate_all(run, run.evaluations, variables, final=True)
  if jax.process_index() == 0:
    write_report(run, folder, output, step, variables, results)
  return results
