"""The shardings that the program uses, and arrays gathered from all processes."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def split_locally() -> NamedSharding:
  """Splits the first axis over this process's devices, as `pmap` expects its batches."""
  return NamedSharding(Mesh(np.array(jax.local_devices()), ("batch",)), PartitionSpec("batch"))


def replicated_locally() -> NamedSharding:
  """Replicates on each of this process's devices."""
  return NamedSharding(Mesh(np.array(jax.local_devices()), ("batch",)), PartitionSpec())


def replicated() -> NamedSharding:
  """Replicates on every device of all processes."""
  return NamedSharding(Mesh(np.array(jax.devices()), ("batch",)), PartitionSpec())


def to_global(tree: Any) -> Any:
  """Turns arrays replicated on each process's devices into arrays on the devices of all.

  `pmap` returns arrays of this process alone, but orbax writes arrays of all processes.
  """

  def convert(x: jax.Array) -> jax.Array:
    shards = [shard.data for shard in x.addressable_shards]
    return jax.make_array_from_single_device_arrays(x.shape, replicated(), shards)

  return jax.tree.map(convert, tree) if jax.process_count() > 1 else tree


def gather_rows(rows: np.ndarray) -> np.ndarray:
  """Concatenates `[n, ...]` arrays of all processes; `n` and string lengths may differ."""
  if jax.process_count() == 1:
    return rows
  if rows.dtype.kind == "U":
    width = multihost_utils.process_allgather(np.array(rows.itemsize)).max()
    rows = rows.astype(f"U{width // 4}")
  counts = multihost_utils.process_allgather(np.array([len(rows)])).reshape(-1)
  padded = np.zeros((counts.max(), *rows.shape[1:]), rows.dtype)
  padded[: len(rows)] = rows
  # As bytes, because jax would turn 64 bits into 32 and has no strings.
  gathered = multihost_utils.process_allgather(np.frombuffer(padded.tobytes(), np.uint8))
  return np.concatenate(
    [
      np.frombuffer(part.tobytes(), rows.dtype).reshape(padded.shape)[:count]
      for part, count in zip(gathered, counts, strict=True)
    ]
  )
