"""Faults in real processes: signals, a full disk, several processes."""

import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from flax_unet.run import events
from tests.faults.processes import (
  ROOT,
  STEPS,
  checkpoints,
  digest,
  environment,
  error_of,
  run_info,
  wait_for,
)

# Several programs after each other; on a machine that does other work too, each takes a minute.
pytestmark = pytest.mark.timeout(900)


def test_signals_stop_between_two_steps_and_the_same_command_goes_on(start, start_slowly, tmp_path):
  assert start(workdir="calm").wait(300) == 0
  log = tmp_path / "log.txt"
  log.write_text("")  # the undisturbed run has logged its loss too
  process = start_slowly()
  wait_for("  loss ", log, process)
  _a_second_start_is_refused(start, tmp_path, process)
  process.terminate()
  assert process.wait(120) == 128 + signal.SIGTERM
  last = log.read_text().splitlines()[-1]
  assert (
    f"Stopped at step {checkpoints(tmp_path / 'run')[-1]} of {STEPS}. To resume: python" in last
  )
  log.write_text("")
  assert start("--verbosity=-1").wait(300) == 0
  assert log.read_text() == ""  # no warnings
  assert digest(tmp_path / "run") == digest(tmp_path / "calm")
  ends = [start["ended"].split()[0] for start in run_info(tmp_path / "run")["starts"]]
  assert ends == ["stopped", "finished"]
  # Every step is logged exactly once, despite the stop.
  curves = [events.scalars(tmp_path / name)["train/loss"] for name in ("run", "calm")]
  assert curves[0] == curves[1]


def _a_second_start_is_refused(start, tmp_path, owner):
  owner.send_signal(signal.SIGSTOP)
  os.waitid(os.P_PID, owner.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads have stopped
  before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
  assert start(log="second.txt").wait(120) == 1
  error = error_of(tmp_path / "second.txt")
  assert error.startswith(f"{tmp_path / 'run'} is in use by process {owner.pid} on ")
  assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
  owner.send_signal(signal.SIGCONT)


_STOP_TWENTY_STEPS_LATER = """
import time
from flax_unet.run import stopping
reached = stopping.StopSignal.reached
def reached_late(self, step):
  while step == 5 and (self.signum is None or self.signum.name != "SIGTERM"):
    time.sleep(0.01)
  return step >= 25 and reached(self, step)
stopping.StopSignal.reached = reached_late
"""


def test_worker_processes_leave_signals_to_the_main_one_and_end_with_it(
  start, start_with, tmp_path
):
  log = tmp_path / "log.txt"
  process = start_with(_STOP_TWENTY_STEPS_LATER, "--config.input.workers=2", start_new_session=True)
  wait_for("  loss ", log, process)
  os.killpg(process.pid, signal.SIGINT)  # like a terminal
  wait_for("SIGINT: finishing this step", log, process)
  os.killpg(process.pid, signal.SIGTERM)  # like a cluster
  assert process.wait(120) == 128 + signal.SIGTERM
  assert "Stopped at step 25 " in log.read_text().splitlines()[-1]
  assert "KeyboardInterrupt" not in log.read_text()

  process = start("--config.input.workers=2", stdout=subprocess.PIPE)
  saved = checkpoints(tmp_path / "run")
  while checkpoints(tmp_path / "run") == saved:
    assert process.poll() is None, log.read_text()
    time.sleep(0.05)
  process.kill()
  process.communicate(timeout=120)  # the pipe closes when the last process that holds it ends


def test_a_full_disk_leaves_the_last_checkpoint_intact(start, start_slowly, tmp_path):
  """Limits the size of files, such that events fit and parameters do not."""
  log = tmp_path / "log.txt"
  process = start_slowly()
  wait_for("  loss ", log, process)
  process.terminate()
  assert process.wait(120) == 128 + signal.SIGTERM
  saved = checkpoints(tmp_path / "run")

  process = start(largest_file="300")
  assert process.wait(300) == 1
  (error,) = (line for line in log.read_text().splitlines() if line.startswith("error: "))
  assert error.startswith("error: the checkpoint of step ")
  assert "could not be written to" in error and "(File too large)" in error
  assert "the same command resumes" in error
  assert set(saved) <= set(checkpoints(tmp_path / "run"))
  assert start().wait(300) == 0


def test_a_run_goes_on_with_other_devices_and_the_same_examples(start, start_slowly, tmp_path):
  log = tmp_path / "log.txt"
  batches = ("--config.input.batch_size=4", "--config.evals.val.batch_size=4")
  process = start_slowly(*batches, devices=4)
  wait_for("step 4/", log, process)
  process.terminate()
  assert process.wait(120) == 128 + signal.SIGTERM
  shutil.copytree(tmp_path / "run", tmp_path / "four")
  losses = []
  for devices, workdir in ((1, "run"), (4, "four")):
    assert start(*batches, workdir=workdir, devices=devices).wait(300) == 0
    losses.append(events.scalars(tmp_path / workdir)["train/loss"])
  (steps, one), (same_steps, four) = losses
  assert steps == same_steps == list(range(2, STEPS + 1, 2))
  # Rounding grows over steps; other examples would differ in the first step after the stop.
  assert one == pytest.approx(four, rel=0.02)


def test_kills_at_any_moment_change_nothing(tmp_path):
  script = str(ROOT / "benchmarks/kill.py")
  command = [sys.executable, script, "--kills=3", "--steps=60", f"--folder={tmp_path}"]
  result = subprocess.run(
    command, env=environment(devices=1), capture_output=True, text=True, check=False
  )
  assert result.stdout.splitlines()[-1:] == ["survived 3 of 3"], result.stdout + result.stderr


def _free_address() -> str:
  with socket.socket() as free:
    free.bind(("localhost", 0))
    return f"localhost:{free.getsockname()[1]}"


def _start_two(start, *arguments, **options) -> list[subprocess.Popen]:
  address = _free_address()
  flags = [f"--coordinator_address={address}", "--num_processes=2"]
  return [start(*flags, f"--process_id={index}", *arguments, **options) for index in range(2)]


_LATE_SECOND = """
import time
from clu import metric_writers
from flax_unet.run import events
if "--process_id=1" in sys.argv:
  def late(function):
    def run(*args, **kwargs):
      time.sleep(2)
      return function(*args, **kwargs)
    return run
  events.forget_after = late(events.forget_after)
  metric_writers.AsyncMultiWriter = late(metric_writers.AsyncMultiWriter)
"""


def test_two_processes_train_as_one_with_two_devices_does(start, start_with, tmp_path):
  planned = "--config.plan.rules=('average',)"  # compiles a step in the first process
  assert start(planned, workdir="one", devices=2).wait(300) == 0
  two = functools.partial(start_with, _LATE_SECOND, workdir="two")
  assert [process.wait(300) for process in _start_two(two, planned)] == [0, 0]
  scores = [_scores(tmp_path / name / "report") for name in ("one", "two")]
  assert scores[0]["pictures"] == scores[1]["pictures"] == 7
  assert scores[1]["mean_iou"] == pytest.approx(scores[0]["mean_iou"], abs=0.01)
  # Only one process writes, even if the other is late.
  assert len(list((tmp_path / "two").glob("events.out.tfevents.*"))) == 1
  steps, losses = events.scalars(tmp_path / "two")["train/loss"]
  assert steps == list(range(2, STEPS + 1, 2))
  assert losses == pytest.approx(events.scalars(tmp_path / "one")["train/loss"][1], rel=0.02)
  assert run_info(tmp_path / "two")["processes"] == 2
  plans = [run_info(tmp_path / name)["plan"] for name in ("one", "two")]
  assert plans[0] == plans[1]
  assert {"setting": "average", "choice": "none"}.items() <= plans[0][-2].items()

  assert [process.wait(300) for process in _start_two(two, "--mode=evaluate")] == [0, 0]
  (evaluation,) = (tmp_path / "two/evaluations").iterdir()
  assert _scores(evaluation) == scores[1]
  assert not list((tmp_path / "two").rglob("*.partial"))


def _scores(report: pathlib.Path) -> dict:
  return json.loads((report / "metrics.json").read_text())["evals"]["val"]


def test_two_processes_stop_together_and_refuse_different_settings(start, start_slowly, tmp_path):
  log = tmp_path / "log.txt"
  first, second = _start_two(start_slowly, workdir="stopped")
  wait_for("  loss ", log, first)
  second.terminate()  # one gets the signal, and both stop after the same step
  assert [first.wait(120), second.wait(120)] == [128 + signal.SIGTERM] * 2
  stopped = checkpoints(tmp_path / "stopped")[-1]

  address, log = _free_address(), tmp_path / "different.txt"
  flags = [f"--coordinator_address={address}", "--num_processes=2"]
  processes = [
    start(*flags, f"--process_id={index}", f"--config.lr={rate}", workdir="stopped", log=log.name)
    for index, rate in enumerate((0.01, 0.02))
  ]
  assert [process.wait(120) for process in processes] == [1, 1]
  assert "process 1 was started with lr = 0.02, process 0 with 0.01" in log.read_text()
  assert [process.wait(300) for process in _start_two(start, workdir="stopped")] == [0, 0]
  info = run_info(tmp_path / "stopped")
  assert [start["step"] for start in info["starts"]] == [0, stopped]
  assert info["changes"] == []


def test_a_lost_process_ends_the_other_in_bounded_time(start_slowly, tmp_path):
  first, second = _start_two(start_slowly, workdir="two")
  wait_for("  loss ", tmp_path / "log.txt", first)
  second.kill()
  assert first.wait(120) != 0
