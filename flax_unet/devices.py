"""Where arrays lie: the shardings that the program uses."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def split_locally() -> NamedSharding:
  """Splits the first axis over this process's devices, as `pmap` takes its batches."""
  return NamedSharding(Mesh(np.array(jax.local_devices()), ("batch",)), PartitionSpec("batch"))


def replicated_locally() -> NamedSharding:
  """The same on each of this process's devices."""
  return NamedSharding(Mesh(np.array(jax.local_devices()), ("batch",)), PartitionSpec())


def replicated() -> NamedSharding:
  """The same on every device of all processes."""
  return NamedSharding(Mesh(np.array(jax.devices()), ("batch",)), PartitionSpec())


def to_global(tree: Any) -> Any:
  """Takes what each process has on all its devices as one array on the devices of all.

  `pmap` returns arrays of this process alone, but orbax writes those of all processes.
  """

  def convert(x: jax.Array) -> jax.Array:
    shards = [shard.data for shard in x.addressable_shards]
    return jax.make_array_from_single_device_arrays(x.shape, replicated(), shards)

  return jax.tree.map(convert, tree) if jax.process_count() > 1 else tree
