import signal
import time

import grain
import numpy as np
import psutil
import pytest

from flax_unet.data import feed
from flax_unet.errors import UserError


def _batches(workers):
  dataset = grain.MapDataset.range(10_000).map(lambda place: np.full((64, 64), place))
  return iter(dataset.to_iter_dataset().mp_prefetch(grain.MultiprocessingOptions(workers)))


def _signal_workers(signum):
  workers = [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]
  assert workers
  for worker in workers:
    worker.send_signal(signum)


def _take_until_error(batches, timeout):
  started = time.monotonic()
  with pytest.raises(UserError) as caught:
    while True:
      feed.timed_next(batches, timeout)
  return str(caught.value), time.monotonic() - started


@pytest.mark.parametrize(
  ("signum", "message"),
  [
    (signal.SIGKILL, "a worker process of the input pipeline died"),
    (signal.SIGSTOP, "no batch came within config.input.timeout = 3 seconds"),
  ],
)
def test_a_worker_that_dies_or_hangs_is_an_error_in_bounded_time(signum, message):
  batches = _batches(workers=1)
  feed.timed_next(batches, 60)
  _signal_workers(signum)
  error, seconds = _take_until_error(batches, timeout=3)
  assert error.startswith(message)
  assert seconds < 30
  batches.close()  # does not wait for a hanging worker


def test_the_wait_is_measured_and_leaves_no_alarm():
  def slow():
    time.sleep(0.2)
    yield "batch"

  batch, waited = feed.timed_next(slow(), 60)
  assert batch == "batch"
  assert 0.2 <= waited < 5
  assert signal.alarm(0) == 0
  assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_what_was_left_out_is_told_once(caplog):
  batch = {"skipped": np.array([["", "a is broken\nb is broken"]])}
  assert feed.newly_skipped(batch, {"a is broken"}) == {"a is broken", "b is broken"}
  assert [record.getMessage() for record in caplog.records] == ["Left out: b is broken"]
