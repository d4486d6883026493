"""Training on several data sets at once, each with a fixed number of examples in every batch.

`config.input.data` is the main data set, on which evaluations run. `config.input.extra_data` has
additional ones by name, each like `config.input.data` with a `share` of the batch; the rest of the
batch, which may be empty, comes from the main data set. They are in the same folders as the main
one, unless they name others.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import ml_collections

from flax_unet import errors
from flax_unet.data import datasets
from flax_unet.data.datasets import Dataset, Source
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.label_space import LabelSpace

MAIN = "main"


@dataclasses.dataclass(frozen=True)
class Concatenated:
  """The examples of several sources, one after the other; see `datasets.Source`."""

  sources: Sequence[Source]

  @property
  def starts(self) -> list[int]:
    """The index of the first example of each source, and the number of all."""
    return [0, *itertools.accumulate(map(len, self.sources))]

  def __len__(self) -> int:
    return self.starts[-1]

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Reads one example; raises what its source does."""
    starts = self.starts
    if not 0 <= index < starts[-1]:
      raise IndexError(index)
    number = bisect.bisect_right(starts, index) - 1
    return self.sources[number][index - starts[number]]


class Mixture:
  """A main data set and others to train on; see `datasets.Dataset`."""

  def __init__(self, main: Dataset, others: dict[str, Dataset]):
    """Puts opened data sets together."""
    self._main = main
    self._others = others

  def split(self, name: str) -> Source:
    """Opens a split of the main data set."""
    return self._main.split(name)

  def fingerprint(self) -> dict[str, Any]:
    """Identifies the main data set and, in `extra`, the others."""
    others = {name: dataset.fingerprint() for name, dataset in self._others.items()}
    return {**self._main.fingerprint(), "extra": others}

  def digests(self) -> dict[str, dict[str, str]]:
    """Returns the digests of all, with the names of the others before their splits."""
    digests = dict(self._main.digests())
    for name, dataset in self._others.items():
      digests |= {f"{name}/{split}": found for split, found in dataset.digests().items()}
    return digests


def batch_numbers(config: ml_collections.ConfigDict) -> dict[str, int]:
  """How many examples of a batch come from each data set, by name; the main one is first.

  Args:
    config: `config.input`.

  Raises:
    UserError: the shares do not add up to the batch.
  """
  batch_size, numbers = config.batch_size, {}
  for name, data in config.extra_data.items():
    if isinstance(data.share, bool) or not isinstance(data.share, int | float):
      raise errors.UserError(
        f"config.input.extra_data.{name}.share = {data.share!r}: give a number up to 1"
      )
    number = data.share * batch_size
    if not data.share > 0 or abs(number - round(number)) > 1e-6:
      raise errors.UserError(
        f"config.input.extra_data.{name}.share = {data.share} of a batch of {batch_size} is "
        f"{number:g} examples: give a whole number of them, such as {1 / batch_size:g} for one"
      )
    numbers[name] = round(number)
  rest = batch_size - sum(numbers.values())
  if rest < 0:
    shares = " + ".join(f"{data.share:g}" for data in config.extra_data.values())
    raise errors.UserError(
      f"config.input.extra_data: the shares {shares} are more than the whole batch of {batch_size}"
    )
  return {MAIN: rest, **numbers}


def open_dataset(
  config: ml_collections.ConfigDict,
  label_space: LabelSpace,
  skip_bad_examples: bool,
  image_format: ImageFormat = RGB,
) -> tuple[Dataset, dict[str, Source]]:
  """Opens the main data set and the others.

  Args:
    config: `config.input`.
    label_space: the classes of all labels.
    skip_bad_examples: see `datasets.open_dataset`.
    image_format: that of all images.

  Returns:
    The data set, and the training split of each by name; the main one is first.

  Raises:
    UserError: the data are missing or cannot be used.
  """
  main = datasets.open_dataset(config.data, label_space, skip_bad_examples, image_format)
  sources = {MAIN: main.split(config.data.split)}
  others = {}
  for name, given in config.extra_data.items():
    data = _beside(given, config.data)
    others[name] = datasets.open_dataset(data, label_space, skip_bad_examples, image_format)
    sources[name] = others[name].split(data.split)
  return (Mixture(main, others) if others else main), sources


def _beside(
  data: ml_collections.ConfigDict, main: ml_collections.ConfigDict
) -> ml_collections.ConfigDict:
  """Returns the settings of a data set, with the folders of the main one where it names none."""
  data = ml_collections.ConfigDict(data.to_dict())
  if (data.name == "folder") == (main.name == "folder"):
    for key in ("data_dir", "manual_dir"):
      if data.get(key) is None:
        data[key] = main.get(key)
  return data
