"""A whole scene: sky, ground, everything that stands on it, and the car with the camera."""

import numpy as np

from flax_unet.data.label_spaces import CITYSCAPES_IDS
from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.develop import develop
from flax_unet.street_scenes.frontage import sample_frontage
from flax_unet.street_scenes.geometry import Camera
from flax_unet.street_scenes.ground import draw_ground
from flax_unet.street_scenes.items import paint_items
from flax_unet.street_scenes.roadside import sample_roadside
from flax_unet.street_scenes.sky import draw_sky
from flax_unet.street_scenes.street import sample_street
from flax_unet.street_scenes.traffic import sample_traffic
from flax_unet.street_scenes.weather import sample_weather

BASELINE = 0.22  # metres between the two cameras, as in Cityscapes
_SUPERSAMPLING = 2  # canvas pixels per image pixel, along either axis


def draw_street_scene(
  rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Draws one image and its label; see `draw_with_depth`."""
  image, label, _ = draw_with_depth(rng, height, width)
  return image, label


def draw_with_depth(
  rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Draws one image, its label and its disparity.

  Args:
    rng: determines everything; the same state gives the same scene at every resolution.
    height: of the image, in pixels.
    width: of the image, in pixels; meant to be twice the height.

  Returns:
    image uint8 `[height, width, 3]`, RGB; Cityscapes label ids uint8 `[height, width]`; and the
    disparity to a second camera `BASELINE` to the side, float32 `[height, width]`, in pixels.
  """
  camera = Camera(
    height=height * _SUPERSAMPLING,
    width=width * _SUPERSAMPLING,
    eye=rng.uniform(1.25, 1.7),
    vanishing=(rng.uniform(0.4, 0.6), rng.uniform(0.36, 0.45)),
  )
  canvas = Canvas(camera, sample_weather(rng))
  street = sample_street(rng)
  items = [
    *sample_frontage(street, rng),
    *sample_roadside(street, rng),
    *sample_traffic(street, rng),
  ]
  draw_sky(canvas)
  draw_ground(canvas, street, rng)
  paint_items(canvas, items, rng)
  if rng.random() < 0.85:
    _draw_bonnet(canvas, rng)
  image, label = develop(canvas, _SUPERSAMPLING, rng)
  depth = canvas.depth[_SUPERSAMPLING // 2 :: _SUPERSAMPLING, _SUPERSAMPLING // 2 :: _SUPERSAMPLING]
  return image, label, np.float32(BASELINE * camera.focal * width) / depth


def _draw_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
  """Paints the bonnet of the car with the camera along the lower edge ("ego vehicle")."""
  height, width = canvas.label.shape
  color = rng.uniform(20, 150) + rng.normal(0, 5, 3)
  edge, first = rng.uniform(0.91, 0.96), int(0.9 * height)
  rows = (np.arange(first, height) / height)[:, None]
  columns = (np.arange(width) / width - 0.5)[None]
  below = rows - edge - 0.22 * columns**2
  gleam = 1 + 0.5 * np.exp(-((below / 0.02) ** 2)) + 0.15 * np.cos(columns * 9)
  bonnet = below > 0
  canvas.image[first:][bonnet] = (color * gleam[..., None])[bonnet]
  canvas.label[first:][bonnet] = CITYSCAPES_IDS["ego vehicle"]
  canvas.depth[first:][bonnet] = 1.0
