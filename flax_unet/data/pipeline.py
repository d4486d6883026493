"""The input pipeline, from a source to batches on the devices.

The order of examples and their augmentation depend only on the seed and on their position in the
global order: grain's `MapDataset` shuffles and draws random numbers by position. So batches are the
same with any number of workers, processes and devices, and a run resumes from a position, which is
the only state of the data.
"""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grain
import jax
import numpy as np

from flax_unet import devices, errors
from flax_unet.data import order, prefetching
from flax_unet.data.datasets import Source
from flax_unet.data.label_space import IGNORED
from flax_unet.data.ops import Example
from flax_unet.errors import UserError

Batch = dict[str, Any]
_HOST_ONLY = ("id", "index", "size", "skipped")  # bookkeeping, not used on devices


@dataclasses.dataclass(frozen=True)
class Stack:
  """Stacks examples of equal size, split over the devices of this process.

  Returns `image` uint8 `[local_devices, batch, height, width, 3]`, `label` uint8
  `[local_devices, batch, height, width]`, `mask` bool and `id` str `[local_devices, batch]`, and
  whatever else the examples have.
  """

  devices: int

  def __call__(self, examples: Sequence[Example]) -> Batch:
    """See class.

    Raises:
      UserError: the images differ in size.
    """
    first = examples[0]
    for example in examples:
      if example["image"].shape != first["image"].shape:
        sizes = " but ".join(
          f"'{one['id']}' is {one['image'].shape[0]} x {one['image'].shape[1]} pixels"
          for one in (first, example)
        )
        raise UserError(
          f"all images in a batch must have the same size, {sizes} (height x width): end the "
          "preprocessing with an op that fixes the size, such as random_crop(256, 256)"
        )
    stacked = {key: np.stack([example[key] for example in examples]) for key in first}
    return {
      key: x.reshape(self.devices, len(examples) // self.devices, *x.shape[1:])
      for key, x in stacked.items()
    }


@dataclasses.dataclass(frozen=True)
class _LoadOrNext:
  """Loads and preprocesses the example at an index of the source, or one that `focus` chooses.

  With `skip`, the next usable example of the source replaces a bad one, and its `skipped` has the
  errors, one per line.
  """

  source: Source
  op: Callable[[Example, np.random.Generator], Example]
  skip: bool
  focus: order.Focus | None

  def __call__(self, place: int, rng: np.random.Generator) -> Example:
    skipped, wanted = [], {}
    in_focus = self.focus and place < len(self.focus.pixels)
    if in_focus and (drawn := self.focus.draw(rng)):
      place, wanted["focus"] = drawn
    for offset in range(len(self.source)):
      try:
        example = _read(self.source, (place + offset) % len(self.source))
        example = dict(self.op({**example, **wanted}, rng))
        example.pop("focus", None)
        return {**example, "mask": np.True_, "skipped": "\n".join(skipped)}
      except UserError as error:
        if not self.skip:
          raise
        skipped.append(str(error))
    raise UserError(f"none of the {len(self.source)} examples can be used: {skipped[0]}")


def _read(source: Source, place: int) -> Example:
  with errors.in_own_code(f"reading example {place} of the data set"):
    return source[place]


def train_batches(
  source: Source,
  op: Callable[[Example, np.random.Generator], Example],
  *,
  batch_size: int,
  seed: int,
  start: int = 0,
  skip_bad_examples: bool = False,
  focus: order.Focus | None = None,
  shares: Sequence[tuple[int, int]] | None = None,
  workers: int = 0,
  prefetch: int = 2,
) -> Iterator[Batch]:
  """Yields batches endlessly, reshuffled in each epoch.

  Args:
    source: the training split.
    op: the preprocessing, which must give images of equal size.
    batch_size: of all processes together; divisible by the number of devices.
    seed: determines the order and the augmentations.
    start: the number of the first batch; a resumed run starts at its step.
    skip_bad_examples: whether the next example replaces one that cannot be used; if not, its error
      ends the iteration.
    focus: chooses some of the examples by the classes in them, in the first part of the source.
    shares: the length of each part of the source, and how many examples of a batch are from it;
      None: it has one part.
    workers: processes that prepare batches; 0: threads of this process.
    prefetch: number of batches to prepare ahead (for each worker).

  Returns:
    An iterator over `Batch`es of this process.
  """
  places = order.endless(shares or [(len(source), batch_size)], seed)
  examples = places.random_map(_LoadOrNext(source, op, skip_bad_examples, focus))
  share = examples[jax.process_index() :: jax.process_count()]
  stack = Stack(jax.local_device_count())
  # Each batch is made in one worker, so that its content does not depend on the number of workers.
  batches = share.batch(batch_size // jax.process_count(), batch_fn=stack)[start:]
  return prefetching.iterate(batches, workers, prefetch)


def eval_batches(
  source: Source,
  op: Callable[[Example, np.random.Generator], Example],
  *,
  batch_size: int,
  workers: int = 0,
  prefetch: int = 2,
  places: Sequence[int] | None = None,
  on_bad_example: Callable[[str], None] | None = None,
) -> Iterator[Batch]:
  """Yields every example of a split once; blanks with `mask` False fill up incomplete batches.

  All images in a batch have one size. If a split has several sizes, each gets its own batches,
  yielded as they fill up; `padding.PadToMultiple` keeps the number of sizes low. With a single size
  the order is that of the split.

  Processes may have batches of different sizes, and different numbers of them, so nothing in a step
  may wait for other processes.

  Args:
    source: the split.
    op: the preprocessing.
    batch_size: of all processes together; divisible by the number of devices.
    workers: see `train_batches`.
    prefetch: see `train_batches`.
    places: indices of the examples; None: this process's share of all.
    on_bad_example: called with the error of each example that cannot be used, which is skipped;
      None: the error ends the iteration.

  Returns:
    An iterator over this process's `Batch`es. They have two more entries: `index` int
    `[local_devices, batch]`, the index in the split, and `size` int `[local_devices, batch, 2]`,
    height and width of the image without padding.
  """
  if places is None:
    places = range(len(source))[jax.process_index() :: jax.process_count()]
  examples = grain.MapDataset.source(_Evaluated(source, op, places, on_bad_example is not None))
  size = batch_size // jax.process_count()
  examples = prefetching.iterate(examples, workers, -(-prefetch * size // max(1, workers)))
  stack = Stack(jax.local_device_count())
  try:
    for group in _groups_of_one_size(_usable(examples, on_bad_example), size):
      yield stack(group)
  finally:
    examples.close()


@dataclasses.dataclass(frozen=True)
class _Evaluated:
  """Preprocessed examples of a split; with `skip`, an `error` in place of unusable ones."""

  source: Source
  op: Callable[[Example, np.random.Generator], Example]
  places: Sequence[int]
  skip: bool

  def __len__(self) -> int:
    return len(self.places)

  def __getitem__(self, index: int) -> Example:
    place = self.places[index]
    try:  # evaluation is not random
      example = self.op(_read(self.source, place), np.random.default_rng(0))
    except UserError as error:
      if not self.skip:
        raise
      return {"error": str(error)}
    size = np.array(example["label"].shape)
    return {"size": size, **example, "index": np.array(place), "mask": np.True_}


def _usable(
  examples: Iterable[Example], on_bad_example: Callable[[str], None] | None
) -> Iterator[Example]:
  """Yields the usable examples; reports the others."""
  for example in examples:
    if "error" in example:
      on_bad_example(example["error"])
    else:
      yield example


def _groups_of_one_size(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
  """Yields groups of `size` examples of equal shape; blanks complete the last ones."""
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


def to_devices(batches: Iterator[Batch], prefetch: int = 1) -> Iterator[Batch]:
  """Sends batches to this process's devices ahead of their use; `_HOST_ONLY` stays on the host.

  Args:
    batches: arrays `[local_devices, ...]`.
    prefetch: number of batches to send ahead.
  """
  sent = collections.deque()
  try:
    while True:
      for batch in itertools.islice(batches, prefetch + 1 - len(sent)):
        arrays = {key: x for key, x in batch.items() if key not in _HOST_ONLY}
        sent.append({**batch, **jax.device_put(arrays, devices.split_locally())})
      if not sent:
        return
      yield sent.popleft()
  finally:
    batches.close()  # ends the worker processes
