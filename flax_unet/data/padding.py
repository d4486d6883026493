"""Padding for evaluation: the preprocessing op that gives pictures of many sizes a few shapes."""

import dataclasses

import cv2
import numpy as np

from flax_unet.data.label_space import IGNORED
from flax_unet.data.ops import Example, Op
from flax_unet.errors import UserError


@dataclasses.dataclass(frozen=True)
class PadToMultiple(Op):
  """Enlarges a picture to the next multiple of a size, at the bottom and on the right.

  The image goes on mirrored and the label as `IGNORED`, so every pixel is still scored once, at its
  own resolution. A picture's shape depends on that picture alone, and so does its prediction:
  neither on its batch nor on the number of devices. The steps of an evaluation are compiled once a
  shape: for PASCAL VOC, whose sides are up to 500 pixels, multiples of 128 leave 16 shapes at most.

  The example also gets `size`, int `[2]`: height and width of the picture proper.

  Attributes:
    multiple: in pixels. Larger means fewer shapes, and more pixels that are computed for nothing.
  """

  multiple: int

  def __post_init__(self):
    if self.multiple < 1:
      raise ValueError(f"multiple must be at least 1, not {self.multiple}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class.

    Raises:
      UserError: image and label are not of one size.
    """
    height, width = example["label"].shape
    if example["image"].shape[:2] != (height, width):
      raise UserError(
        f"example '{example['id']}': pad_to_multiple needs image and label of one size; put it "
        "in front of resize_image"
      )
    border = (0, -height % self.multiple, 0, -width % self.multiple)
    return {
      **example,
      "image": cv2.copyMakeBorder(example["image"], *border, cv2.BORDER_REFLECT_101),
      "label": cv2.copyMakeBorder(example["label"], *border, cv2.BORDER_CONSTANT, value=IGNORED),
      "size": np.array([height, width]),
    }

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
    return size and tuple(side + -side % self.multiple for side in size)
