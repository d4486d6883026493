"""Weather: where the light comes from, its colours, the air, and how the camera develops it all."""

import dataclasses

import cv2
import numpy as np

from flax_unet.data.label_spaces import CITYSCAPES_IDS
from flax_unet.data.street_scenes.textures import noise


@dataclasses.dataclass(frozen=True)
class Weather:
  """Light and air of one picture.

  Attributes:
    sun: float `[3]`, unit vector to the sun.
    sunlight: float `[3]`, what the sun adds to a surface that faces it, as a factor by RGB.
    skylight: float `[3]`, what every surface gets, as a factor by RGB.
    zenith, horizon: float `[3]`, RGB of the sky high up and low down.
    clouds: share of the sky they cover, 0 to 1.
    cloud_color: float `[3]`, RGB.
    haze: how much of the view is lost in the air, per metre.
    wind: where in the clouds we are, metres.
  """

  sun: np.ndarray
  sunlight: np.ndarray
  skylight: np.ndarray
  zenith: np.ndarray
  horizon: np.ndarray
  clouds: float
  cloud_color: np.ndarray
  haze: float
  wind: float

  def light_on(self, normal: np.ndarray) -> np.ndarray:
    """Factor `[3]` by which light changes the colour of a surface with that unit normal."""
    sky = self.skylight * (0.9 + 0.1 * normal[1])
    return sky + self.sunlight * max(0.0, float(normal @ self.sun))


def sample_weather(rng: np.random.Generator) -> Weather:
  """Draws fine, cloudy, overcast or hazy weather, or a low evening sun."""
  kind = rng.choice(
    ["fine", "cloudy", "overcast", "hazy", "evening"], p=[0.32, 0.25, 0.2, 0.1, 0.13]
  )
  low = kind == "evening"
  azimuth = rng.uniform(0, 2 * np.pi)
  elevation = rng.uniform(0.25, 0.4) if low else rng.uniform(0.55, 1.0)
  sun = np.array(
    [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)]
  )
  strength = {"fine": 0.62, "cloudy": 0.4, "overcast": 0.06, "hazy": 0.15, "evening": 0.7}[kind]
  warm = np.array([1.1, 0.92, 0.66]) if low else np.array([1.05, 1.0, 0.92])
  ambient = {"fine": 0.56, "cloudy": 0.62, "overcast": 0.78, "hazy": 0.78, "evening": 0.5}[kind]
  cool = np.array([0.97, 1.0, 1.05]) if strength > 0.1 else np.ones(3)
  zenith, horizon = _sky_colors(kind, rng)
  return Weather(
    sun=sun,
    sunlight=strength * warm * rng.uniform(0.8, 1.1),
    skylight=ambient * cool * rng.uniform(0.9, 1.08),
    zenith=zenith,
    horizon=horizon,
    clouds={"fine": 0.25, "cloudy": 0.6, "overcast": 0.9, "hazy": 0.3, "evening": 0.4}[kind],
    cloud_color=np.array([255, 226, 196])
    if low
    else np.array([250, 250, 252]) - 30 * (kind == "overcast"),
    haze={"hazy": 0.014}.get(kind, 0.003) * rng.uniform(0.6, 1.5),
    wind=rng.uniform(0, 5000),
  )


def _sky_colors(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Zenith and horizon, RGB."""
  zenith, horizon = {
    "fine": ((70, 128, 200), (190, 214, 234)),
    "cloudy": ((110, 150, 196), (206, 218, 228)),
    "overcast": ((172, 178, 186), (214, 217, 220)),
    "hazy": ((176, 190, 202), (222, 224, 222)),
    "evening": ((104, 128, 176), (246, 206, 160)),
  }[kind]
  return np.array(zenith) + rng.normal(0, 8), np.array(horizon) + rng.normal(0, 6)


def draw_sky(canvas) -> None:
  """Fills the canvas above the horizon: a sky that pales downwards, and clouds at one height."""
  weather, camera = canvas.weather, canvas.camera
  horizon = int(np.ceil(camera.vanishing[1] * camera.height)) + 1
  # Clouds are soft: a few pixels are enough, whatever the canvas' size.
  rows, columns = np.mgrid[:96, :256].astype(np.float32)
  elevation = np.maximum(
    camera.vanishing[1] * (95.5 - rows) / 96 * camera.height / camera.width / camera.focal, 0.012
  )
  aside = ((columns + 0.5) / 256 - camera.vanishing[0]) / camera.focal
  blue = np.clip(elevation / 0.4, 0, 1)[..., None] ** 0.7
  sky = weather.horizon * (1 - blue) + weather.zenith * blue
  u, v = aside / elevation * 1000 + weather.wind, 1000 / elevation
  density = noise(u, v * 0.7, 22.0) + 0.5 * noise(u, v, 9.0) + 3 * (weather.clouds - 0.5)
  cover = 0.85 * cv2.GaussianBlur(np.clip(density, 0, 1), (0, 0), 1.2)[..., None]
  shade = 1 - 0.09 * cv2.GaussianBlur(np.clip(density - 1, 0, 2), (0, 0), 2.5)[..., None]
  sky = (sky * (1 - cover) + weather.cloud_color * shade * cover).astype(np.float32)
  canvas.image[:horizon] = cv2.resize(sky, (camera.width, horizon))
  canvas.label[:horizon] = CITYSCAPES_IDS["sky"]


def develop(canvas, shrink: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Adds the air, shrinks the canvas to the picture's size, and adds the camera's own faults.

  Args:
    canvas: the painted canvas.
    shrink: canvas pixels per picture pixel, along either axis.
    rng: source of exposure, colour cast and noise.

  Returns:
    image uint8 `[height, width, 3]` and label ids uint8 `[height, width]`.
  """
  weather = canvas.weather
  lost = 1 - np.exp(-weather.haze * np.minimum(canvas.depth, 400.0))
  lost[np.isinf(canvas.depth)] = 0
  air = weather.horizon.astype(np.float32)
  hazy = canvas.image + (air - canvas.image) * lost[..., None]
  height, width = canvas.label.shape[0] // shrink, canvas.label.shape[1] // shrink
  image = cv2.resize(np.minimum(hazy, 255, out=hazy), (width, height), interpolation=cv2.INTER_AREA)
  exposure, cast = rng.uniform(0.88, 1.15), rng.normal(1, 0.03, 3)
  contrast, grain = rng.uniform(0.9, 1.2), rng.uniform(1.5, 5.0)
  image = 255 * (np.maximum(image, 0) / 255 * exposure * cast).clip(0, 1) ** contrast
  image += grain * rng.standard_normal(image.shape, np.float32)
  label = canvas.label[shrink // 2 :: shrink, shrink // 2 :: shrink]
  return np.rint(image).clip(0, 255).astype(np.uint8), np.ascontiguousarray(label)
