"""Compares the BatchNorm statistics that averaged parameters can be evaluated with.

    python -m benchmarks.average_statistics --workdir=RUN [--step=N] [--batches=100]

The run has `config.ema_decay`. Scores its averaged parameters with the moving average of the
statistics, as the program does, with those of the live network, and with statistics recomputed over
training batches; and the live network for comparison. Prints the mean IoU of each.
"""

import pathlib

import jax
import numpy as np
from absl import app, flags

from flax_unet import terminal
from flax_unet.data import pipeline
from flax_unet.models import base
from flax_unet.run import experiment, parts, trained
from flax_unet.training import checkpoint

_MOMENTUM = 0.9  # of all networks' BatchNorm

_WORKDIR = flags.DEFINE_string("workdir", None, "The run folder.", required=True)
_STEP = flags.DEFINE_integer("step", None, "The checkpoint; by default the newest.")
_BATCHES = flags.DEFINE_integer("batches", 100, "How many batches to recompute statistics over.")


def _recomputed(run: experiment.Experiment, params, statistics):
  """The mean of the statistics of single batches."""
  model = run.parts.model.clone(axis_name=None)
  zeros = jax.tree.map(np.zeros_like, statistics)

  @jax.jit
  def of_batch(images):
    variables = {"params": params, "batch_stats": zeros}  # updated to a tenth of the batch's own
    key = {"dropout": jax.random.key(0)}
    apply = base.OnImages(model)
    _, updated = apply(variables, images, train=True, mutable=["batch_stats"], rngs=key)
    return updated["batch_stats"]

  config = run.config.input
  batches = pipeline.train_batches(
    run.train_source(), run.parts.train_op, batch_size=config.batch_size, seed=1
  )
  total = zeros
  for _ in range(_BATCHES.value):
    found = of_batch(next(batches)["image"][0])
    total = jax.tree.map(lambda a, b: a + np.asarray(b, np.float64), total, found)
  batches.close()
  return jax.tree.map(lambda x: (x / _BATCHES.value / (1 - _MOMENTUM)).astype(np.float32), total)


def main(_) -> None:
  """Prints the scores."""
  terminal.quiet_libraries()
  folder = pathlib.Path(_WORKDIR.value)
  run = experiment.open_data(parts.build(trained.config_of(folder)))
  checkpoints = checkpoint.Checkpoints(folder, read_only=True)
  step = _STEP.value or checkpoints.newest
  state, _ = checkpoints.restore(step, run.init_state())
  state = jax.device_get(state)
  averaged, live = state.ema_params, state.batch_stats
  evaluate = run.evaluations[run.parts.best[0]]
  for name, params, statistics in (
    ("average, averaged statistics", averaged, state.ema_batch_stats),
    ("average, live statistics", averaged, live),
    ("average, recomputed statistics", averaged, _recomputed(run, averaged, live)),
    ("live network", state.params, live),
  ):
    found = evaluate({"params": params, "batch_stats": statistics})
    print(f"step {step}  {name:32} mean IoU {found.scores['mean_iou']:.4f}", flush=True)


if __name__ == "__main__":
  app.run(main)
