"""Sets jax up: the processes of a run, devices, determinism and the compilation cache."""

import importlib.metadata
import importlib.util
import json
import math
import os
import pathlib
from collections.abc import Callable
from typing import TypeVar

import jax
import ml_collections
import numpy as np
from absl import logging

from flax_unet import caches, devices, errors
from flax_unet.run import workdir

# A dead process is noticed within this time, and the others then end.
_HEARTBEAT_SECONDS = 30

T = TypeVar("T")


def connect(
  *,
  distributed: bool,
  coordinator_address: str | None,
  num_processes: int | None,
  process_id: int | None,
) -> None:
  """Connects this process to the others of its run; does nothing if it runs alone.

  Args:
    distributed: take the other three from the cluster: jax knows SLURM, Open MPI and TPU pods.
    coordinator_address: host and port of the first process, such as "10.0.0.1:1234".
    num_processes: the number of processes.
    process_id: the number of this process, from 0.

  Raises:
    UserError: some of the three are missing, or there is no cluster to take them from.
  """
  given = (coordinator_address, num_processes, process_id)
  if not distributed and all(value is None for value in given):
    return
  if not distributed and any(value is None for value in given):
    raise errors.UserError(
      "--coordinator_address, --num_processes and --process_id belong together: give all three, "
      "or --distributed to take them from the cluster"
    )
  try:
    jax.distributed.initialize(*given, heartbeat_timeout_seconds=_HEARTBEAT_SECONDS)
  except (ValueError, RuntimeError) as error:
    raise errors.UserError(f"cannot connect the processes: {error}") from error


def in_first(action: Callable[[], T]) -> T | None:
  """Runs an action in the first process; all processes wait for it.

  Returns:
    The action's result in the first process, None in the others.

  Raises:
    UserError: the action raised one; it is raised in all processes, so that none waits for another.
  """
  result, message = None, ""
  if jax.process_index() == 0:
    try:
      result = action()
    except errors.UserError as error:
      message = str(error)
  if message := devices.gather_rows(np.array([message]))[0]:
    raise errors.UserError(str(message))
  return result


def broadcast(value: T) -> T:
  """The first process's value: the processes may not all see a newly written file at once."""
  return devices.gather_rows(np.array([value]))[0].item()


def check_same_run(config: ml_collections.ConfigDict, folder: pathlib.Path) -> None:
  """Refuses processes that were started with different settings or folders.

  Raises:
    UserError: in all processes; the message names the process and the first setting that differs.
  """
  if jax.process_count() == 1:
    return
  settings = {"--workdir": str(folder.absolute()), **workdir.shared_settings(config)}
  rows = devices.gather_rows(np.array([json.dumps(settings, sort_keys=True)]))
  first, *others = (json.loads(str(row)) for row in rows)
  for index, other in enumerate(others, start=1):
    for key in sorted(first | other):
      if first.get(key) != other.get(key):
        raise errors.UserError(
          f"process {index} was started with {key} = {other.get(key)}, process 0 with "
          f"{first.get(key)}: start all processes with the same command"
        )


def divide_cores(config: ml_collections.ConfigDict) -> None:
  """Turns CPU cores into jax devices, as many as the batch sizes allow.

  Part of each program uses only one core per device, so two cores train faster as two devices.
  Other platforms are not affected. `JAX_NUM_CPU_DEVICES`, or
  `--xla_force_host_platform_device_count` in `XLA_FLAGS`, takes precedence. Call this before jax
  starts its backend.
  """
  chosen = jax.config.jax_num_cpu_devices > 0
  if chosen or "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
    return
  sizes = [config.input.batch_size, *(part.batch_size for part in config.evals.values())]
  parts = config.accumulate_steps
  if not all(isinstance(size, int) and size > 0 for size in (*sizes, parts)):
    return  # `checks.check` reports it
  divisor = math.gcd(sizes[0] // parts, *sizes[1:])
  number = next(n for n in range(os.cpu_count() or 1, 0, -1) if divisor % n == 0)
  jax.config.update("jax_num_cpu_devices", number)


def check_devices() -> None:
  """Starts jax's backend, and checks that the intended accelerator is used.

  Warns if an accelerator's package is installed but jax falls back to the CPU.

  Raises:
    UserError: see `start_backend`.
  """
  start_backend()
  asked = jax.config.jax_platforms
  plugins = [entry.name for entry in importlib.metadata.entry_points(group="jax_plugins")]
  plugins += ["libtpu"] * (importlib.util.find_spec("libtpu") is not None)
  if not asked and plugins and jax.default_backend() == "cpu":
    logging.warning(
      "TRAINING ON THE CPU: %s is installed, but finds no usable device. Check the driver, or set "
      "JAX_PLATFORMS=cpu if that is what you want",
      " and ".join(plugins),
    )


def start_backend() -> None:
  """Starts jax's backend.

  Raises:
    UserError: `JAX_PLATFORMS` asks for a platform that is not available.
  """
  asked = jax.config.jax_platforms
  try:
    jax.devices()
  except (AssertionError, RuntimeError) as error:  # AssertionError: there is no such plugin
    reason = (str(error).splitlines() or ["it is not installed"])[0]
    raise errors.UserError(
      f"JAX_PLATFORMS={asked}: no such device can be used here ({reason}): unset JAX_PLATFORMS, or "
      "install what it needs, such as pip install -e '.[cuda12]'"
    ) from error


def make_deterministic() -> None:
  """Makes XLA use deterministic GPU operations; call this before jax starts its backend."""
  flags = os.environ.get("XLA_FLAGS", "")
  os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def keep_compiled_programs() -> None:
  """Caches compiled programs in the user's cache folder, so that the next start is quick.

  `JAX_COMPILATION_CACHE_DIR` sets another folder.
  """
  if jax.config.jax_compilation_cache_dir is None and (folder := caches.folder("flax_unet")):
    jax.config.update("jax_compilation_cache_dir", str(folder))
