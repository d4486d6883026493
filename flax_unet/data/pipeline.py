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
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grain
import jax
import numpy as np

from flax_unet.data.datasets import Source
from flax_unet.data.label_space import IGNORED
from flax_unet.data.ops import Example
from flax_unet.errors import UserError

Batch = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Stack:
  """Stacks examples of equal size, split over the devices of this process.

  Returns `image` uint8 `[local_devices, batch, height, width, 3]`, `label` uint8
  `[local_devices, batch, height, width]`, `mask` bool and `id` str `[local_devices, batch]`.
  """

  devices: int

  def __call__(self, examples: Sequence[Example]) -> Batch:
    """See class.

    Raises:
      UserError: pictures differ in size.
    """
    first = examples[0]
    for example in examples:
      if example["image"].shape != first["image"].shape:
        sizes = " but ".join(
          f"'{one['id']}' is {one['image'].shape[0]} x {one['image'].shape[1]} pixels"
          for one in (first, example)
        )
        raise UserError(
          f"pictures of one batch must be of one size, {sizes} (height x width): end the "
          "preprocessing with an op that gives one, such as random_crop(256, 256)"
        )
    stacked = {key: np.stack([example[key] for example in examples]) for key in first}
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
  share = examples[jax.process_index() :: jax.process_count()]
  stack = _Stack(jax.local_device_count())
  # Whole batches are made in a worker, so that their content does not depend on how many there are.
  batches = share.batch(batch_size // jax.process_count(), batch_fn=stack)[start:]
  return _iterate(batches, workers, prefetch)


def _iterate(dataset: grain.MapDataset, workers: int, prefetch: int) -> grain.DatasetIterator:
  """Iterates in order, in `workers` processes or, without them, in threads of this one."""
  threads = grain.ReadOptions(num_threads=min(2, prefetch), prefetch_buffer_size=prefetch)
  examples = dataset.to_iter_dataset(threads)
  if workers:
    examples = examples.mp_prefetch(grain.MultiprocessingOptions(workers, prefetch))
  return iter(examples)


def eval_batches(
  source: Source,
  op: Callable[[Example, np.random.Generator], Example],
  *,
  batch_size: int,
  workers: int = 0,
  prefetch: int = 2,
  places: Sequence[int] | None = None,
) -> Iterator[Batch]:
  """Every example of a split once; blanks with `mask` False fill up incomplete batches.

  A batch holds pictures of one size. Where a split has several, there are batches of each, and they
  come when they are full: `padding.PadToMultiple` keeps sizes few. With one size the order is that
  of the split.

  The batches of different processes may be of other sizes, and not as many: nothing in a step may
  wait for other processes.

  Args:
    source: the split.
    op: the preprocessing.
    batch_size: of all processes together; divisible by the number of devices.
    workers: see `train_batches`.
    prefetch: see `train_batches`.
    places: which examples; None: this process's share of all.

  Returns:
    An iterator over this process's `Batch`es. They have two more entries: `index` int
    `[local_devices, batch]`, the place in the split, and `size` int `[local_devices, batch, 2]`,
    height and width of the picture without its padding.
  """
  if places is None:
    places = range(len(source))[jax.process_index() :: jax.process_count()]
  examples = grain.MapDataset.source(_Evaluated(source, op, places))
  size = batch_size // jax.process_count()
  examples = _iterate(examples, workers, -(-prefetch * size // max(1, workers)))
  stack = _Stack(jax.local_device_count())
  try:
    for group in _groups_of_one_size(examples, size):
      yield stack(group)
  finally:
    examples.close()


@dataclasses.dataclass(frozen=True)
class _Evaluated:
  """Examples of a split, preprocessed."""

  source: Source
  op: Callable[[Example, np.random.Generator], Example]
  places: Sequence[int]

  def __len__(self) -> int:
    return len(self.places)

  def __getitem__(self, index: int) -> Example:
    place = self.places[index]
    # Evaluation has nothing random.
    example = self.op(self.source[place], np.random.default_rng(0))
    size = np.array(example["label"].shape)
    return {"size": size, **example, "index": np.array(place), "mask": np.True_}


def _groups_of_one_size(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
  """Groups of `size` examples of equal shape; blanks complete the last ones."""
  waiting = collections.defaultdict(list)
  for example in examples:
    group = waiting[example["image"].shape, example["label"].shape]
    group.append(example)
    if len(group) == size:
      yield group.copy()
      group.clear()
  for group in waiting.values():
    if group:
      blank = {
        **group[0],
        "image": np.zeros_like(group[0]["image"]),
        "label": np.full_like(group[0]["label"], IGNORED),
        "id": "",
        "size": np.zeros(2, int),
        "index": np.array(-1),
        "mask": np.False_,
      }
      yield group + [blank] * (size - len(group))


def to_devices(batches: grain.DatasetIterator[Batch], prefetch: int = 1) -> Iterator[Batch]:
  """Sends batches to this process's devices ahead of their use.

  What only says which pictures these are (`id`, `index` and `size`) stays on the host.

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
        arrays = {key: x for key, x in batch.items() if key not in ("id", "index", "size")}
        sent.append({**batch, **jax.device_put(arrays, sharding)})
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
