"""Elastic deformation: the preprocessing op that warps image and label together."""

import dataclasses
import math

import cv2
import numpy as np

from flax_unet.data.image_format import by_group
from flax_unet.data.label_space import IGNORED
from flax_unet.data.ops import Example, Op, on_weights


@dataclasses.dataclass(frozen=True)
class Elastic(Op):
  """Applies a smooth random warp (Ronneberger et al. 2015, section 3.1).

  The nodes of a coarse grid, at the centres of `grid` x `grid` equal cells, get normally
  distributed displacements, which are interpolated bicubically for all pixels. Pixels from outside
  are mirrored at the border in the image, and `IGNORED` in the label.

  Attributes:
    sigma: standard deviation of the displacements along each axis, in pixels.
    grid: number of nodes along each axis.
  """

  sigma: float = 10.0
  grid: int = 3

  def __post_init__(self):
    if not 0 <= self.sigma < math.inf or self.grid < 1:
      raise ValueError(f"sigma must be >= 0 and grid >= 1, not {self.sigma} and {self.grid}")

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class."""
    height, width = example["label"].shape
    nodes = rng.normal(scale=self.sigma, size=(self.grid, self.grid, 2)).astype(np.float32)
    displacement = cv2.resize(nodes, (width, height), interpolation=cv2.INTER_CUBIC)
    x = displacement[..., 0] + np.arange(width, dtype=np.float32)
    y = displacement[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return {
      **example,
      "image": by_group(
        lambda part: cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        example["image"],
      ),
      "label": cv2.remap(
        example["label"],
        x,
        y,
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=IGNORED,
      ),
      **on_weights(
        example,
        lambda weights: cv2.remap(weights, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT),
      ),
    }
