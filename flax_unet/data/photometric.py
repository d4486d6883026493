"""Photometric distortion: the preprocessing op that changes colours, but not labels."""

import dataclasses

import cv2
import numpy as np

from flax_unet.data.ops import Example, Op


@dataclasses.dataclass(frozen=True)
class Photometric(Op):
  """Distorts brightness, contrast, saturation and hue, each with probability 1/2.

  mmsegmentation's PhotoMetricDistortion (from SSD, Liu et al. 2016, section 2.2; Howard 2013):
  brightness first, contrast right after it or last, saturation and hue in OpenCV's HSV.

  Attributes:
    brightness: the largest value added or subtracted, in grey levels.
    contrast: the factor on all channels is uniform in [1 - contrast, 1 + contrast).
    saturation: the factor on the saturation is uniform in [1 - saturation, 1 + saturation).
    hue: the largest rotation of the hue, an integer in OpenCV's units of 2 degrees.
  """

  brightness: float = 32.0
  contrast: float = 0.5
  saturation: float = 0.5
  hue: int = 18

  def __post_init__(self):
    if not (0 <= self.brightness <= 255 and 0 <= self.hue <= 90):
      raise ValueError(
        "brightness must be in [0, 255] and hue in [0, 90], "
        f"not brightness={self.brightness} and hue={self.hue}"
      )
    if not (0 <= self.contrast <= 1 and 0 <= self.saturation <= 1):
      raise ValueError(
        "contrast and saturation must be in [0, 1], "
        f"not contrast={self.contrast} and saturation={self.saturation}"
      )

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    image = example["image"]
    brighten, contrast_last, change_contrast, saturate, rotate = rng.integers(2, size=5)
    contrast = rng.uniform(1 - self.contrast, 1 + self.contrast)
    if brighten:
      image = _affine(image, 1.0, rng.uniform(-self.brightness, self.brightness))
    if change_contrast and not contrast_last:
      image = _affine(image, contrast)
    if saturate or rotate:
      hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
      if saturate:
        saturation = _affine(saturation, rng.uniform(1 - self.saturation, 1 + self.saturation))
      if rotate:
        shift = rng.integers(-self.hue, self.hue, endpoint=True)
        hue = cv2.LUT(hue, ((np.arange(256) + shift) % 180).astype(np.uint8))
      image = cv2.cvtColor(cv2.merge((hue, saturation, value)), cv2.COLOR_HSV2RGB)
    if change_contrast and contrast_last:
      image = _affine(image, contrast)
    return {**example, "image": image}


def _affine(values: np.ndarray, factor: float, offset: float = 0.0) -> np.ndarray:
  """Returns `values * factor + offset`, rounded and clipped to uint8, by a fast table look-up."""
  table = np.clip(np.rint(np.arange(256) * factor + offset), 0, 255)
  return cv2.LUT(values, table.astype(np.uint8))
