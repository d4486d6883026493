"""Counts the pixels of each class in each example of a split.

Class weights and class-balanced crops need these counts. They are counted once and kept in the
user's cache folder.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from flax_unet import caches, terminal
from flax_unet.data import examples
from flax_unet.data.datasets import Source
from flax_unet.data.label_space import LabelSpace, count_values


def count(source: Source, label_space: LabelSpace, skip_bad_examples: bool = False) -> np.ndarray:
  """Reads every label of a split, on all cores.

  Args:
    source: the split.
    label_space: the classes.
    skip_bad_examples: whether an example that cannot be used counts as one without pixels.

  Returns:
    int64 `[examples, classes]`.

  Raises:
    UserError: an example cannot be used.
  """
  nothing = np.zeros(label_space.num_classes, np.int64)
  rows = examples.of_each(
    source,
    lambda example: label_space.count_classes(count_values(example["label"])),
    (lambda _: nothing) if skip_bad_examples else None,
  )
  return np.stack(list(rows))


def counted_once(
  source: Source,
  label_space: LabelSpace,
  facts: Mapping[str, Any],
  skip_bad_examples: bool = False,
) -> np.ndarray:
  """Like `count`, but takes the counts from the cache folder if they are there.

  Args:
    source: see `count`.
    label_space: see `count`.
    facts: determine the examples, see `cache.on_disk`.
    skip_bad_examples: see `count`.
  """
  ids = {str(label_id): int(index) for label_id, index in label_space.id_to_index.items()}
  identity = {**facts, "ids": ids, "skip": skip_bad_examples}

  def compute() -> np.ndarray:
    logging.info("Counting the classes of %s", terminal.counted(len(source), "label"))
    return count(source, label_space, skip_bad_examples)

  shape = (len(source), label_space.num_classes)
  return caches.array("flax_unet_class_pixels", identity, shape, compute)
