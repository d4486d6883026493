"""What can happen to a run, with real processes: signals, a full disk, several processes."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from flax_unet.training import events

ROOT = pathlib.Path(__file__).parents[1]
STEPS = 60


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> pathlib.Path:
  return tmp_path_factory.mktemp("data")


@pytest.fixture
def start(data_dir, tmp_path) -> Callable[..., subprocess.Popen]:
  """Starts the program on tiny street scenes; what it says goes to `log.txt`."""
  processes = []

  def start(
    *arguments: str,
    workdir: str = "run",
    devices: int = 1,
    largest_file: str = "unlimited",
    **options: Any,
  ) -> subprocess.Popen:
    command = [
      *("bash", "-c", f'ulimit -f {largest_file}; exec "$@"', "bash"),  # in KiB
      sys.executable,
      str(ROOT / "main.py"),
      f"--config={ROOT / 'configs/street_scenes.py'}:runlocal",
      f"--config.input.data.data_dir={data_dir}",
      f"--config.total_steps={STEPS}",
      "--config.ckpt_steps=10",
      f"--workdir={tmp_path / workdir}",
      *arguments,
    ]
    environment = _environment(devices)
    with (tmp_path / "log.txt").open("a") as log:
      options = {"stdout": log, "stderr": log} | options
      processes.append(subprocess.Popen(command, env=environment, **options))
    return processes[-1]

  yield start
  for process in processes:
    process.kill()
    process.wait()


def _environment(devices: int) -> dict[str, str]:
  flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=1"
  return os.environ | {"XLA_FLAGS": flags}


def _wait_for(text: str, log: pathlib.Path, process: subprocess.Popen, seconds: int = 120) -> None:
  deadline = time.monotonic() + seconds
  while text not in log.read_text():
    assert process.poll() is None, log.read_text()
    assert time.monotonic() < deadline, log.read_text()
    time.sleep(0.05)


def _digest(workdir: pathlib.Path) -> str:
  return json.loads((workdir / "run.json").read_text())["params_digest"]


def _checkpoints(workdir: pathlib.Path) -> list[int]:
  names = (path.name for path in (workdir / "checkpoints").iterdir())
  return sorted(int(name) for name in names if name.isdigit())


def test_signals_stop_between_two_steps_and_the_same_command_goes_on(start, tmp_path):
  assert start(workdir="calm").wait(300) == 0
  log = tmp_path / "log.txt"
  for signum in (signal.SIGTERM, signal.SIGINT):
    log.write_text("")
    process = start()
    _wait_for("  loss ", log, process)
    process.send_signal(signum)
    assert process.wait(60) == 128 + signum
    last = log.read_text().splitlines()[-1]
    assert (
      f"Stopped at step {_checkpoints(tmp_path / 'run')[-1]} of {STEPS}. To go on: python" in last
    )
  log.write_text("")
  assert start("--verbosity=-1").wait(300) == 0
  assert log.read_text() == ""  # nothing to warn of
  assert _digest(tmp_path / "run") == _digest(tmp_path / "calm")


def test_worker_processes_leave_ctrl_c_to_the_main_one_and_end_with_it(start, tmp_path):
  log = tmp_path / "log.txt"
  process = start("--config.input.workers=2", start_new_session=True)
  _wait_for("  loss ", log, process)
  os.killpg(process.pid, signal.SIGINT)  # as a terminal does
  assert process.wait(60) == 128 + signal.SIGINT
  assert "Stopped at step" in log.read_text().splitlines()[-1]
  assert "KeyboardInterrupt" not in log.read_text()

  process = start("--config.input.workers=2", stdout=subprocess.PIPE)
  deadline = time.monotonic() + 120
  saved = _checkpoints(tmp_path / "run")
  while _checkpoints(tmp_path / "run") == saved:
    assert time.monotonic() < deadline, log.read_text()
    time.sleep(0.05)
  process.kill()
  process.communicate(timeout=30)  # the pipe is closed when the last process that has it ended


def test_a_full_disk_leaves_the_last_checkpoint_intact(start, tmp_path):
  """Files may not grow past a size that the events stay under, and the parameters do not."""
  log = tmp_path / "log.txt"
  process = start()
  _wait_for("  loss ", log, process)
  process.terminate()
  process.wait(60)
  saved = _checkpoints(tmp_path / "run")

  process = start(largest_file="300")
  assert process.wait(300) == 1
  (error,) = (line for line in log.read_text().splitlines() if line.startswith("error: "))
  assert error.startswith("error: the checkpoint of step ")
  assert "could not be written to" in error and "(File too large)" in error
  assert "the same command goes on" in error
  assert set(saved) <= set(_checkpoints(tmp_path / "run"))
  assert start().wait(300) == 0


def test_a_run_goes_on_with_other_devices_and_the_same_examples(start, tmp_path):
  log = tmp_path / "log.txt"
  batches = ("--config.input.batch_size=4", "--config.evals.val.batch_size=4")
  process = start(*batches, devices=4)
  _wait_for("step 10/", log, process)
  process.terminate()
  assert process.wait(60) == 128 + signal.SIGTERM
  shutil.copytree(tmp_path / "run", tmp_path / "four")
  losses = []
  for devices, workdir in ((1, "run"), (4, "four")):
    assert start(*batches, workdir=workdir, devices=devices).wait(300) == 0
    losses.append(events.scalars(tmp_path / workdir)["train/loss"])
  (steps, one), (same_steps, four) = losses
  assert steps == same_steps == list(range(2, STEPS + 1, 2))
  # Rounding grows from step to step; other examples would differ at the first one after the stop.
  assert one == pytest.approx(four, rel=0.02)


def test_kills_at_any_moment_change_nothing(tmp_path):
  script = str(ROOT / "benchmarks/kill.py")
  command = [sys.executable, script, "--kills=5", "--steps=60", f"--folder={tmp_path}"]
  result = subprocess.run(
    command, env=_environment(devices=1), capture_output=True, text=True, check=False
  )
  assert result.stdout.splitlines()[-1:] == ["survived 5 of 5"], result.stdout + result.stderr


def _free_address() -> str:
  with socket.socket() as free:
    free.bind(("localhost", 0))
    return f"localhost:{free.getsockname()[1]}"


def _start_two(start, **options) -> list[subprocess.Popen]:
  address = _free_address()
  flags = [f"--coordinator_address={address}", "--num_processes=2"]
  return [start(*flags, f"--process_id={index}", **options) for index in range(2)]


def test_two_processes_train_as_one_with_two_devices_does(start, data_dir, tmp_path):
  assert start(workdir="one", devices=2).wait(300) == 0
  assert [process.wait(300) for process in _start_two(start, workdir="two")] == [0, 0]
  one, two = (
    json.loads((tmp_path / name / "report/metrics.json").read_text())["evals"]["val"]
    for name in ("one", "two")
  )
  assert two["pictures"] == one["pictures"] == 7
  assert two["mean_iou"] == pytest.approx(one["mean_iou"], abs=0.01)

  log = tmp_path / "log.txt"
  log.write_text("")
  first, second = _start_two(start, workdir="stopped")
  _wait_for("  loss ", log, first)
  second.terminate()  # one of them is told, and both stop after the same step
  assert [first.wait(120), second.wait(120)] == [128 + signal.SIGTERM] * 2
  assert [process.wait(300) for process in _start_two(start, workdir="stopped")] == [0, 0]
  assert _digest(tmp_path / "stopped") == _digest(tmp_path / "two")


def test_a_lost_process_ends_the_other_in_bounded_time(start, tmp_path):
  first, second = _start_two(start, workdir="two")
  _wait_for("  loss ", tmp_path / "log.txt", first)
  second.kill()
  assert first.wait(120) != 0
