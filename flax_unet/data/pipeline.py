"""From a source to batches on the devices.

The order of examples and their augmentation depend on the seed and on their place in the global
order only: grain's `MapDataset` shuffles and draws random numbers by place. So batches are the same
with any number of workers, processes and devices, and a run goes on from a place, which is all the
state that the data has.
"""

import collections
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import jax
import numpy as np

from flax_unet.data.label_spaces import IGNORED
from flax_unet.data.ops import Example
from flax_unet.data.sources import Source

Batch = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Stack:
  """Stacks examples of equal size, split over the devices of this process.

  Returns `image` uint8 `[local_devices, batch, height, width, 3]`, `label` uint8
  `[local_devices, batch, height, width]`, `mask` bool and `id` str `[local_devices, batch]`.
  """

  devices: int

  def __call__(self, examples: Sequence[Example]) -> Batch:
    stacked = {key: np.stack([example[key] for example in examples]) for key in examples[0]}
    return {
      key: x.reshape(self.devices, len(examples) // self.devices, *x.shape[1:])
      for key, x in stacked.items()
    }


@dataclasses.dataclass(frozen=True)
class _Apply:
  """Applies a preprocessing op, and marks the example as one that counts."""

  op: Callable[[Example, np.random.Generator], Example]

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    return {**self.op(example, rng), "mask": np.True_}


@dataclasses.dataclass(frozen=True)
class _PaddedSplit:
  """A split, filled up to a whole number of batches with blanks that do not count."""

  source: Source
  op: Callable[[Example, np.random.Generator], Example]
  length: int

  def __len__(self) -> int:
    return self.length

  def __getitem__(self, index: int) -> Example:
    rng = np.random.default_rng(0)  # evaluation has nothing random
    if index < len(self.source):
      return {**self.op(self.source[index], rng), "mask": np.True_}
    blank = self.op(self.source[0], rng)
    return {
      "image": np.zeros_like(blank["image"]),
      "label": np.full_like(blank["label"], IGNORED),
      "id": "",
      "mask": np.False_,
    }


def _batches(
  examples: grain.MapDataset, batch_size: int, start: int, workers: int, prefetch: int
) -> grain.DatasetIterator[Batch]:
  """Iterates over this process's share of the batches, from batch number `start` on."""
  share = examples[jax.process_index() :: jax.process_count()]
  stack = _Stack(jax.local_device_count())
  batches = share.batch(batch_size // jax.process_count(), batch_fn=stack)[start:]
  # Whole batches are made in a worker, so that their content does not depend on how many there are.
  threads = grain.ReadOptions(num_threads=min(2, prefetch), prefetch_buffer_size=prefetch)
  dataset = batches.to_iter_dataset(threads)
  if workers:
    dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(workers, prefetch))
  return iter(dataset)


def train_batches(
  source: Source,
  op: Callable[[Example, np.random.Generator], Example],
  *,
  batch_size: int,
  seed: int,
  start: int = 0,
  workers: int = 0,
  prefetch: int = 2,
) -> grain.DatasetIterator[Batch]:
  """Batches without end, shuffled anew each epoch.

  Args:
    source: the training split.
    op: the preprocessing, ending with pictures of equal size.
    batch_size: of all processes together; divisible by the number of devices.
    seed: the order and the augmentations follow from it.
    start: the number of the first batch; a resumed run starts at its step.
    workers: processes that prepare batches; 0: threads of this process do.
    prefetch: how many batches (each worker) prepares ahead.

  Returns:
    An iterator over `Batch`es of this process.
  """
  examples = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
  examples = examples.random_map(_Apply(op))
  return _batches(examples, batch_size, start, workers, prefetch)


def eval_batches(
  source: Source,
  op: Callable[[Example, np.random.Generator], Example],
  *,
  batch_size: int,
  workers: int = 0,
  prefetch: int = 2,
) -> grain.DatasetIterator[Batch]:
  """Every example of a split once, in order; blanks with `mask` False fill up the last batch.

  The arguments are those of `train_batches`. All processes get the same number of batches.
  """
  length = -(-len(source) // batch_size) * batch_size
  examples = grain.MapDataset.source(_PaddedSplit(source, op, length))
  return _batches(examples, batch_size, 0, workers, prefetch)


def to_devices(batches: grain.DatasetIterator[Batch], prefetch: int = 1) -> Iterator[Batch]:
  """Sends batches to this process's devices ahead of their use; `id` stays on the host.

  Args:
    batches: arrays `[local_devices, ...]`.
    prefetch: how many batches to send ahead.
  """
  mesh = jax.sharding.Mesh(np.array(jax.local_devices()), ("batch",))
  sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
  sent = collections.deque()
  try:
    while True:
      for batch in itertools.islice(batches, prefetch + 1 - len(sent)):
        arrays = {key: x for key, x in batch.items() if key != "id"}
        sent.append({**jax.device_put(arrays, sharding), "id": batch["id"]})
      if not sent:
        return
      yield sent.popleft()
  finally:
    batches.close()  # ends the worker processes


def timed_next(batches: Iterator[Batch]) -> tuple[Batch, float]:
  """Takes the next batch; also returns the seconds that it was waited for."""
  asked = time.monotonic()
  batch = next(batches)
  return batch, time.monotonic() - asked
