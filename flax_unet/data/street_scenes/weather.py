"""Weather: where the light comes from, its colours, clouds, and the air."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Weather:
  """Light and air of one picture.

  Attributes:
    sun: unit vector to the sun.
    sunlight: float `[3]`, what the sun adds to a surface that faces it, as a factor by RGB.
    skylight: float `[3]`, what every surface gets, as a factor by RGB.
    zenith, horizon: float `[3]`, RGB of the sky high up and low down.
    clouds: share of the sky they cover, 0 to 1.
    cloud_color: float `[3]`, RGB.
    haze: how much of the view is lost in the air, per metre.
    wind: where in the clouds we are, metres.
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
    facing = sum(a * b for a, b in zip(normal, self.sun, strict=True))
    return self.skylight * (0.9 + 0.1 * normal[1]) + self.sunlight * max(0.0, facing)


def sample_weather(rng: np.random.Generator) -> Weather:
  """Draws fine, cloudy, overcast or hazy weather, or a low evening sun."""
  kind = rng.choice(
    ["fine", "cloudy", "overcast", "hazy", "evening"], p=[0.32, 0.25, 0.2, 0.1, 0.13]
  )
  low = kind == "evening"
  azimuth = rng.uniform(0, 2 * np.pi)
  elevation = rng.uniform(0.25, 0.4) if low else rng.uniform(0.55, 1.0)
  level = math.cos(elevation)
  sun = (level * math.sin(azimuth), math.sin(elevation), level * math.cos(azimuth))
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
