"""Writes `run.json`, the record of a run from its start on."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax

from flax_unet import errors, files, terminal

NAME = "run.json"
_PACKAGES = (
  "flax_unet",
  "jax",
  "jaxlib",
  "flax",
  "optax",
  "orbax-checkpoint",
  "grain",
  "tensorflow-datasets",
  "numpy",
  "imagecodecs",
  "kornia_rs",
  "opencv-python-headless",
  "clu",
  "ml_collections",
)


def read(workdir: pathlib.Path) -> dict[str, Any]:
  """Reads the `run.json` of a run; an empty dict if there is none.

  Raises:
    UserError: the file is damaged.
  """
  path = workdir / NAME
  return files.read_json(path) if path.exists() else {}


class RunInfo:
  """Writes `run.json`, in the first process; in the others it only keeps the content in memory.

  The top level of the file describes the first start: command, commit, versions, devices, data.
  Every start of the command has an entry in `starts`, with its duration, how it ended, and the
  values that differ from the first start. `changes` lists the settings changed in between, with
  the step.
  """

  def __init__(self, workdir: pathlib.Path, *, fresh: bool):
    """Reads the file that earlier starts left.

    Args:
      workdir: the run folder.
      fresh: whether the run starts over, so that only the time of earlier starts counts.

    Raises:
      UserError: the file is damaged.
    """
    self._path = workdir / NAME
    self._clock = time.monotonic()
    before = read(workdir)
    self._earlier_starts = before.get("starts", [])
    self.content: dict[str, Any] = {} if fresh else before
    self._start: dict[str, Any] = {}

  def begin(self, step: int, changes: list[dict[str, Any]], **facts: Any) -> None:
    """Records a start of the command.

    Args:
      step: the number of steps taken before it.
      changes: the settings that have changed, each with `key`, `from` and `to`.
      **facts: facts about the run, such as its data; existing facts are kept.
    """
    environment = _environment()
    first = self.content or environment
    self._start = {
      "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
      "host": socket.gethostname(),
      "step": step,
      **{key: value for key, value in environment.items() if first.get(key) != value},
    }
    self.content = {**environment, **facts, **self.content}
    self.content["starts"] = [*self._earlier_starts, self._start]
    changes = [{"step": step, **change} for change in changes]
    self.content["changes"] = [*self.content.get("changes", []), *changes]
    self.content.setdefault("finished", False)
    self.update()

  def update(self, **facts: Any) -> None:
    """Adds facts, and updates the times and the peak memory."""
    self._start["seconds"] = round(time.monotonic() - self._clock, 1)
    self.content |= facts
    self.content["seconds"] = round(
      sum(start.get("seconds", 0.0) for start in self.content["starts"]), 1
    )
    self.content["peak_memory"] = _peak_memory()
    if jax.process_index() == 0:
      files.write_json(self._path, self.content)

  @contextlib.contextmanager
  def noting_how_it_ends(self) -> Iterator[None]:
    """Records the error that ends the block, if any."""
    try:
      yield
    except BaseException as error:
      how = str(error) if isinstance(error, errors.UserError) else repr(error)
      with contextlib.suppress(OSError):  # the first error is the one to report
        self.end(how)
      raise

  def end(self, how: str, **facts: Any) -> None:
    """Records how this start of the command ended, such as "finished"."""
    self._start["ended"] = how
    self.update(**facts)


def _environment() -> dict[str, Any]:
  """The command, and the code and hardware it runs on."""
  return {
    "command": terminal.command_line(),
    "git_commit": _git_commit(),
    "versions": {"python": platform.python_version()}
    | {name: importlib.metadata.version(name) for name in _PACKAGES},
    "platform": platform.platform(),
    "cpus": os.cpu_count(),
    "devices": [str(device.device_kind) for device in jax.devices()],
    "processes": jax.process_count(),
  }


def _git_commit() -> str | None:
  """The commit of the source, with `-dirty` if files differ from it.

  None if this package's source is not tracked by git: an installed package may lie inside another
  project's checkout.
  """
  package = pathlib.Path(__file__).parents[1]

  def git(*arguments: str) -> str:
    return subprocess.run(
      ["git", *arguments], cwd=package, capture_output=True, text=True, check=True
    ).stdout.strip()

  try:
    git("ls-files", "--error-unmatch", "__init__.py")
    return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
  except (OSError, subprocess.CalledProcessError):
    return None


def _peak_memory() -> dict[str, int]:
  """Peak memory in bytes of this process, and of each device that reports it."""
  # Linux counts in KiB, macOS in bytes.
  unit = 1 if sys.platform == "darwin" else 1024
  memory = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
  for device in jax.local_devices():
    if stats := device.memory_stats():
      memory[str(device)] = stats["peak_bytes_in_use"]
  return memory
