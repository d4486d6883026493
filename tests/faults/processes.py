"""Runs in separate processes, and ways to observe them."""

import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 60


def environment(devices: int) -> dict[str, str]:
  flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=1"
  return os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}


def wait_for(text: str, log: pathlib.Path, process: subprocess.Popen, seconds: int = 300) -> None:
  deadline = time.monotonic() + seconds
  while text not in log.read_text():
    assert process.poll() is None, log.read_text()
    assert time.monotonic() < deadline, log.read_text()
    time.sleep(0.05)


def run_info(workdir: pathlib.Path) -> dict:
  return json.loads((workdir / "run.json").read_text())


def digest(workdir: pathlib.Path) -> str:
  return run_info(workdir)["params_digest"]


def checkpoints(workdir: pathlib.Path) -> list[int]:
  names = (path.name for path in (workdir / "checkpoints").iterdir())
  return sorted(int(name) for name in names if name.isdigit())


def error_of(log: pathlib.Path) -> str:
  """The line with the error, which must be the last."""
  text = log.read_text()
  assert "Traceback" not in text, text
  last = text.splitlines()[-1]
  assert last.startswith("error: "), text
  return last.removeprefix("error: ")
