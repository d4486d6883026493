"""Weather: the direction and colours of the light, clouds, and the air."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Weather:
  """Light and air of one image.

  Attributes:
    sun: unit vector to the sun.
    sunlight: float `[3]`, RGB factor that the sun adds to a surface facing it.
    skylight: float `[3]`, RGB factor for every surface.
    zenith, horizon: float `[3]`, RGB of the sky high up and low down.
    clouds: share of the sky that they cover, 0 to 1.
    cloud_color: float `[3]`, RGB.
    haze: extinction of the air, per metre.
    wind: offset into the clouds, metres.
  """

  sun: tuple[float, float, float]
  sunlight: np.ndarray
  skylight: np.ndarray
  zenith: np.ndarray
  horizon: np.ndarray
  clouds: float
  cloud_color: np.ndarray
  haze: float
  wind: float

  def light_on(self, normal: tuple[float, float, float]) -> np.ndarray:
    """Factor `[3]` by which light changes the colour of a surface with that unit normal."""
    (x, y, z), (a, b, c) = normal, self.sun
    facing = a * x + b * y + c * z
    return self.skylight * (0.9 + 0.1 * y) + self.sunlight * max(0.0, facing)


@dataclasses.dataclass(frozen=True)
class _Kind:
  """A kind of weather: its frequency, and the values that `Weather` varies around."""

  share: float
  sunlight: float
  skylight: float
  clouds: float
  haze: float
  zenith: tuple[int, int, int]
  horizon: tuple[int, int, int]
  cloud_color: tuple[int, int, int] = (250, 250, 252)
  is_evening: bool = False


_KINDS = (
  _Kind(0.32, 0.62, 0.60, 0.25, 0.003, (70, 128, 200), (190, 214, 234)),  # fine
  _Kind(0.25, 0.40, 0.62, 0.60, 0.003, (110, 150, 196), (206, 218, 228)),  # cloudy
  _Kind(0.20, 0.06, 0.78, 0.90, 0.003, (172, 178, 186), (214, 217, 220), (220, 220, 222)),  # dull
  _Kind(0.10, 0.15, 0.78, 0.30, 0.014, (176, 190, 202), (222, 224, 222)),  # hazy
  _Kind(0.13, 0.70, 0.60, 0.40, 0.003, (104, 128, 176), (246, 206, 160), (255, 226, 196), True),
)
_DAYLIGHT, _EVENING = np.array([1.05, 1.0, 0.92]), np.array([1.1, 0.92, 0.66])
_BLUE_SKY = np.array([0.97, 1.0, 1.05])


def sample_weather(rng: np.random.Generator) -> Weather:
  """Draws fine, cloudy, dull or hazy weather, or a low evening sun."""
  kind = _KINDS[rng.choice(len(_KINDS), p=[kind.share for kind in _KINDS])]
  azimuth = rng.uniform(0, 2 * np.pi)
  elevation = rng.uniform(0.25, 0.4) if kind.is_evening else rng.uniform(0.55, 1.0)
  aside, up = math.cos(elevation), math.sin(elevation)
  sunlight = kind.sunlight * (_EVENING if kind.is_evening else _DAYLIGHT)
  skylight = kind.skylight * (_BLUE_SKY if kind.sunlight > 0.1 else np.ones(3))
  return Weather(
    sun=(aside * math.sin(azimuth), up, aside * math.cos(azimuth)),
    sunlight=sunlight * rng.uniform(0.8, 1.1),
    skylight=skylight * rng.uniform(0.9, 1.08),
    zenith=np.array(kind.zenith) + rng.normal(0, 8),
    horizon=np.array(kind.horizon) + rng.normal(0, 6),
    clouds=kind.clouds,
    cloud_color=np.array(kind.cloud_color),
    haze=kind.haze * rng.uniform(0.6, 1.5),
    wind=rng.uniform(0, 5000),
  )
