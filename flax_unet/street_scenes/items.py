"""Items: things that stand on the ground, and the order in which they are painted."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from flax_unet.street_scenes.canvas import Canvas


class Item(NamedTuple):
  """Something that stands on the ground.

  Attributes:
    depth: z of its near end, metres.
    draw: draws it, called as `draw(canvas, rng=rng)`.
    frontage: whether it lines the street, where it never hides anything on the street.
  """

  depth: float
  draw: Callable[..., None]
  frontage: bool = False


def paint_items(canvas: Canvas, items: Iterable[Item], rng: np.random.Generator) -> None:
  """Paints the frontage, then what stands on the street, each from far to near."""
  for item in sorted(items, key=lambda item: (not item.frontage, -item.depth)):
    item.draw(canvas, rng=rng)
