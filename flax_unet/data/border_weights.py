"""Weights that make the network learn the narrow gaps between objects: a preprocessing op."""

import dataclasses
import hashlib
import math

import cv2
import numpy as np

from flax_unet import caches, files
from flax_unet.data.label_space import IGNORED
from flax_unet.data.ops import Example, Op


@dataclasses.dataclass(frozen=True)
class BorderWeights(Op):
  """Weights background pixels by `1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2))`, other pixels by 1.

  d1 and d2 are the distances to the nearest and the second nearest object, in pixels (Ronneberger
  et al. 2015, equation 2, https://arxiv.org/abs/1505.04597; its class balance is
  `config.class_weights`). An object is a connected component, diagonals included, of pixels that
  are neither background nor ignored. Comes after `label_map` and before random ops. The weights of
  a label are computed once and kept in the user's cache folder.

  Attributes:
    w0: the extra weight where two objects meet.
    sigma: how fast it falls, in pixels.
    background: class index of the background.
  """

  w0: float = 10.0
  sigma: float = 5.0
  background: int = 0

  needs_array = False

  def __post_init__(self):
    if not 0 <= self.w0 < math.inf or not 0 < self.sigma < math.inf:
      raise ValueError(f"w0 must be at least 0 and sigma above 0, not {self.w0} and {self.sigma}")
    if not 0 <= self.background < IGNORED:
      raise ValueError(f"background must be a class index, not {self.background}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    del rng
    weights = self._cached(example["label"])
    return {**example, "weights": weights * example.get("weights", np.float32(1))}

  def _cached(self, label: np.ndarray) -> np.ndarray:
    folder = caches.folder("flax_unet_border_weights")
    if folder is None:
      return self.weigh(label)
    facts = f"{self.w0} {self.sigma} {self.background} {label.shape} "
    digest = hashlib.sha256(facts.encode() + label.tobytes()).hexdigest()
    path = folder / f"{digest[:32]}.npy"
    try:
      weights = np.load(path)
      if weights.shape == label.shape:
        return weights
    except (OSError, EOFError, ValueError):  # missing or damaged
      pass
    weights = self.weigh(label)
    with files.replacing(path) as temporary, temporary.open("wb") as file:
      np.save(file, weights)
    return weights

  def weigh(self, label: np.ndarray) -> np.ndarray:
    """Computes the weights, float32 `[height, width]`, of class indices of that shape."""
    objects = (label != self.background) & (label != IGNORED)
    number, components = cv2.connectedComponents(objects.astype(np.uint8), connectivity=8)
    nearest = np.full((2, *label.shape), np.inf, np.float32)
    for index in range(1, number):
      away = (components != index).astype(np.uint8)
      distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
      nearest = np.sort([*nearest, distance], axis=0)[:2]
    extra = self.w0 * np.exp(-(nearest.sum(0) ** 2) / (2 * self.sigma**2))
    return np.where(label == self.background, 1 + extra, 1).astype(np.float32)
