"""A writer opens in a thread, so that a run can compile meanwhile."""

import threading

import pytest

from flax_unet.training import writers


class _Writer:
  def __init__(self):
    self.written = []

  def write_scalars(self, step, scalars):
    self.written.append((step, scalars))


def test_opening_does_not_wait_and_the_first_use_does():
  may_open, opened = threading.Event(), _Writer()

  def make():
    assert may_open.wait(timeout=60)
    return opened

  writer = writers.Opening(make)  # would wait for a minute, and fail, if it opened here
  may_open.set()
  writer.write_scalars(3, {"train/loss": 0.5})
  assert opened.written == [(3, {"train/loss": 0.5})]


def test_the_error_of_opening_is_raised_at_the_first_use():
  def make():
    raise OSError("no space left")

  writer = writers.Opening(make)
  for _ in range(2):
    with pytest.raises(OSError, match="no space left"):
      writer.flush()


def test_lines_of_the_terminal(tmp_path, caplog):
  writer = writers.make(total_steps=100, folder=tmp_path)
  with caplog.at_level("INFO", logger="absl"):
    writer.write_scalars(40, {"train/loss": 0.5, "train/steps_per_second": 2.0})
    writer.flush()
  writer.close()
  # 60 steps at 2 a second.
  assert "step 40/100  loss 0.5  steps_per_second 2  ETA 0.5 min" in caplog.text
  assert len(list(tmp_path.glob("events.out.*"))) == 1
