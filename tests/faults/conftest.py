"""Starts the program in separate processes."""

import functools
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.processes import ROOT, STEPS, environment


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> pathlib.Path:
  return tmp_path_factory.mktemp("data")


@pytest.fixture
def start(data_dir, tmp_path) -> Callable[..., subprocess.Popen]:
  """Starts the program on tiny street scenes; its output goes to `log.txt`.

  `program` names another Python file to run instead of `main.py`.
  """
  processes = []

  def start(
    *arguments: str,
    workdir: str = "run",
    devices: int = 1,
    largest_file: str = "unlimited",
    program: pathlib.Path = ROOT / "main.py",
    log: str = "log.txt",
    **options: Any,
  ) -> subprocess.Popen:
    command = [
      *("bash", "-c", f'ulimit -f {largest_file}; exec "$@"', "bash"),  # in KiB
      sys.executable,
      str(program),
      f"--config={ROOT / 'configs/street_scenes.py'}:runlocal",
      f"--config.input.data.data_dir={data_dir}",
      f"--config.total_steps={STEPS}",
      "--config.ckpt_steps=10",
      f"--workdir={tmp_path / workdir}",
      *arguments,
    ]
    with (tmp_path / log).open("a") as file:
      options = {"stdout": file, "stderr": file} | options
      processes.append(subprocess.Popen(command, env=environment(devices), **options))
    return processes[-1]

  yield start
  for process in processes:
    process.kill()
    process.wait()


@pytest.fixture
def start_with(start, tmp_path) -> Callable[..., subprocess.Popen]:
  """Starts the program after running code that breaks part of it; see `start`."""

  def start_with(code: str, *arguments: str, **options: Any) -> subprocess.Popen:
    program = tmp_path / "broken_main.py"
    program.write_text(
      f"import runpy, sys\nsys.argv[0] = {str(ROOT / 'main.py')!r}\n{code}\n"
      "if __name__ == '__main__':\n  runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return start(*arguments, program=program, **options)

  return start_with


_SLOW_STEPS = """
import time
from flax_unet.run import stopping
reached = stopping.StopSignal.reached
def reached_slowly(self, step):
  if step > 4:
    time.sleep(1)
  return reached(self, step)
stopping.StopSignal.reached = reached_slowly
"""


@pytest.fixture
def start_slowly(start_with) -> Callable[..., subprocess.Popen]:
  """Starts the program with steps of a second, so that a signal comes before the end."""
  return functools.partial(start_with, _SLOW_STEPS)
