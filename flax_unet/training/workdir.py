"""The folder of a run: whose it is, and what it says about itself."""

import importlib.metadata
import json
import os
import pathlib
import platform
import re
import resource
import shlex
import subprocess
import sys
from typing import Any

import jax
import ml_collections

from flax_unet import errors, files

# Settings that may change when a run goes on: they do not change what it computes.
_FREE = (
  "ckpt_steps",
  "input.cache",
  "input.cache_dir",
  "input.data.data_dir",
  "input.data.manual_dir",
  "input.prefetch",
  "input.prefetch_to_device",
  "input.timeout",
  "input.workers",
  "profile_steps",
)
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


def choose(workdir: str | None, config_file: str) -> pathlib.Path:
  """The run's folder: the one given, or `runs/<config>[_<arguments>]`."""
  if workdir is not None:
    return pathlib.Path(workdir).expanduser()
  file, _, arguments = config_file.partition(":")
  name = "_".join(filter(None, [pathlib.Path(file).stem, *re.split(r"[^\w.]+", arguments)]))
  return pathlib.Path("runs") / name


def open_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Makes a folder the run's own: creates it and writes `config.json`.

  A folder that holds nothing else is of a run that failed before it began, and may change hands.

  Raises:
    UserError: the folder cannot be written, or holds a run of another configuration.
  """
  content = json.loads(config.to_json_best_effort())
  path = workdir / "config.json"
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    if path.exists() and len(list(workdir.iterdir())) > 1:
      _check_same(json.loads(path.read_text()), content, workdir)
    files.write_json(path, content)
  except OSError as error:
    raise errors.UserError(
      f"cannot write to {workdir} ({error.strerror}): choose another folder with --workdir=DIR"
    ) from error


def _check_same(before: dict[str, Any], now: dict[str, Any], workdir: pathlib.Path) -> None:
  before, now = _flatten(before), _flatten(now)
  differences = [
    f"{key}: {before.get(key)} there, {now.get(key)} now"
    for key in sorted(before | now)
    if key not in _FREE and before.get(key) != now.get(key)
  ]
  if differences:
    raise errors.UserError(
      f"{workdir} holds a run of another configuration ({'; '.join(differences)}). Use these "
      "settings again to go on with it, or start a new run with --workdir=DIR"
    )


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
  """Nested keys to dotted ones."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, dict):
      flat |= _flatten(value, f"{prefix}{key}.")
    else:
      flat[prefix + key] = value
  return flat


def write_run_info(workdir: pathlib.Path, **facts: Any) -> None:
  """Writes `run.json`: the facts, and what the run ran on.

  Memory is in bytes, of the process and of each device that tells.
  """
  content = {
    **facts,
    "peak_memory": _peak_memory(),
    "command": shlex.join(sys.argv),
    "versions": {"python": platform.python_version()}
    | {name: importlib.metadata.version(name) for name in _PACKAGES},
    "git_commit": _git_commit(),
    "platform": platform.platform(),
    "cpus": os.cpu_count(),
    "devices": [str(device.device_kind) for device in jax.devices()],
    "processes": jax.process_count(),
  }
  files.write_json(workdir / "run.json", content)


def _git_commit() -> str | None:
  """The commit of the source, with `-dirty` where files differ from it; None outside a checkout."""
  folder = pathlib.Path(__file__).parent
  try:
    described = subprocess.run(
      ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
      cwd=folder,
      capture_output=True,
      text=True,
      check=True,
    )
  except (OSError, subprocess.CalledProcessError):
    return None
  return described.stdout.strip()


def _peak_memory() -> dict[str, int]:
  # Linux counts in KiB, macOS in bytes.
  unit = 1 if sys.platform == "darwin" else 1024
  memory = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
  for device in jax.local_devices():
    if stats := device.memory_stats():
      memory[str(device)] = stats["peak_bytes_in_use"]
  return memory
