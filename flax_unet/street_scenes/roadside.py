"""Things on the pavement: lamp posts, trees, signs, traffic lights, railings, small things."""

import functools
from collections.abc import Iterator

import numpy as np

from flax_unet.street_scenes import furniture, greenery, signals
from flax_unet.street_scenes.geometry import Place, nearest_in_view
from flax_unet.street_scenes.items import Item
from flax_unet.street_scenes.street import Side, Street


def sample_roadside(street: Street, rng: np.random.Generator) -> Iterator[Item]:
  """Yields the things along both kerbs."""
  for side in street.sides:
    yield from _sample_posts(street, side, rng)
    yield from _sample_trees(street, side, rng)
    yield from _sample_small_things(side, rng)


def _edge(side: Side) -> float:
  """The x of the row of posts."""
  return side.kerb + side.sign * 0.5


def _sample_posts(street: Street, side: Side, rng: np.random.Generator) -> Iterator[Item]:
  """Lamp posts in a row, a few signs, and traffic lights where streets cross."""
  x = _edge(side)
  first = nearest_in_view(x)
  for z in np.arange(first + rng.uniform(-2, 12), min(street.end, 60), rng.uniform(24, 36)):
    yield Item(z, functools.partial(furniture.draw_lamp_post, x=x, z=z))
  for _ in range(rng.binomial(2, 0.35)):
    z = first + rng.uniform(0, 10)
    yield Item(z, functools.partial(signals.draw_sign, x=x, z=z))
  if street.crossing is not None and rng.random() < 0.8:
    z = street.crossing[0] - 1.5
    yield Item(z, functools.partial(signals.draw_traffic_light, x=x, z=z))
  elif rng.random() < 0.2:
    z = first + rng.uniform(0, 8)
    yield Item(z, functools.partial(signals.draw_traffic_light, x=x, z=z))


def _sample_trees(street: Street, side: Side, rng: np.random.Generator) -> Iterator[Item]:
  """Street trees at equal distances."""
  if rng.random() < {"city": 0.3, "suburb": 0.25, "avenue": 0.9}[street.kind]:
    x = _edge(side) + side.sign * 0.4
    first = nearest_in_view(x) - rng.uniform(0, 6)  # a crown is in view before its trunk is
    for z in np.arange(first, min(street.end, 90), rng.uniform(9, 14)):
      tall = rng.uniform(6, 9)
      draw = functools.partial(greenery.draw_tree, x=x, z=z, tall=tall, autumn=street.autumn)
      yield Item(z, draw)


def _sample_small_things(side: Side, rng: np.random.Generator) -> Iterator[Item]:
  """A railing along the kerb, and a bin or a cabinet."""
  if rng.random() < 0.25:
    yield from _sample_railing(side.kerb + side.sign * 0.25, rng)
  if rng.random() < 0.5:
    x = side.frontage - side.sign * 0.7
    place = Place(x, nearest_in_view(x) + rng.uniform(-1, 12))
    yield Item(place.z, functools.partial(furniture.draw_box, place=place))


def _sample_railing(x: float, rng: np.random.Generator) -> Iterator[Item]:
  """A railing in panels, each short enough to be painted at its own depth."""
  near, panels = nearest_in_view(x) + rng.uniform(-4, 5), rng.integers(2, 6)
  look = furniture.sample_fence(rng)
  for z in near + 2.5 * np.arange(panels):
    draw = functools.partial(furniture.draw_fence, x=x, near=z, far=z + 2.5, look=look)
    yield Item(z, draw)
