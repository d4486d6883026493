"""Distortion of brightness and contrast for images of any number of channels."""

import dataclasses

import numpy as np

from flax_unet.data.ops import Example, Op


@dataclasses.dataclass(frozen=True)
class Intensity(Op):
  """Distorts brightness and contrast of all channels alike, each with probability 1/2.

  `photometric` does this to RGB images, and also changes their saturation and hue; this op is for
  grayscale images, X-rays and satellite bands. Values are multiplied by the factor, then shifted,
  and clipped to the range.

  Attributes:
    brightness: the shift is uniform in [-brightness, brightness), as a fraction of the range of
      values.
    contrast: the factor is uniform in [1 - contrast, 1 + contrast).
  """

  brightness: float = 0.125
  contrast: float = 0.5

  def __post_init__(self):
    if not (0 <= self.brightness <= 1 and 0 <= self.contrast <= 1):
      raise ValueError(
        "brightness and contrast must be in [0, 1], "
        f"not brightness={self.brightness} and contrast={self.contrast}"
      )

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    change_contrast, brighten = rng.integers(2, size=2)
    factor = rng.uniform(1 - self.contrast, 1 + self.contrast)
    shift = rng.uniform(-self.brightness, self.brightness)
    if not (change_contrast or brighten):
      return dict(example)
    image = example["image"]
    low, high = self.image_format.array_range
    factor = factor if change_contrast else 1.0
    offset = low + (shift * (high - low) if brighten else 0.0)
    values = np.arange(np.iinfo(image.dtype).max + 1)
    table = np.rint((values - low) * factor + offset).clip(low, high).astype(image.dtype)
    return {**example, "image": table[image]}
