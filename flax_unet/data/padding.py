"""Padding for evaluation: mirrors images, so that they come in only a few shapes."""

import dataclasses
from collections.abc import Iterable
from typing import TypeVar

import cv2
import numpy as np

from flax_unet.data.label_space import IGNORED
from flax_unet.data.ops import Example, Op, on_weights
from flax_unet.errors import UserError

MULTIPLE = 128  # pixels; fits networks up to depth 7, and leaves few shapes to compile

Array = TypeVar("Array")  # np.ndarray or jax.Array


def mirror(images: Array, multiple: int) -> Array:
  """Pads `[..., height, width, channels]` to a multiple of pixels, at the bottom and right.

  The padding mirrors the image as often as needed, without repeating the last row or column.
  """
  for axis in (-3, -2):
    size = images.shape[axis]
    if size % multiple:
      places = np.pad(np.arange(size), (0, -size % multiple), mode="reflect")
      images = images.take(places, axis=axis)
  return images


def multiple_of(ops: Iterable[Op]) -> int:
  """Returns the multiple to which an evaluation with these ops pads the network's images."""
  return next((op.multiple for op in ops if isinstance(op, PadToMultiple)), MULTIPLE)


@dataclasses.dataclass(frozen=True)
class PadToMultiple(Op):
  """Pads image and label to the next multiple of a size, at the bottom and on the right.

  The image is mirrored and the label is `IGNORED`, so every pixel is still scored once, at its own
  resolution. The padded shape, and so the prediction, depends only on the image itself, not on its
  batch or the number of devices. Evaluation steps are compiled once per shape: for PASCAL VOC, with
  sides up to 500 pixels, multiples of 128 leave at most 16 shapes.

  The example also gets `size`, int `[2]`: height and width without padding.

  Attributes:
    multiple: in pixels. Larger means fewer shapes, but more wasted computation.
  """

  multiple: int

  def __post_init__(self):
    if self.multiple < 1:
      raise ValueError(f"multiple must be at least 1, not {self.multiple}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class.

    Raises:
      UserError: image and label differ in size.
    """
    del rng
    height, width = example["label"].shape
    if example["image"].shape[:2] != (height, width):
      raise UserError(
        f"example '{example['id']}': pad_to_multiple needs an image and a label of "
        "equal size; put it before resize_image"
      )
    border = (0, -height % self.multiple, 0, -width % self.multiple)
    return {
      **example,
      "image": mirror(example["image"], self.multiple),
      "label": cv2.copyMakeBorder(example["label"], *border, cv2.BORDER_CONSTANT, value=IGNORED),
      "size": np.array([height, width]),
      **on_weights(
        example, lambda weights: cv2.copyMakeBorder(weights, *border, cv2.BORDER_CONSTANT, value=0)
      ),
    }

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """See base class."""
    return size and tuple(side + -side % self.multiple for side in size)
