"""Ops that take detail from the image and leave the label as it is: cutout, blur, JPEG."""

import dataclasses

import cv2
import numpy as np

from flax_unet.data.image_format import by_group
from flax_unet.data.ops import Example, Op, check_probability, check_size

_MOST_SIGMA = 100  # of a blur, in pixels: its time grows with it


@dataclasses.dataclass(frozen=True)
class Cutout(Op):
  """Covers rectangles of the image (DeVries and Taylor 2017, arXiv 1708.04552).

  They get the padding colour, which is about 0 after normalisation.

  Their centres are uniform over the image, so parts of them may lie outside. The label is
  unchanged: the network has to infer the hidden pixels from their surroundings, as in
  mmsegmentation's RandomCutOut.

  Attributes:
    height: of a rectangle, in pixels.
    width: of a rectangle, in pixels.
    holes: number of rectangles.
    probability: how often rectangles are covered.
  """

  height: int
  width: int
  holes: int = 1
  probability: float = 0.5

  def __post_init__(self):
    check_size(self.height, self.width)
    check_probability(self.probability)
    if self.holes < 1:
      raise ValueError(f"holes must be at least 1, not {self.holes}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    if rng.random() >= self.probability:
      return dict(example)
    image = example["image"].copy()
    for _ in range(self.holes):
      top = rng.integers(image.shape[0]) - self.height // 2
      left = rng.integers(image.shape[1]) - self.width // 2
      covered = np.s_[max(0, top) : top + self.height, max(0, left) : left + self.width]
      image[covered] = self.image_format.pad_color
    return {**example, "image": image}


@dataclasses.dataclass(frozen=True)
class Blur(Op):
  """Blurs the image with a Gaussian of random width; the border is mirrored.

  Attributes:
    max_sigma: the standard deviation is uniform in (0, max_sigma], in pixels.
    probability: how often the image is blurred.
  """

  max_sigma: float = 2.0
  probability: float = 0.5

  def __post_init__(self):
    check_probability(self.probability)
    if not 0 < self.max_sigma <= _MOST_SIGMA:
      raise ValueError(f"max_sigma must be above 0 and at most {_MOST_SIGMA}, not {self.max_sigma}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    if rng.random() >= self.probability:
      return dict(example)
    sigma = self.max_sigma * (1 - rng.random())
    blurred = by_group(lambda part: cv2.GaussianBlur(part, (0, 0), sigma), example["image"])
    return {**example, "image": blurred}


@dataclasses.dataclass(frozen=True)
class Jpeg(Op):
  """Compresses the image as JPEG with a random quality, and decodes it again.

  Attributes:
    low: the lowest quality, 1 to 100.
    high: the highest one.
    probability: how often the image is compressed.
  """

  low: int = 30
  high: int = 95
  probability: float = 0.5

  def __post_init__(self):
    check_probability(self.probability)
    if not 1 <= self.low <= self.high <= 100:
      raise ValueError(f"qualities must be 1 <= low <= high <= 100, not {self.low}, {self.high}")
    if not self.image_format.is_rgb8:
      raise ValueError(
        f"JPEG holds three 8-bit channels, and images have {self.image_format.describe()}"
      )

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    if rng.random() >= self.probability:
      return dict(example)
    quality = int(rng.integers(self.low, self.high, endpoint=True))
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, encoded = cv2.imencode(".jpg", example["image"][..., ::-1], options)
    return {**example, "image": cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)}
