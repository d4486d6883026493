"""The frontage: houses, walls, fences, hedges and trees, and what closes the view."""

import functools
from collections.abc import Iterator

import numpy as np

from flax_unet.street_scenes import buildings, furniture, greenery
from flax_unet.street_scenes.items import Item
from flax_unet.street_scenes.street import Side, Street

_STOREYS = {"city": (4, 7), "suburb": (2, 4), "avenue": (3, 5)}  # fewest and most
_KINDS = ("building", "wall", "fence", "hedge", "thicket")
_SHARES = {
  "city": (0.72, 0.1, 0.06, 0.03, 0.09),
  "suburb": (0.42, 0.22, 0.14, 0.1, 0.12),
  "avenue": (0.33, 0.22, 0.14, 0.08, 0.23),
}


def sample_frontage(street: Street, rng: np.random.Generator) -> Iterator[Item]:
  """Yields stretches along both sides, and what closes the street's end."""
  for side in street.sides:
    for near, far in street.blocks:
      while near < far:
        stop = min(near + rng.uniform(9, 20), far)
        yield from _sample_stretch(street, side, near, stop, rng)
        near = stop + (rng.uniform(0, 5) if rng.random() < 0.3 else 0.0)
  yield from _sample_end(street, rng)


def _sample_stretch(
  street: Street, side: Side, near: float, far: float, rng: np.random.Generator
) -> Iterator[Item]:
  """One stretch of a side: a house, trees, or a barrier with a house or trees behind it."""
  kind = str(rng.choice(_KINDS, p=_SHARES[street.kind]))
  x, storeys = side.frontage, int(rng.integers(*_STOREYS[street.kind], endpoint=True))
  stretch = {"near": near, "far": far}
  if kind == "building":
    setback = side.sign * rng.choice([0.0, 0.0, 1.5])
    yield _house(x + setback, near, far, street.kind, storeys)
  elif kind == "thicket":
    draw = functools.partial(greenery.draw_thicket, x=x, autumn=street.autumn, **stretch)
    yield Item(near, draw, frontage=True)
  else:
    draw = {
      "wall": furniture.draw_wall,
      "fence": functools.partial(furniture.draw_fence, look=furniture.sample_fence(rng)),
      "hedge": greenery.draw_hedge,
    }[kind]
    yield Item(near - 0.1, functools.partial(draw, x=x, **stretch), frontage=True)
    has_house = rng.random() < 0.5
    if has_house:
      yield _house(x + side.sign * rng.uniform(5, 8), near, far, "suburb", storeys)
    yield from _sample_garden(street, side, near, far, has_house, rng)


def _house(x: float, near: float, far: float, kind: str, storeys: int) -> Item:
  draw = functools.partial(
    buildings.draw_building, x=x, near=near, far=far, kind=kind, storeys=storeys
  )
  return Item(near, draw, frontage=True)


def _sample_garden(
  street: Street, side: Side, near: float, far: float, has_house: bool, rng: np.random.Generator
) -> Iterator[Item]:
  """Trees and bushes behind a barrier: small ones in front of a house, otherwise large ones."""
  for z in np.arange(near + 1, far - 1, 5.0 if near < 50 else 10.0):
    tall = rng.uniform(3.5, 5.5) if has_house else rng.uniform(5.5, 10)
    place = {"x": side.frontage + side.sign * rng.uniform(1.5, 4), "z": z, "tall": tall}
    draw = functools.partial(greenery.draw_tree, autumn=street.autumn, **place)
    other = rng.random()
    if other < 0.15:
      draw = functools.partial(greenery.draw_conifer, **place)
    elif has_house and other < 0.4:
      draw = functools.partial(greenery.draw_bush, autumn=street.autumn, **place)
    # Closer than the house and the trees behind, farther than the barrier.
    yield Item(near - 0.09 + (z - near) * 1e-3, draw, frontage=True)


def _sample_end(street: Street, rng: np.random.Generator) -> Iterator[Item]:
  """Houses or trees across the view, on the far side of the street at the end."""
  z = street.end + 12
  if rng.random() < 0.7:
    draw = functools.partial(buildings.draw_row_of_houses, z=z, kind=street.kind)
    yield Item(z, draw, frontage=True)
  for _ in range(rng.integers(3, 12)):
    x, near = rng.uniform(-0.3, 0.3) * z, z - rng.uniform(0.5, 3)
    tall = rng.uniform(6, 13)
    draw = functools.partial(greenery.draw_tree, x=x, z=near, tall=tall, autumn=street.autumn)
    yield Item(near, draw, frontage=True)
