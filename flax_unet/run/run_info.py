"""`run.json`: what a run says about itself, from its start on."""

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
  "opencv-python-headless",
  "clu",
  "ml_collections",
)


def read(workdir: pathlib.Path) -> dict[str, Any]:
  """Reads the `run.json` of a run; empty where there is none.

  Raises:
    UserError: it is damaged.
  """
  path = workdir / NAME
  return files.read_json(path) if path.exists() else {}


class RunInfo:
  """Writes `run.json`, in the first process; the others keep what they are told to themselves.

  The file has what the run began with at its top: command, commit, versions, devices, data. Every
  start of the command has an entry in `starts`, with how long it took and how it ended; the values
  of a start that differ from the first one's are in its entry. `changes` lists the settings that
  were changed in between, with the step.
  """

  def __init__(self, workdir: pathlib.Path, *, fresh: bool):
    """Reads what earlier starts have left.

    Args:
      workdir: the run's folder.
      fresh: whether the run begins anew, so that earlier starts count for their time only.

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
    """Writes down that the command was started.

    Args:
      step: the number of steps that had been taken.
      changes: settings that differ from those before, each with `key`, `from` and `to`.
      **facts: about the run, such as its data; facts that are there already stay.
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
    """Adds facts, and brings the time up to date."""
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
    """Writes down the error that ends the block, if one does."""
    try:
      yield
    except BaseException as error:
      how = str(error) if isinstance(error, errors.UserError) else repr(error)
      with contextlib.suppress(OSError):  # the first error is the one to tell
        self.end(how)
      raise

  def end(self, how: str, **facts: Any) -> None:
    """Writes down how this start of the command ended, such as "finished"."""
    self._start["ended"] = how
    self.update(**facts)


def _environment() -> dict[str, Any]:
  """What the command runs on."""
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
  """The commit of the source, with `-dirty` where files differ from it.

  None where the source is not in a checkout of its own: an installed package may lie below another
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
  """Bytes of this process, and of each device that tells."""
  # Linux counts in KiB, macOS in bytes.
  unit = 1 if sys.platform == "darwin" else 1024
  memory = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
  for device in jax.local_devices():
    if stats := device.memory_stats():
      memory[str(device)] = stats["peak_bytes_in_use"]
  return memory
