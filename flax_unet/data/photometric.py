"""Photometric distortion: the preprocessing op that changes colours, but not labels."""

import dataclasses

import cv2
import numpy as np

from flax_unet.data.ops import Example, Op


@dataclasses.dataclass(frozen=True)
class Photometric(Op):
  """Distorts brightness, contrast, saturation and hue, each with probability 1/2.

  mmsegmentation's PhotoMetricDistortion (from SSD, Liu et al. 2016, section 2.2; Howard 2013):
  brightness first, contrast right after it or last, saturation and hue in OpenCV's HSV. It changes
  the first three channels, which have to be red, green and blue, and leaves the others as they are;
  `intensity` changes all channels, whatever they are.

  Attributes:
    brightness: the largest value added or subtracted, in gray levels.
    contrast: the factor on all channels is uniform in [1 - contrast, 1 + contrast).
    saturation: the factor on the saturation is uniform in [1 - saturation, 1 + saturation).
    hue: the largest rotation of the hue, an integer in OpenCV's units of 2 degrees.
  """

  brightness: float = 32.0
  contrast: float = 0.5
  saturation: float = 0.5
  hue: int = 18

  def __post_init__(self):
    if self.image_format.channels < 3:
      raise ValueError(
        f"there is no colour in {self.image_format.describe()}: use intensity instead"
      )
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
    if image.dtype == np.uint8:
      colors = self._distort(image[..., :3], rng)
    else:
      low, high = self.image_format.array_range
      grey_levels = (image[..., :3].astype(np.float32) - low) * np.float32(255 / (high - low))
      colors = self._distort(grey_levels, rng).astype(np.float64) * ((high - low) / 255) + low
      colors = np.rint(colors).clip(low, high).astype(image.dtype)
    if image.shape[2] > 3:
      colors = np.concatenate([colors, image[..., 3:]], axis=2)
    return {**example, "image": colors}

  def _distort(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distorts colours, uint8 or float32 in 0..255 `[height, width, 3]`."""
    brighten, contrast_last, change_contrast, saturate, rotate = rng.integers(2, size=5)
    contrast = rng.uniform(1 - self.contrast, 1 + self.contrast)
    if brighten:
      image = _affine(image, 1.0, rng.uniform(-self.brightness, self.brightness))
    if change_contrast and not contrast_last:
      image = _affine(image, contrast)
    if saturate or rotate:
      hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
      if saturate:
        factor = rng.uniform(1 - self.saturation, 1 + self.saturation)
        saturation = _affine(saturation, factor, highest=255 if image.dtype == np.uint8 else 1)
      if rotate:
        shift = rng.integers(-self.hue, self.hue, endpoint=True)
        if image.dtype == np.uint8:
          hue = cv2.LUT(hue, ((np.arange(256) + shift) % 180).astype(np.uint8))
        else:
          hue = (hue + np.float32(2 * shift)) % 360  # in degrees
      image = cv2.cvtColor(cv2.merge((hue, saturation, value)), cv2.COLOR_HSV2RGB)
    if change_contrast and contrast_last:
      image = _affine(image, contrast)
    return image


def _affine(
  values: np.ndarray, factor: float, offset: float = 0.0, highest: float = 255
) -> np.ndarray:
  """Returns `values * factor + offset`, clipped; rounded if they are uint8."""
  if values.dtype != np.uint8:
    return (values * np.float32(factor) + np.float32(offset)).clip(0, np.float32(highest))
  # A table is faster.
  table = np.clip(np.rint(np.arange(256) * factor + offset), 0, 255)
  return cv2.LUT(values, table.astype(np.uint8))
