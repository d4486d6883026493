"""Every failure is reported in one line, and the process ends within seconds."""

import time

import pytest

from tests.faults.processes import checkpoints, error_of, run_info

_CHECKPOINT = """
from orbax.checkpoint._src.path import atomicity
create, calls = atomicity._create_tmp_directory, []
async def create_or_fail(*args, **kwargs):
  calls.append(args)
  if len(calls) == 4:  # of the second checkpoint: orbax's threads then wait for each other for good
    raise FileExistsError(17, "File exists")
  return await create(*args, **kwargs)
atomicity._create_tmp_directory = create_or_fail
"""
_EVALUATION = """
from flax_unet import errors
from flax_unet.evaluation import evaluation
def fail(*args, **kwargs):
  raise errors.UserError("this evaluation fails")
evaluation.Evaluation.__call__ = fail
"""
_REPORT = """
from flax_unet import errors
from flax_unet.evaluation.report import figures
def fail(*args, **kwargs):
  raise errors.UserError("this figure fails")
figures.qualitative = fail
"""
_SAVE_UNDER_WAY = """
import time
from flax_unet import errors
from flax_unet.data import feed
from flax_unet.training import checksums
write, timed_next, calls = checksums.write, feed.timed_next, []
def slow(*args, **kwargs):
  time.sleep(2)
  write(*args, **kwargs)
def fail(*args):
  calls.append(args)
  if len(calls) == 12:
    raise errors.UserError("this example fails")
  return timed_next(*args)
checksums.write, feed.timed_next = slow, fail
"""


@pytest.mark.parametrize(
  ("code", "error", "saved"),
  [
    (_CHECKPOINT, "the checkpoint of step 20 could not be written to ", [10]),
    (_EVALUATION, "this evaluation fails", [20, 30]),
    (_REPORT, "this figure fails", [20, 30]),
    (_SAVE_UNDER_WAY, "this example fails", [10]),
  ],
  ids=["checkpoint", "evaluation", "report", "save under way"],
)
def test_an_error_ends_the_process_and_loses_nothing(
  start_with, start, tmp_path, code, error, saved
):
  process = start_with(code, "--config.total_steps=30")
  told, log = None, tmp_path / "log.txt"
  while process.poll() is None:
    if told is None and "error: " in log.read_text():
      told = time.monotonic()
    assert told is None or time.monotonic() - told < 100
    time.sleep(0.1)
  assert process.returncode == 1
  assert error_of(log).startswith(error)
  assert checkpoints(tmp_path / "run") == saved
  assert run_info(tmp_path / "run")["starts"][0]["ended"].startswith(error)
  if code == _REPORT:  # the scores had been written before
    assert (tmp_path / "run/report/metrics.json").exists()
