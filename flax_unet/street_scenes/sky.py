"""The sky: a gradient, and clouds seen in perspective."""

import cv2
import numpy as np

from flax_unet.data.label_spaces import CITYSCAPES_IDS
from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.textures import noise


def draw_sky(canvas: Canvas) -> None:
  """Fills the canvas above the horizon: a sky that fades downwards, and clouds at one height."""
  weather, camera = canvas.weather, canvas.camera
  horizon = int(np.ceil(camera.vanishing[1] * camera.height)) + 1
  # Clouds are soft: a few pixels are enough for any canvas size.
  rows, columns = np.mgrid[:96, :256].astype(np.float32)
  elevation = np.maximum(
    camera.vanishing[1] * (95.5 - rows) / 96 * camera.height / camera.width / camera.focal, 0.012
  )
  aside = ((columns + 0.5) / 256 - camera.vanishing[0]) / camera.focal
  blue = np.clip(elevation / 0.4, 0, 1) ** 0.7
  low, high, white = (
    color[:, None, None] for color in (weather.horizon, weather.zenith, weather.cloud_color)
  )
  sky = low * (1 - blue) + high * blue  # [3, 96, 256]
  u, v = aside / elevation * 1000 + weather.wind, 1000 / elevation
  density = noise(u, v * 0.7, 22.0) + 0.5 * noise(u, v, 9.0) + 3 * (weather.clouds - 0.5)
  cover = 0.85 * cv2.GaussianBlur(np.clip(density, 0, 1), (0, 0), 1.2)
  shade = 1 - 0.09 * cv2.GaussianBlur(np.clip(density - 1, 0, 2), (0, 0), 2.5)
  sky = (sky * (1 - cover) + white * shade * cover).astype(np.float32)
  canvas.image[:horizon] = cv2.resize(cv2.merge(sky), (camera.width, horizon))
  canvas.label[:horizon] = CITYSCAPES_IDS["sky"]
