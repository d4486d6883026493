"""Graceful stops: SIGTERM and Ctrl-C end a run between two steps."""

import signal
import types

import jax
from absl import logging
from jax.experimental import multihost_utils


class StopSignal:
  """Turns SIGTERM and SIGINT (Ctrl-C) into a flag that the loop checks after each step.

  The first signal sets the flag; a second Ctrl-C ends the process at once. When several processes
  train together, jax's coordination service takes a signal to any of them and tells all of them at
  which step to stop, so that none waits for another.

  Use as a context manager, in the main thread.

  Attributes:
    signum: the signal received, or None.
  """

  def __init__(self):
    self.signum: signal.Signals | None = None

  def __enter__(self) -> "StopSignal":
    self._coordinated = jax.process_count() > 1
    # The coordination service listens to SIGTERM itself.
    self._signals = [signal.SIGINT] if self._coordinated else [signal.SIGINT, signal.SIGTERM]
    self._before = {signum: signal.signal(signum, self._note) for signum in self._signals}
    return self

  def __exit__(self, *exception: object) -> None:
    for signum, handler in self._before.items():
      signal.signal(signum, handler)

  def _note(self, signum: int, frame: types.FrameType | None) -> None:
    del frame
    self.signum = signal.Signals(signum)
    logging.info(
      "%s: finishing this step or evaluation, then saving; Ctrl-C (again) ends at once",
      self.signum.name,
    )
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if self._coordinated:
      signal.raise_signal(signal.SIGTERM)

  def reached(self, step: int) -> bool:
    """Whether to stop after this step; all processes get the same answer at the same step."""
    if not self._coordinated:
      return self.signum is not None
    stop = multihost_utils.reached_preemption_sync_point(step)
    if stop and self.signum is None:
      self.signum = signal.SIGTERM
    return stop
