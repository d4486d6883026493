"""Preprocessing ops: what happens to one example on the host, between source and batch.

An op is a callable `(example, rng) -> example`. It returns a new dict and never writes into the
arrays it was given; whatever is random comes from `rng`, so the same generator state gives the same
result. Ops are frozen dataclasses rather than closures, because they travel to worker processes.

Image and label always move together: images are resampled bilinearly, labels by nearest neighbour,
both with pixel centres at half-integers. As in mmsegmentation, nothing is low-passed before it is
shrunk, so thin things alias at small ratios.

Configurations name ops in a string, see `op_spec.py`; colours are distorted in `photometric.py`,
shapes in `elastic.py`.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import cv2
import numpy as np

from flax_unet.data import images
from flax_unet.data.label_space import IGNORED, LabelSpace, count_values
from flax_unet.errors import UserError

# `image`: uint8 [height, width, 3], RGB; `label`: uint8 [height, width]; `id`: str. An op may add
# `weights`: float32 [height, width], what each pixel counts in the loss; ops that follow move them
# with the label.
Example = Mapping[str, Any]

# ImageNet's mean, RGB: about 0 once normalised, which is what mmsegmentation pads with.
PAD_COLOR = (124, 116, 104)


def check_example(example: Example) -> None:
  """Checks that image and label have the dtypes and shapes that ops rely on.

  Raises:
    UserError: they do not; the message names the example's id and what was found.
  """
  image, label = example["image"], example["label"]
  where = f"example '{example['id']}'"
  if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
    raise UserError(
      f"{where}: image must be uint8 [height, width, 3], not {image.dtype} {list(image.shape)}"
    )
  if label.dtype != np.uint8 or label.ndim != 2:
    raise UserError(
      f"{where}: label must be uint8 [height, width], not {label.dtype} {list(label.shape)}"
    )
  if image.shape[:2] != label.shape:
    raise UserError(
      f"{where}: image is {image.shape[0]} x {image.shape[1]} (height x width) "
      f"but label is {label.shape[0]} x {label.shape[1]}"
    )


def on_weights(
  example: Example, change: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
  """The `weights` of an example after a change; nothing where it has none."""
  return {"weights": change(example["weights"])} if "weights" in example else {}


class Op(abc.ABC):
  """One step of preprocessing.

  Attributes:
    needs_array: whether the image must be decoded before.
  """

  needs_array: ClassVar[bool] = True

  @abc.abstractmethod
  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """Returns a processed copy of the example."""

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The (height, width) that follows from the input's; None where it varies or is unknown."""
    return size


@dataclasses.dataclass(frozen=True)
class LabelMap(Op):
  """Maps the data set's label ids to class indices and `IGNORED`."""

  label_space: LabelSpace

  needs_array = False

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class.

    Raises:
      UserError: a value is no label id of the space; names the example's id and the value.
    """
    del rng
    try:
      label = self.label_space.to_index(example["label"])
    except ValueError as error:
      raise UserError(f"example '{example['id']}': {error}") from error
    return {**example, "label": label}


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resamples an image to `height` x `width` pixels."""
  return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def resize_label(label: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resamples a label to `height` x `width` pixels."""
  # Not INTER_NEAREST: that one puts pixel centres at integers, half a pixel off the image.
  return cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def _resize(example: Example, height: int, width: int) -> Example:
  """Resamples image and label to `height` x `width` pixels."""
  return {
    **example,
    "image": resize_image(example["image"], height, width),
    "label": resize_label(example["label"], height, width),
    **on_weights(example, lambda weights: resize_image(weights, height, width)),
  }


def _check_size(height: int, width: int) -> None:
  if height < 1 or width < 1:
    raise ValueError(f"height and width must be at least 1, not {height} and {width}")


@dataclasses.dataclass(frozen=True)
class Resize(Op):
  """Resamples to a fixed size in pixels, whatever the aspect ratio was."""

  height: int
  width: int

  def __post_init__(self):
    _check_size(self.height, self.width)

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    del rng
    return _resize(example, self.height, self.width)

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
    """See base class."""
    del size
    return self.height, self.width


@dataclasses.dataclass(frozen=True)
class ResizeImage(Op):
  """Resizes the image only, for evaluation: predictions are scored at the label's resolution.

  Attributes:
    height: of the image, in pixels.
    width: of the image, in pixels.
  """

  height: int
  width: int

  def __post_init__(self):
    _check_size(self.height, self.width)

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    del rng
    return {**example, "image": resize_image(example["image"], self.height, self.width)}

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
    """See base class."""
    del size
    return self.height, self.width


@dataclasses.dataclass(frozen=True)
class RandomScale(Op):
  """Resamples height and width by one ratio, uniform in [low, high)."""

  low: float
  high: float

  def __post_init__(self):
    if not 0 < self.low <= self.high < math.inf:
      raise ValueError(f"ratios must be 0 < low <= high, not low={self.low} and high={self.high}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    return _resize(example, *self.draw(example["label"], rng))

  def draw(self, label: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Draws the new height and width of a picture."""
    ratio = rng.uniform(self.low, self.high)
    height, width = label.shape
    return max(1, round(height * ratio)), max(1, round(width * ratio))

  def output_size(self, size: tuple[int, int] | None) -> None:
    """See base class."""
    del size
    return None


@dataclasses.dataclass(frozen=True)
class RandomCrop(Op):
  """Cuts out a rectangle at a place drawn uniformly.

  A smaller picture is padded at the bottom and on the right: the image with `PAD_COLOR`, the label
  with `IGNORED`.

  Attributes:
    height: of the crop, in pixels.
    width: of the crop, in pixels.
    cat_max_ratio: below 1, a place is drawn again, at most 10 times, until more than one class is
      in the crop and none takes this share, or more, of the pixels that are not ignored.
  """

  height: int
  width: int
  cat_max_ratio: float = 1.0

  needs_array = False

  def __post_init__(self):
    _check_size(self.height, self.width)
    if not 0 < self.cat_max_ratio <= 1:
      raise ValueError(f"cat_max_ratio must be in (0, 1], not {self.cat_max_ratio}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    place = self.draw(example["label"], rng)
    return {
      **example,
      "image": self.cut(images.decoded(example["image"], place[0].stop), place, PAD_COLOR),
      "label": self.cut(example["label"], place, IGNORED),
      **on_weights(example, lambda weights: self.cut(weights, place, 0)),
    }

  def draw(self, label: np.ndarray, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draws the rows and columns to cut out of a picture with this label."""
    place = self._draw_once(label, rng)
    if self.cat_max_ratio < 1:
      for _ in range(10):
        if self._is_balanced(label[place]):
          break
        place = self._draw_once(label, rng)
    return place

  def cut(self, pixels: np.ndarray, place: tuple[slice, slice], padding: Any) -> np.ndarray:
    """Cuts out rows and columns, and pads what is missing at the end of them."""
    crop = pixels[place]
    below, right = self.height - crop.shape[0], self.width - crop.shape[1]
    if below or right:
      return cv2.copyMakeBorder(crop, 0, below, 0, right, cv2.BORDER_CONSTANT, value=padding)
    return crop.copy()  # the whole picture should not stay in memory as long as its crop

  def _draw_once(self, label: np.ndarray, rng: np.random.Generator) -> tuple[slice, slice]:
    top = rng.integers(max(0, label.shape[0] - self.height), endpoint=True)
    left = rng.integers(max(0, label.shape[1] - self.width), endpoint=True)
    return slice(top, top + self.height), slice(left, left + self.width)

  def _is_balanced(self, label: np.ndarray) -> bool:
    counts = count_values(label)
    counts[IGNORED] = 0
    return np.count_nonzero(counts) > 1 and counts.max() < self.cat_max_ratio * counts.sum()

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
    """See base class."""
    del size
    return self.height, self.width


@dataclasses.dataclass(frozen=True)
class FlipLR(Op):
  """Mirrors left and right with probability 1/2."""

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    if not rng.integers(2):
      return dict(example)
    return {
      **example,
      "image": cv2.flip(example["image"], 1),
      "label": cv2.flip(example["label"], 1),
      **on_weights(example, lambda weights: cv2.flip(weights, 1)),
    }
