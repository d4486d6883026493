"""Random scale and random crop in one op, which skips most of the pixels that the crop discards."""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

from flax_unet.data import crops, image_format, images, ops
from flax_unet.data.label_space import IGNORED
from flax_unet.data.ops import Example, Op


@dataclasses.dataclass(frozen=True)
class ScaleCrop(Op):
  """`RandomScale` followed by a `Crop`: the same draws and the same pixels, bit for bit.

  Pixels below the crop are neither decoded (a third of a Cityscapes image) nor scaled; pixels to
  its right are not scaled. Pixels above and to the left have to be: OpenCV samples from the top
  left corner, and any other origin would shift the sampling positions.
  """

  scale: ops.RandomScale
  crop: crops.Crop

  needs_array = False

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    height, width = self.scale.draw(example["label"], rng)
    # The whole label: the crop depends on it, and OpenCV's INTER_NEAREST_EXACT cannot stop early.
    label = ops.resize_label(example["label"], height, width)
    place = self.crop.draw(example, label, rng)
    image = _resize_corner(example["image"], height, width, place[0].stop, place[1].stop)
    return {
      **example,
      "image": self.crop.cut(image, place, self.crop.image_format.pad_color),
      "label": self.crop.cut(label, place, IGNORED),
      **ops.on_weights(
        example,
        lambda weights: self.crop.cut(image_format.resize(weights, height, width), place, 0),
      ),
    }

  @property
  def focused_share(self) -> float:
    """See base class."""
    return self.crop.focused_share

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
    """See base class."""
    return self.crop.output_size(size)


def _resize_corner(
  image: images.EncodedImage | np.ndarray, height: int, width: int, bottom: int, right: int
) -> np.ndarray:
  """Scales the image to `[height, width]`; returns at least its corner `[:bottom, :right]`."""
  rows = math.ceil(bottom * image.shape[0] / height) + 1  # one more for the interpolation
  columns = math.ceil(right * image.shape[1] / width) + 1
  if rows >= image.shape[0] and columns >= image.shape[1]:
    return image_format.resize(images.decoded(image), height, width)
  ratios = {"fx": width / image.shape[1], "fy": height / image.shape[0]}
  image = images.decoded(image, rows)
  return image_format.by_group(
    lambda part: cv2.resize(part, None, **ratios, interpolation=cv2.INTER_LINEAR),
    image[:rows, :columns],
  )


def fuse(chain: Sequence[Op]) -> tuple[Op, ...]:
  """Returns equivalent ops, with a `ScaleCrop` for each random scale before a crop."""
  fused = []
  for op in chain:
    if isinstance(op, crops.Crop) and fused and isinstance(fused[-1], ops.RandomScale):
      op = ScaleCrop(fused.pop(), op)
    fused.append(op)
  return tuple(fused)
