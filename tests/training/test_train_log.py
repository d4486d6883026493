import json
import time

import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.errors import UserError
from flax_unet.training.train_log import TrainLog


class _Writer:
  """A writer that keeps what is written."""

  def __init__(self):
    self.written = {}

  def write_scalars(self, step, scalars):
    assert step not in self.written
    self.written[step] = scalars


def _log(writer, every_steps=2, **kwargs):
  return TrainLog(writer, lambda step: 0.1 * step, every_steps, 8, **kwargs)


def _metrics(loss, grad_norm=1.0):
  return {"loss": jnp.float32(loss), "grad_norm": jnp.float32(grad_norm)}


def _add(log, step, loss, waited=0.0, **kwargs):
  log.add(step, _metrics(loss, **kwargs), np.array([["a", "b"]]), waited)


def test_means_since_the_last_time_are_written_one_step_late():
  writer = _Writer()
  log = _log(writer)
  written = []
  for step, loss in enumerate([4.0, 2.0, 1.0, 2.0, 7.0], start=1):
    _add(log, step, loss)
    written.append(sorted(writer.written))
  assert written == [[], [], [2], [2], [2, 4]]
  assert [writer.written[step]["train/loss"] for step in (2, 4)] == [3.0, 1.5]
  # The rate used for the step, which counts the steps before it.
  assert writer.written[4]["train/learning_rate"] == pytest.approx(0.3)
  log.settle()
  log.settle()
  assert sorted(writer.written) == [2, 4]


def test_settling_writes_what_is_due():
  writer = _Writer()
  log = _log(writer)
  _add(log, 1, 4.0)
  _add(log, 2, 2.0)
  log.settle()
  assert writer.written[2]["train/loss"] == 3.0


def test_a_log_that_goes_on_writes_the_means_of_one_that_did_not_stop():
  writer, other = _Writer(), _Writer()
  log = _log(writer, every_steps=4)
  for step, loss in enumerate([0.1, 0.2, 0.7], start=1):
    _add(log, step, loss)
  log.settle()
  unwritten = json.loads(json.dumps(log.unwritten))  # as a checkpoint keeps it
  assert len(unwritten) == 3
  for going_on in (log, _log(other, every_steps=4, unwritten=unwritten)):
    _add(going_on, 4, 0.3)
    going_on.settle()
    assert going_on.unwritten == []
  assert writer.written[4]["train/loss"] == other.written[4]["train/loss"]


def test_speed_and_waiting(monkeypatch):
  clock = [100.0]
  monkeypatch.setattr(time, "monotonic", lambda: clock[0])
  writer = _Writer()
  log = _log(writer)
  for step in range(1, 5):
    clock[0] += 5.0
    _add(log, step, 1.0, waited=2.0)
    if step == 2:
      log.settle()
      clock[0] += 1000.0  # an evaluation
      log.restart_clock()
  log.settle()
  for step in (2, 4):
    scalars = writer.written[step]
    assert scalars["train/steps_per_second"] == pytest.approx(2 / 10)
    assert scalars["train/images_per_second"] == pytest.approx(16 / 10)
    assert scalars["train/waiting_for_data"] == pytest.approx(4 / 10)


@pytest.mark.parametrize("bad", [{"loss": np.nan}, {"loss": 1.0, "grad_norm": np.inf}])
def test_a_step_that_is_not_finite_is_named(bad):
  log = _log(_Writer())
  _add(log, 1, 1.0)
  _add(log, 2, **bad)
  message = r"^step 2: loss (nan|1.0), gradient norm (1.0|inf), learning rate 0.1, batch a, b\. "
  with pytest.raises(UserError, match=message + ".*config.lr.*grad_clip_norm.*skip_nonfinite"):
    log.settle()


@pytest.mark.parametrize("skipped", [0, 2])
def test_before_any_update_the_learning_rate_is_not_to_blame(skipped):
  log = _log(_Writer(), skip_nonfinite=skipped)
  for step in range(1, skipped + 2):
    _add(log, step, np.nan)
  message = f"^step {skipped + 1}: loss nan, .* not been updated yet, .*look at config.loss"
  with pytest.raises(UserError, match=message) as caught:
    log.settle()
  assert "Lower config.lr" not in str(caught.value)


def test_steps_that_are_not_finite_are_skipped_up_to_a_number_in_a_row():
  writer = _Writer()
  log = _log(writer, skip_nonfinite=2)
  for step, loss in enumerate([3.0, np.nan, np.nan, 5.0, np.nan, np.nan], start=1):
    _add(log, step, loss)
  log.settle()
  # Nothing to write for steps 5 and 6; the means omit skipped steps.
  assert {step: scalars["train/loss"] for step, scalars in writer.written.items()} == {
    2: 3.0,
    4: 5.0,
  }
  _add(log, 7, np.nan)
  with pytest.raises(UserError, match=r"^step 7: "):
    log.settle()
