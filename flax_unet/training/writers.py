"""Writes training curves to the terminal and to TensorBoard.

clu's writers load TensorFlow, which takes seconds, so a run opens them in a thread while its step
compiles.
"""

import concurrent.futures
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from absl import logging


class Opening:
  """A writer that a thread opens; the first use waits for it."""

  def __init__(self, make: Callable[[], Any]):
    """Starts the thread.

    Args:
      make: opens the writer. Its error is raised at the first use.
    """
    with_one_thread = concurrent.futures.ThreadPoolExecutor(1)
    self._writer = with_one_thread.submit(make)
    with_one_thread.shutdown(wait=False)

  def __getattr__(self, name: str) -> Any:
    return getattr(self._writer.result(), name)


def make(total_steps: int, folder: pathlib.Path | None) -> Any:
  """Opens a writer, a `clu.metric_writers.MetricWriter`.

  Args:
    total_steps: the length of the run.
    folder: where TensorBoard's files go; None: nowhere.
  """
  from clu import metric_writers

  class ProgressWriter(metric_writers.LoggingWriter):
    """Logs scalars as one line with the time left; ignores images and hyper-parameters."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
      """See base class."""
      words = [f"step {step}/{total_steps}"]
      words += [f"{key.removeprefix('train/')} {value:.4g}" for key, value in scalars.items()]
      if rate := scalars.get("train/steps_per_second"):
        words.append(f"ETA {(total_steps - step) / rate / 60:.1f} min")
      logging.info("%s", "  ".join(words))

    def write_images(self, step: int, images: Mapping[str, object]) -> None:
      """See base class."""
      del step, images

    def write_hparams(self, hparams: Mapping[str, object]) -> None:
      """See base class."""
      del hparams

  writers = [ProgressWriter()]
  if folder:
    writers.append(metric_writers.SummaryWriter(str(folder)))
  return metric_writers.AsyncMultiWriter(writers)
