"""Computes the mean and the standard deviation of each channel over the images of a split.

They normalise images that are not 8-bit RGB. They are computed once and kept in the user's cache
folder.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from flax_unet import caches, errors, terminal
from flax_unet.data import examples, images
from flax_unet.data.datasets import Source
from flax_unet.data.image_format import ImageFormat

_BLOCK = 2**18  # pixels
Stats = tuple[tuple[float, ...], tuple[float, ...]]


def count(source: Source, image_format: ImageFormat, skip_bad_examples: bool = False) -> Stats:
  """Reads every image of a split, on all cores. Sums are exact integers.

  Args:
    source: the split.
    image_format: that of the images.
    skip_bad_examples: whether examples that cannot be used are left out.

  Returns:
    The mean of each channel over all pixels, and the standard deviation (1 where a channel has one
    value only), in units in which `image_format.array_range` is 0..1.

  Raises:
    UserError: an example cannot be used.
  """

  def read(example: dict[str, Any]) -> np.ndarray:
    """The pixels, and the sum of each channel and of its squares, int64 `[3, channels]`."""
    pixels = images.decoded(example["image"]).reshape(-1, image_format.channels)
    sums = np.zeros((3, image_format.channels), np.int64)
    for start in range(0, len(pixels), _BLOCK):  # a whole image would take 16 times its memory
      values = pixels[start : start + _BLOCK].astype(np.int64)
      sums += np.stack([np.full_like(values[0], len(values)), values.sum(0), (values**2).sum(0)])
    return sums

  total = np.zeros((3, image_format.channels), object)  # Python's integers, which do not overflow
  nothing = np.zeros((3, image_format.channels), np.int64)
  for sums in examples.of_each(source, read, (lambda _: nothing) if skip_bad_examples else None):
    total += sums
  if not total[0].any():
    raise errors.UserError(
      "no image can be used to compute the mean and standard deviation (config.model.mean)"
    )
  low, high = image_format.array_range
  mean, stddev = [], []
  for number, first, second in total.T:
    mean.append(float((first / number - low) / (high - low)))
    variance = (second * number - first * first) / number**2
    stddev.append(float(variance**0.5 / (high - low)) or 1.0)
  return tuple(mean), tuple(stddev)


def counted_once(
  source: Source,
  image_format: ImageFormat,
  facts: Mapping[str, Any],
  skip_bad_examples: bool = False,
) -> Stats:
  """Like `count`, but takes the numbers from the cache folder if they are there.

  Args:
    source: see `count`.
    image_format: see `count`.
    facts: determine the examples, see `cache.on_disk`.
    skip_bad_examples: see `count`.
  """
  identity = {**facts, "format": image_format.identity, "skip": skip_bad_examples}

  def compute() -> np.ndarray:
    logging.info(
      "Computing mean and standard deviation of %s", terminal.counted(len(source), "image")
    )
    return np.array(count(source, image_format, skip_bad_examples))

  found = caches.array("flax_unet_channel_stats", identity, (2, image_format.channels), compute)
  return tuple(map(tuple, found.tolist()))
