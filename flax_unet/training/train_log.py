"""Averages, checks and logs what train steps return."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np
import optax
from absl import logging

from flax_unet import errors

if TYPE_CHECKING:  # importing it takes seconds, as it loads TensorFlow
  from clu import metric_writers


class TrainLog:
  """Averages the metrics of steps and writes them at intervals.

  The metrics of a step are read after the next step has been dispatched, so that the devices never
  wait for the host.
  """

  def __init__(
    self,
    writer: "metric_writers.MetricWriter",
    schedule: optax.Schedule,
    every_steps: int,
    batch_size: int,
    skip_nonfinite: int = 0,
    unwritten: Sequence[Mapping[str, float]] = (),
  ):
    """Sets the log up.

    Args:
      writer: where to write.
      schedule: learning rate by step.
      every_steps: number of steps between writes.
      batch_size: images per step, over all devices.
      skip_nonfinite: how many steps in a row may be skipped because their loss or gradient is not
        finite.
      unwritten: the value of `unwritten` when the run was interrupted.
    """
    self._writer = writer
    self._schedule = schedule
    self._every_steps = every_steps
    self._batch_size = batch_size
    self._pending: tuple[int, dict[str, jax.Array]] | None = None
    self._metrics = [dict(metrics) for metrics in unwritten]
    self._skip_nonfinite = skip_nonfinite
    self._nonfinite = 0  # steps in a row
    self.restart_clock()

  @property
  def unwritten(self) -> list[dict[str, float]]:
    """The metrics of the steps since the last write; checkpoints keep them for the next means."""
    return list(self._metrics)

  def restart_clock(self) -> None:
    """Excludes the time since the last step from the measured speed."""
    self._start, self._steps, self._waited = time.monotonic(), 0, 0.0

  def add(self, step: int, metrics: dict[str, jax.Array], ids: np.ndarray, waited: float) -> None:
    """Adds the metrics of the step just dispatched, and settles those of the step before.

    Args:
      step: the number of steps taken.
      metrics: the metrics from `train_step`.
      ids: str, the ids of the examples in this process's part of the batch.
      waited: seconds that the step waited for its data.

    Raises:
      UserError: see `settle`.
    """
    self.settle()
    self._pending = step, metrics, ids
    self._steps += 1
    self._waited += waited

  def settle(self) -> None:
    """Waits for the step just dispatched, checks it and writes what is due.

    Raises:
      UserError: the loss or the gradient is not finite, in one step or, if the configuration
        allows skipping such steps, in too many steps in a row.
    """
    if self._pending is None:
      return
    (step, metrics, ids), self._pending = self._pending, None
    metrics = {key: float(x) for key, x in jax.device_get(metrics).items()}
    if np.isfinite(metrics["loss"]) and np.isfinite(metrics["grad_norm"]):
      self._nonfinite = 0
      self._metrics.append(metrics)
    else:
      self._nonfinite += 1
      self._refuse_or_skip(step, metrics, ids)
    if step % self._every_steps or not self._metrics:
      return
    seconds = time.monotonic() - self._start
    means = {
      f"train/{key}": float(np.mean([metrics[key] for metrics in self._metrics]))
      for key in self._metrics[0]
    }
    self._writer.write_scalars(
      step,
      means
      | {
        "train/learning_rate": float(self._schedule(step - 1)),
        "train/steps_per_second": self._steps / seconds,
        "train/images_per_second": self._steps * self._batch_size / seconds,
        "train/waiting_for_data": self._waited / seconds,
      },
    )
    self._metrics.clear()
    self.restart_clock()

  def _refuse_or_skip(self, step: int, metrics: dict[str, float], ids: np.ndarray) -> None:
    """Raises or warns about a step whose loss or gradient is not finite."""
    what = (
      f"step {step}: loss {metrics['loss']}, gradient norm {metrics['grad_norm']}, learning rate "
      f"{float(self._schedule(step - 1)):.3g}, batch {', '.join(ids.reshape(-1))}"
    )
    if self._nonfinite > self._skip_nonfinite:
      if step == self._nonfinite:
        raise errors.UserError(
          f"{what}. The weights have not been updated yet, so the learning rate is not the cause: "
          "look at config.loss, the network, and the values in the images"
        )
      raise errors.UserError(
        f"{what}. The last checkpoint is from before this step. Lower config.lr, set "
        "config.grad_clip_norm, or skip such steps, at most N in a row, with "
        "config.skip_nonfinite=N"
      )
    logging.warning("Skipped %s", what)
