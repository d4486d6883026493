"""Makes images fit the network, in the same way for evaluation, prediction, export and Python.

1. The image is mirrored at the bottom and on the right up to a multiple of 128 pixels, or of the
   evaluation's `pad_to_multiple`. The host can do this, so that images of many sizes share a few
   compiled shapes; an image that already fits is left as it is.
2. The network computes scores in one pass; or in tiles if the options say so, or if the image has
   more than `LARGEST_PASS` pixels. A network with `padding="valid"` needs additional context, which
   is mirrored on all sides, see `passes.whole_picture`.
3. The padding is cut off.
4. Scores are resized to the resolution of the mask, and each pixel gets the class with the highest
   score. For masks of more than `LARGEST_PASS` pixels the classes are resized instead.

All padding is at the bottom and on the right, so that the original image is the top left corner of
the padded one: the host can cut it out, whatever its size, after a step compiled for the padded
shape.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from flax_unet.data import padding
from flax_unet.evaluation.inference import passes, tiles
from flax_unet.models.base import Network

LARGEST_PASS = 2**22  # pixels; a U-Net of width 64 needs about 4 GB for them

Array = TypeVar("Array", np.ndarray, jax.Array)


def in_tiles(padded_size: tuple[int, int], options: passes.Options) -> bool:
  """Whether an image that is padded to this height and width is predicted in tiles."""
  return options.mode == "tiles" or math.prod(padded_size) > LARGEST_PASS


def resizes_scores(image_size: tuple[int, int], size: tuple[int, int]) -> bool:
  """Whether the scores of an image, instead of its classes, are resized to a mask of `size`."""
  return tuple(image_size) != tuple(size) and math.prod(size) <= LARGEST_PASS


def resize_mask(mask: Array, size: tuple[int, int]) -> Array:
  """Resizes class indices `[..., height, width]` to `size`, by the nearest pixel centre."""
  for axis, new in zip((-2, -1), size, strict=True):
    old = mask.shape[axis]
    if old != new:
      mask = mask.take((2 * np.arange(new) + 1) * old // (2 * new), axis=axis)
  return mask


def predict(
  model: Network,
  variables: Mapping[str, Any],
  images: jax.Array,
  size: tuple[int, int],
  options: passes.Options = passes.WHOLE,
  multiple: int = padding.MULTIPLE,
) -> jax.Array:
  """Predicts the class of each pixel.

  Args:
    model: the network.
    variables: its parameters and statistics.
    images: uint8 `[batch, height, width, 3]`, of any height and width.
    size: height and width of the prediction.
    options: how to predict: in one pass or in tiles, and at which scales.
    multiple: images are mirrored up to a multiple of this many pixels.

  Returns:
    uint8 `[batch, *size]`, class indices.
  """
  return classes(class_scores(model, variables, images, size, options, multiple), size)


def classes(scores: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Returns the class of each pixel, uint8 `[batch, *size]`, from the result of `class_scores`."""
  return resize_mask(jnp.argmax(scores, -1).astype(jnp.uint8), size)


def class_scores(
  model: Network,
  variables: Mapping[str, Any],
  images: jax.Array,
  size: tuple[int, int],
  options: passes.Options = passes.WHOLE,
  multiple: int = padding.MULTIPLE,
) -> jax.Array:
  """Computes the scores of each class; see `predict` for the arguments.

  Returns:
    float32 `[batch, *size, classes]`, see `passes.scores`; at the images' own size if
    `resizes_scores` is false.
  """
  height, width = images.shape[1:3]
  images = padding.mirror(images, multiple)
  padded_size = images.shape[1:3]
  is_padded = padded_size != (height, width)
  resize = resizes_scores((height, width), size)
  if in_tiles(padded_size, options):
    scores = tiles.tiled_scores(model, variables, images, options)
  else:
    # Several scales are averaged at the resolution of the mask, unless there is padding to cut off.
    at = size if resize and not is_padded else padded_size
    scores = passes.scores(model, variables, images, at, dataclasses.replace(options, mode="whole"))
  if is_padded:
    scores = scores[:, :height, :width]
  if resize:
    scores = passes.resize_logits(scores, size)
  return scores
