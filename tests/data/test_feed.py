import multiprocessing
import os
import signal
import time

import grain
import numpy as np
import pytest

from flax_unet.data import feed
from flax_unet.errors import UserError


def _batches(workers):
  dataset = grain.MapDataset.range(10_000).map(lambda place: np.full((64, 64), place))
  return iter(dataset.to_iter_dataset().mp_prefetch(grain.MultiprocessingOptions(workers)))


def _signal_workers(signum):
  workers = multiprocessing.active_children()
  assert workers
  for worker in workers:
    os.kill(worker.pid, signum)


@pytest.mark.parametrize(
  ("signum", "timeout", "message"),
  [
    (signal.SIGKILL, 200, "a worker process of the input pipeline died"),
    (signal.SIGSTOP, 3, "no batch came within config.input.timeout = 3 seconds"),
  ],
)
def test_a_worker_that_dies_or_hangs_is_an_error(signum, timeout, message):
  batches = _batches(workers=1)
  feed.timed_next(batches, 200)
  _signal_workers(signum)
  with pytest.raises(UserError, match=f"^{message}"):
    while True:
      feed.timed_next(batches, timeout)
  batches.close()  # does not wait for a hanging worker


def test_the_wait_is_measured_and_leaves_no_alarm():
  def slow():
    time.sleep(0.2)
    yield "batch"

  started = time.monotonic()
  batch, waited = feed.timed_next(slow(), 60)
  assert batch == "batch"
  assert 0.2 <= waited <= time.monotonic() - started
  assert signal.alarm(0) == 0
  assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_what_was_left_out_is_told_once(caplog):
  batch = {"skipped": np.array([["", "a is broken\nb is broken"]])}
  assert feed.newly_skipped(batch, {"a is broken"}) == {"a is broken", "b is broken"}
  assert [record.getMessage() for record in caplog.records] == ["Left out: b is broken"]
