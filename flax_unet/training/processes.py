"""How jax is set up: the processes of a run, determinism, and compiled programs kept on disk."""

import os
import pathlib

import jax

from flax_unet import errors

# A process that dies is noticed within this time, and ends the others.
_HEARTBEAT_SECONDS = 30


def connect(
  *,
  distributed: bool,
  coordinator_address: str | None,
  num_processes: int | None,
  process_id: int | None,
) -> None:
  """Connects this process with the others of its run; does nothing where it is alone.

  Args:
    distributed: take the three from the cluster: SLURM, Open MPI and TPU pods are known to jax.
    coordinator_address: host and port of the first process, such as "10.0.0.1:1234".
    num_processes: how many there are.
    process_id: the number of this one, from 0.

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


def make_deterministic() -> None:
  """Has XLA choose the same kernels in every run on a GPU; call before jax starts its backend."""
  flags = os.environ.get("XLA_FLAGS", "")
  os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def keep_compiled_programs() -> None:
  """Keeps compiled programs in the user's cache folder, so that the next start is quick.

  `JAX_COMPILATION_CACHE_DIR` names another folder.
  """
  if jax.config.jax_compilation_cache_dir is None:
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    jax.config.update("jax_compilation_cache_dir", str(cache / "flax_unet"))
