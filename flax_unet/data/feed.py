"""Feeds batches to training and evaluation: measures waiting, and reports skipped examples."""

import multiprocessing
import signal
import time
import types
from collections.abc import Collection, Iterator
from typing import NoReturn

from absl import logging

from flax_unet.data.pipeline import Batch
from flax_unet.errors import UserError


def timed_next(batches: Iterator[Batch], timeout: int) -> tuple[Batch, float]:
  """Returns the next batch and the seconds spent waiting for it. In the main thread only.

  Raises:
    UserError: a worker process died, or no batch came within `timeout` seconds.
  """

  def give_up(signum: int, frame: types.FrameType | None) -> NoReturn:
    del signum, frame
    for worker in multiprocessing.active_children():
      worker.kill()  # otherwise closing the pipeline would wait for them
    raise UserError(
      f"no batch came within config.input.timeout = {timeout} seconds: a worker process, or the "
      "disk it reads from, hangs. The same command resumes from the last checkpoint"
    )

  asked = time.monotonic()
  before = signal.signal(signal.SIGALRM, give_up)
  signal.alarm(timeout)
  try:
    batch = next(batches)
  except RuntimeError as error:
    if "Worker process was terminated" not in str(error):
      raise
    raise UserError(
      "a worker process of the input pipeline died: it printed why above, or there was too little "
      "memory. The same command resumes from the last checkpoint"
    ) from error
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
  return batch, time.monotonic() - asked


def timed(batches: Iterator[Batch], timeout: int) -> Iterator[Batch]:
  """Yields batches; raises the same errors as `timed_next`. In the main thread only."""
  while True:
    try:
      batch, _ = timed_next(batches, timeout)
    except StopIteration:
      return
    yield batch


def newly_skipped(batch: Batch, known: Collection[str]) -> set[str]:
  """Returns the errors of the examples that a batch skipped; warns about new ones."""
  errors = {line for text in batch["skipped"].flat for line in text.split("\n") if line}
  for error in sorted(errors - set(known)):
    logging.warning("Left out: %s", error)
  return errors
