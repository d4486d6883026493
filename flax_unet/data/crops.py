"""Preprocessing ops that cut a window of fixed size out of an example."""

import abc
import dataclasses
from typing import Any

import cv2
import numpy as np

from flax_unet.data import image_format, images
from flax_unet.data.label_space import IGNORED, count_values
from flax_unet.data.ops import Example, Op, check_size, on_weights


@dataclasses.dataclass(frozen=True)
class Crop(Op):
  """Cuts out a window.

  A smaller example is padded at the bottom and on the right: the image with the padding colour, the
  label with `IGNORED`.

  Attributes:
    height: of the crop, in pixels.
    width: of the crop, in pixels.
  """

  height: int
  width: int

  needs_array = False

  def __post_init__(self):
    check_size(self.height, self.width)

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    place = self.draw(example, example["label"], rng)
    return {
      **example,
      "image": self.cut(
        images.decoded(example["image"], place[0].stop), place, self.image_format.pad_color
      ),
      "label": self.cut(example["label"], place, IGNORED),
      **on_weights(example, lambda weights: self.cut(weights, place, 0)),
    }

  @abc.abstractmethod
  def draw(
    self, example: Example, label: np.ndarray, rng: np.random.Generator
  ) -> tuple[slice, slice]:
    """Draws the rows and columns of the crop.

    Args:
      example: the example.
      label: its label, possibly resized.
      rng: the source of randomness.
    """

  def cut(self, pixels: np.ndarray, place: tuple[slice, slice], padding: Any) -> np.ndarray:
    """Cuts out rows and columns, and pads what is missing at their end."""
    crop = pixels[place]
    below, right = self.height - crop.shape[0], self.width - crop.shape[1]
    if below or right:
      return image_format.by_group(
        lambda part, color: cv2.copyMakeBorder(
          part, 0, below, 0, right, cv2.BORDER_CONSTANT, value=color
        ),
        crop,
        padding,
      )
    return crop.copy()  # a view would keep the whole image in memory as long as its crop

  def draw_anywhere(self, label: np.ndarray, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draws uniformly from all positions."""
    top = rng.integers(max(0, label.shape[0] - self.height), endpoint=True)
    left = rng.integers(max(0, label.shape[1] - self.width), endpoint=True)
    return self._window(top, left)

  def _window(self, top: int, left: int) -> tuple[slice, slice]:
    return slice(top, top + self.height), slice(left, left + self.width)

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
    """See base class."""
    del size
    return self.height, self.width


@dataclasses.dataclass(frozen=True)
class RandomCrop(Crop):
  """Crops at a uniformly random position.

  Attributes:
    height: of the crop, in pixels; smaller examples are padded.
    width: of the crop, in pixels.
    cat_max_ratio: if below 1, the position is redrawn, at most 10 times, until the crop has more
      than one class and each has less than this share of the pixels that are not ignored.
  """

  cat_max_ratio: float = 1.0

  def __post_init__(self):
    super().__post_init__()
    if not 0 < self.cat_max_ratio <= 1:
      raise ValueError(f"cat_max_ratio must be in (0, 1], not {self.cat_max_ratio}")

  def draw(
    self, example: Example, label: np.ndarray, rng: np.random.Generator
  ) -> tuple[slice, slice]:
    """See base class."""
    del example
    place = self.draw_anywhere(label, rng)
    if self.cat_max_ratio < 1:
      for _ in range(10):
        if self._is_balanced(label[place]):
          break
        place = self.draw_anywhere(label, rng)
    return place

  def _is_balanced(self, label: np.ndarray) -> bool:
    counts = count_values(label)
    counts[IGNORED] = 0
    return np.count_nonzero(counts) > 1 and counts.max() < self.cat_max_ratio * counts.sum()


@dataclasses.dataclass(frozen=True)
class BalancedCrop(Crop):
  """Shows rare classes more often: centres some of the crops on pixels of a class drawn uniformly.

  For a share of the examples, the pipeline draws one of the classes of the training split, and one
  of the images that contain it (`order.Focus`). The crop is centred on a random pixel of that
  class, as far as the border of the image allows. The other crops are random crops of the next
  image. As in NVIDIA's semantic-segmentation (Zhu et al. 2019, arXiv 1812.01593, section 3.3).

  Attributes:
    height: of the crop, in pixels; smaller examples are padded.
    width: of the crop, in pixels.
    share: fraction of the crops that are centred on a class.
  """

  share: float = 0.5

  def __post_init__(self):
    super().__post_init__()
    if not 0 <= self.share <= 1:
      raise ValueError(f"share must be in [0, 1], not {self.share}")

  @property
  def focused_share(self) -> float:
    """See base class."""
    return self.share

  def draw(
    self, example: Example, label: np.ndarray, rng: np.random.Generator
  ) -> tuple[slice, slice]:
    """See base class."""
    focus = example.get("focus")
    pixels = np.flatnonzero(label == focus) if focus is not None else ()
    if not len(pixels):  # none was drawn, or scaling the label has dropped its few pixels
      return self.draw_anywhere(label, rng)
    row, column = np.unravel_index(pixels[rng.integers(len(pixels))], label.shape)
    top = np.clip(row - self.height // 2, 0, max(0, label.shape[0] - self.height))
    left = np.clip(column - self.width // 2, 0, max(0, label.shape[1] - self.width))
    return self._window(int(top), int(left))
