"""What is told about training while it runs, to the terminal and to TensorBoard."""

import time

import jax
import numpy as np
import optax
from clu import metric_writers


class TrainLog:
  """Averages the metrics of the steps and writes them every so often.

  The metrics of a step are read when the next one has been dispatched, so that the devices never
  wait for the host.
  """

  def __init__(
    self,
    writer: metric_writers.MetricWriter,
    schedule: optax.Schedule,
    every_steps: int,
    batch_size: int,
  ):
    """Sets the log up.

    Args:
      writer: where to write to.
      schedule: learning rate by step.
      every_steps: how often to write.
      batch_size: pictures a step, over all devices.
    """
    self._writer = writer
    self._schedule = schedule
    self._every_steps = every_steps
    self._batch_size = batch_size
    self._pending: tuple[int, dict[str, jax.Array]] | None = None
    self._metrics: list[dict[str, np.ndarray]] = []
    self.restart_clock()

  def restart_clock(self) -> None:
    """Leaves out of the speed what took place since the last step."""
    self._start, self._steps, self._waited = time.monotonic(), 0, 0.0

  def add(self, step: int, metrics: dict[str, jax.Array], waited: float) -> None:
    """Takes the metrics of the step just dispatched, and settles those of the one before.

    Args:
      step: the number of steps taken.
      metrics: of `train_step`.
      waited: the seconds for which the step waited for its data.
    """
    self.settle()
    self._pending = step, metrics
    self._steps += 1
    self._waited += waited

  def settle(self) -> None:
    """Waits for the step just dispatched, and writes what is due."""
    if self._pending is None:
      return
    (step, metrics), self._pending = self._pending, None
    self._metrics.append(jax.device_get(metrics))
    if step % self._every_steps:
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
