"""Chooses the next example: in shuffled order, by the shares of data sets, or for its classes."""

import dataclasses
from collections.abc import Sequence

import grain
import numpy as np

_EPOCHS = 10**9  # endless in practice; grain's own endless repetition cannot be cut into batches


@dataclasses.dataclass(frozen=True)
class _Slots:
  """The places of the examples in the endless order of batches with fixed shares of several parts.

  Slots of a batch belong to the parts in turn; each part has its own endless, shuffled order.

  Attributes:
    orders: for each part, its places in that order.
    numbers: how many examples of a batch each part has.
  """

  orders: Sequence[Sequence[int]]
  numbers: Sequence[int]

  def __len__(self) -> int:
    return sum(self.numbers) * _EPOCHS

  def __getitem__(self, position: int) -> int:
    batch, slot = divmod(position, sum(self.numbers))
    part = 0
    while slot >= self.numbers[part]:
      slot -= self.numbers[part]
      part += 1
    return self.orders[part][batch * self.numbers[part] + slot]


def endless(parts: Sequence[tuple[int, int]], seed: int) -> grain.MapDataset:
  """Returns the indices of the examples in the order in which training sees them.

  Args:
    parts: the length of each part of the source, and how many examples of a batch are from it.
    seed: determines the order.
  """
  orders, start = [], 0
  for index, (length, _) in enumerate(parts):
    # Every part is shuffled anew in each epoch, and differently from the others.
    shuffled = grain.MapDataset.range(start, start + length).seed(seed + index).shuffle()
    orders.append(shuffled.repeat(_EPOCHS))
    start += length
  if len(orders) == 1:
    return orders[0]
  return grain.MapDataset.source(_Slots(orders, [number for _, number in parts])).seed(seed)


@dataclasses.dataclass(frozen=True)
class Focus:
  """Chooses classes for some of the examples to show, see `crops.BalancedCrop`.

  A class is drawn uniformly from those in the split, then one of the examples that have it.

  Attributes:
    pixels: int64 `[examples, classes]`, see `class_pixels.count`.
    share: of the examples that are chosen for a class.
  """

  pixels: np.ndarray
  share: float

  def draw(self, rng: np.random.Generator) -> tuple[int, int] | None:
    """Draws the index of an example and the class to show in it; None: show what is next."""
    if rng.random() >= self.share:
      return None
    focus = rng.choice(np.flatnonzero(self.pixels.any(0)))
    return int(rng.choice(np.flatnonzero(self.pixels[:, focus]))), int(focus)
