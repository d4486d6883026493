"""Rotation, scale and shear: preprocessing ops that warp image and label together."""

import dataclasses
import functools
import math

import cv2
import numpy as np

from flax_unet.data.image_format import by_group
from flax_unet.data.label_space import IGNORED
from flax_unet.data.ops import Example, Op, check_probability, on_weights


@dataclasses.dataclass(frozen=True)
class Affine(Op):
  """Rotates, scales, shears and shifts by random amounts, about the centre of the image.

  All amounts are uniform and drawn independently. The image is resampled bilinearly, the label by
  nearest neighbour. Pixels from outside the image get the padding colour, and their label is
  `IGNORED`.

  Attributes:
    max_degrees: the largest rotation either way.
    low: the smallest factor on both sides of the image; objects grow with it.
    high: the largest one.
    max_shear: the largest shear of x along y either way, in degrees, before the rotation.
    max_shift: the largest shift along each axis either way, as a fraction of the side.
    probability: how often the image is transformed.
  """

  max_degrees: float = 10.0
  low: float = 1.0
  high: float = 1.0
  max_shear: float = 0.0
  max_shift: float = 0.0
  probability: float = 1.0

  def __post_init__(self):
    check_probability(self.probability)
    if not 0 <= self.max_degrees <= 180:
      raise ValueError(f"max_degrees must be in [0, 180], not {self.max_degrees}")
    if not 0 <= self.max_shear < 90:
      raise ValueError(f"max_shear must be in [0, 90), not {self.max_shear}")
    if not 0 < self.low <= self.high < math.inf:
      raise ValueError(f"factors must be 0 < low <= high, not low={self.low} and high={self.high}")
    if not 0 <= self.max_shift <= 1:
      raise ValueError(f"max_shift must be in [0, 1], not {self.max_shift}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    if rng.random() >= self.probability:
      return dict(example)
    height, width = example["label"].shape
    matrix = self._draw(height, width, rng)

    def warp(pixels: np.ndarray, outside: object, interpolation: int) -> np.ndarray:
      return cv2.warpAffine(
        pixels,
        matrix,
        (width, height),
        flags=interpolation,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=outside,
      )

    return {
      **example,
      "image": by_group(
        functools.partial(warp, interpolation=cv2.INTER_LINEAR),
        example["image"],
        self.image_format.pad_color,
      ),
      "label": warp(example["label"], IGNORED, cv2.INTER_NEAREST),
      **on_weights(example, lambda weights: warp(weights, 0, cv2.INTER_LINEAR)),
    }

  def _draw(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draws the matrix from old to new (x, y), float64 `[2, 3]`."""
    angle = math.radians(rng.uniform(-self.max_degrees, self.max_degrees))
    factor = rng.uniform(self.low, self.high)
    shear = math.tan(math.radians(rng.uniform(-self.max_shear, self.max_shear)))
    shift = rng.uniform(-self.max_shift, self.max_shift, size=2) * (width, height)
    cos, sin = math.cos(angle), math.sin(angle)
    linear = factor * np.array([[cos, sin], [-sin, cos]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([linear, center + shift - linear @ center])


@dataclasses.dataclass(frozen=True)
class Rotate(Op):
  """Rotates about the centre of the image by a random angle; see `affine` for the borders.

  Attributes:
    max_degrees: the angle is uniform in [-max_degrees, max_degrees).
    probability: how often the image is rotated.
  """

  max_degrees: float
  probability: float = 1.0

  def __post_init__(self):
    self._affine()  # refuses values out of range

  def _affine(self) -> Affine:
    return Affine(self.max_degrees, probability=self.probability, image_format=self.image_format)

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    return self._affine()(example, rng)
