"""Colours, RGB 0 to 255, shared by several things, and how to pick one."""

import numpy as np

Color = tuple[float, float, float] | np.ndarray

GLASS = np.array([42.0, 50.0, 58.0])
AMBER = (255, 176, 40)
TAIL_LIGHT = (186, 20, 22)
HEADLIGHT = (240, 240, 236)


def pick(colors: np.ndarray, rng: np.random.Generator, spread: float = 0.12) -> np.ndarray:
  """Returns one of the colors `[n, 3]`, brighter or darker by up to a share of `spread`."""
  return colors[rng.integers(len(colors))] * rng.uniform(1 - spread, 1 + spread)
