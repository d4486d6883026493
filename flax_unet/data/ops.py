"""Preprocessing ops: transform one example on the host, between source and batch.

An op is a callable `(example, rng) -> example`. It returns a new dict and never writes into its
input arrays; all randomness comes from `rng`, so the same generator state gives the same result.
Ops are frozen dataclasses rather than closures, because they are pickled for worker processes.

Image and label are always transformed together: images are resampled bilinearly, labels by nearest
neighbour, both with pixel centres at half-integers. As in mmsegmentation, there is no low-pass
filter before downscaling, so thin structures alias at small ratios.

Configurations name ops in a string, see `op_spec.py`; `photometric.py` distorts colours,
`elastic.py` and `affine.py` distort shapes, `degrade.py` removes detail, and `crops.py` crops.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import cv2
import numpy as np

from flax_unet.data import image_format as formats
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.label_space import LabelSpace
from flax_unet.errors import UserError

# `image`: uint8 [height, width, 3], RGB, or as the image format of the run says; `label`: uint8
# [height, width]; `id`: str. An op may add `weights`: float32 [height, width], the weight of each
# pixel in the loss; later ops transform them together with the label. The pipeline may add `focus`:
# int, a class to show.
Example = Mapping[str, Any]


def check_example(example: Example, image_format: ImageFormat = RGB) -> None:
  """Checks that image and label have the dtypes and shapes that ops rely on.

  Raises:
    UserError: they do not; the message gives the example's id and what was found.
  """
  image, label = example["image"], example["label"]
  where = f"example '{example['id']}'"
  dtype, channels = image_format.array_dtype, image_format.channels
  if image.dtype != dtype or image.ndim != 3 or image.shape[2] != channels:
    raise UserError(
      f"{where}: image must be {dtype} [height, width, {channels}], not {image.dtype} "
      f"{list(image.shape)}"
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
  """Returns the `weights` of an example after a change; empty if it has none."""
  return {"weights": change(example["weights"])} if "weights" in example else {}


@dataclasses.dataclass(frozen=True)
class Op(abc.ABC):
  """One step of preprocessing.

  Attributes:
    image_format: that of the images, which the program sets.
    needs_array: whether the image must be decoded first.
  """

  image_format: ImageFormat = dataclasses.field(default=RGB, kw_only=True, repr=False)

  needs_array: ClassVar[bool] = True

  @abc.abstractmethod
  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """Returns a processed copy of the example."""

  @property
  def focused_share(self) -> float:
    """The share of examples for which the op wants a class to focus on, as `balanced_crop` does."""
    return 0.0

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Returns (height, width) of the output for an input size; None if it varies or is unknown."""
    return size


@dataclasses.dataclass(frozen=True)
class LabelMap(Op):
  """Maps the values of masks to class indices, and to 255 for pixels to ignore.

  It must come first: other ops expect class indices. `config.label_space` defines the mapping.
  """

  label_space: LabelSpace

  needs_array = False

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class.

    Raises:
      UserError: a value is not a label id; the message gives the example's id and the value.
    """
    del rng
    try:
      label = self.label_space.to_index(example["label"])
    except ValueError as error:
      raise UserError(f"example '{example['id']}': {error}") from error
    return {**example, "label": label}


def resize_label(label: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resamples a label to `height` x `width` pixels."""
  # Not INTER_NEAREST, which puts pixel centres at integers, half a pixel off the image.
  return cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def _resize(example: Example, height: int, width: int) -> Example:
  """Resamples image and label to `height` x `width` pixels."""
  return {
    **example,
    "image": formats.resize(example["image"], height, width),
    "label": resize_label(example["label"], height, width),
    **on_weights(example, lambda weights: formats.resize(weights, height, width)),
  }


def check_size(height: int, width: int) -> None:
  """Refuses sizes below 1.

  Raises:
    ValueError: a side is below 1.
  """
  if height < 1 or width < 1:
    raise ValueError(f"height and width must be at least 1, not {height} and {width}")


def check_probability(probability: float) -> None:
  """Refuses a probability out of range.

  Raises:
    ValueError: it is not in [0, 1].
  """
  if not 0 <= probability <= 1:
    raise ValueError(f"probability must be in [0, 1], not {probability}")


@dataclasses.dataclass(frozen=True)
class Resize(Op):
  """Resamples image and label to a fixed size, regardless of the aspect ratio.

  Attributes:
    height: of the result, in pixels.
    width: of the result, in pixels.
  """

  height: int
  width: int

  def __post_init__(self):
    check_size(self.height, self.width)

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
  """Resamples only the image, for evaluation: scores are computed at the label's resolution.

  Attributes:
    height: of the image, in pixels.
    width: of the image, in pixels.
  """

  height: int
  width: int

  def __post_init__(self):
    check_size(self.height, self.width)

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    del rng
    return {**example, "image": formats.resize(example["image"], self.height, self.width)}

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
    """See base class."""
    del size
    return self.height, self.width


@dataclasses.dataclass(frozen=True)
class RandomScale(Op):
  """Rescales height and width by one random ratio, uniform in [low, high).

  Attributes:
    low: the smallest ratio.
    high: the largest ratio; 1 keeps the size.
  """

  low: float
  high: float

  def __post_init__(self):
    if not 0 < self.low <= self.high < math.inf:
      raise ValueError(f"ratios must be 0 < low <= high, not low={self.low} and high={self.high}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    return _resize(example, *self.draw(example["label"], rng))

  def draw(self, label: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Draws the new height and width."""
    ratio = rng.uniform(self.low, self.high)
    height, width = label.shape
    return max(1, round(height * ratio)), max(1, round(width * ratio))

  def output_size(self, size: tuple[int, int] | None) -> None:
    """See base class."""
    del size
    return None


@dataclasses.dataclass(frozen=True)
class FlipLR(Op):
  """Mirrors left and right with probability 1/2."""

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    if not rng.integers(2):
      return dict(example)
    return {
      **example,
      "image": formats.by_group(lambda part: cv2.flip(part, 1), example["image"]),
      "label": cv2.flip(example["label"], 1),
      **on_weights(example, lambda weights: cv2.flip(weights, 1)),
    }
