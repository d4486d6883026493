"""Inspects a split: image sizes, class shares, and unusable examples."""

import collections
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from flax_unet import errors
from flax_unet.data import examples, images, masks
from flax_unet.data.datasets import Source
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.label_space import LabelSpace
from flax_unet.data.ops import check_example


@dataclasses.dataclass
class SplitFacts:
  """The contents of a split.

  Attributes:
    examples: number of examples, including unusable ones.
    sizes: number of images by (height, width) in pixels.
    ids: int64 `[256]`, number of pixels by label id.
    strays: for each label value outside the label space, the ids of the examples that contain it.
    refused: the same for sources that refuse such labels, with their messages in place of ids.
    broken: what is wrong with each example that cannot be read.
  """

  examples: int = 0
  sizes: collections.Counter[tuple[int, int]] = dataclasses.field(
    default_factory=collections.Counter
  )
  ids: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(256, np.int64))
  strays: dict[int, list[str]] = dataclasses.field(default_factory=dict)
  refused: dict[int | tuple[int, ...], list[str]] = dataclasses.field(default_factory=dict)
  broken: list[str] = dataclasses.field(default_factory=list)

  def add(self, example_id: str, size: tuple[int, int], ids: np.ndarray, known: set[int]) -> None:
    """Adds an example.

    Args:
      example_id: its id.
      size: height and width.
      ids: int64 `[256]`, its number of pixels by label id.
      known: the ids of the label space.
    """
    self.sizes[size] += 1
    self.ids += ids
    for value in set(np.flatnonzero(ids).tolist()) - known:
      self.strays.setdefault(value, []).append(example_id)

  @property
  def unusable(self) -> int:
    """Number of examples that would stop training or evaluation."""
    kinds = (self.strays, self.refused)
    return len(self.broken) + sum(len(set().union(*found.values())) for found in kinds)

  def class_shares(self, label_space: LabelSpace) -> np.ndarray:
    """float64 `[classes]`, shares of the pixels that belong to a class; NaN if none does."""
    pixels = label_space.count_classes(self.ids)
    return pixels / pixels.sum() if pixels.any() else np.full(len(pixels), np.nan)

  def void_share(self, label_space: LabelSpace) -> float:
    """Share of all pixels that belong to no class."""
    is_void = label_space.lookup_table >= label_space.num_classes
    return float(self.ids[is_void].sum() / max(1, self.ids.sum()))


def inspect_split(
  source: Source,
  label_space: LabelSpace,
  progress: Callable[[Iterable], Iterable] = iter,
  image_format: ImageFormat = RGB,
) -> SplitFacts:
  """Reads every example of a split, on all cores.

  Args:
    source: the split.
    label_space: the valid label ids.
    progress: wraps the iteration over examples, to show the progress.
    image_format: what all images have to be.
  """
  facts = SplitFacts(examples=len(source))
  known = set(label_space.id_to_index)

  def read(example: dict[str, Any]) -> tuple[str, tuple[int, int], np.ndarray]:
    images.decoded(example["image"])
    check_example(example, image_format)
    label = example["label"]
    return example["id"], label.shape, np.bincount(label.reshape(-1), minlength=256)

  for found in progress(examples.of_each(source, read, on_bad=lambda error: error)):
    if isinstance(found, masks.UnknownLabelsError):
      for value in found.values:
        facts.refused.setdefault(value, []).append(str(found))
    elif isinstance(found, errors.UserError):
      facts.broken.append(str(found))
    else:
      facts.add(*found, known)
  return facts
