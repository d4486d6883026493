"""From the canvas to the image: haze, then the camera's exposure, colour cast and noise."""

import cv2
import numpy as np

from flax_unet.street_scenes.canvas import Canvas


def veil(canvas: Canvas) -> np.ndarray:
  """Returns the canvas' image, float32 `[height, width, 3]`, behind haze that grows with depth.

  A share exp(-haze * d) of the light comes from the surface at depth d, the rest from the sky at
  the horizon (Koschmieder's law). The sky itself is painted without haze.
  """
  # The edge of a plane may reach past its own horizon, where its depth is large and negative.
  kept = np.exp(-canvas.weather.haze * np.abs(canvas.depth))
  kept[np.isinf(canvas.depth)] = 1
  image, air = np.empty_like(canvas.image), canvas.weather.horizon.astype(np.float32)
  for channel in range(3):  # broadcasting over three channels would take four times as long
    image[..., channel] = canvas.image[..., channel] * kept + air[channel] * (1 - kept)
  return image


def develop(canvas: Canvas, shrink: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Turns the canvas into an image.

  Args:
    canvas: the painted canvas.
    shrink: canvas pixels per image pixel, along either axis.
    rng: source of exposure, colour cast and noise.

  Returns:
    image uint8 `[height, width, 3]` and label ids uint8 `[height, width]`; the image averages
    canvas pixels, the label takes one of them.
  """
  height, width = canvas.label.shape[0] // shrink, canvas.label.shape[1] // shrink
  bright = np.clip(veil(canvas), 0, 255)
  image = cv2.resize(bright, (width, height), interpolation=cv2.INTER_AREA) / 255
  exposure, cast = rng.uniform(0.92, 1.22), rng.normal(1, 0.03, 3)
  contrast, grain = rng.uniform(0.9, 1.2), rng.uniform(1.0, 3.5)
  image = 255 * np.minimum(image * np.float32(exposure * cast), 1) ** np.float32(contrast)
  image += np.float32(grain) * rng.standard_normal(image.shape, np.float32)
  label = canvas.label[shrink // 2 :: shrink, shrink // 2 :: shrink]
  return np.rint(image).clip(0, 255).astype(np.uint8), np.ascontiguousarray(label)
