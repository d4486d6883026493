"""Road users: moving and parked vehicles, riders, and people on foot."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from flax_unet.street_scenes.geometry import Place, nearest_in_view
from flax_unet.street_scenes.items import Item
from flax_unet.street_scenes.large_vehicles import draw_bus, draw_truck
from flax_unet.street_scenes.people import draw_person
from flax_unet.street_scenes.street import Side, Street
from flax_unet.street_scenes.trams import draw_tram_part
from flax_unet.street_scenes.two_wheelers import draw_bicycle, draw_motorcycle
from flax_unet.street_scenes.vehicles import draw_car

_AWAY, _TOWARDS, _RIGHT, _LEFT = 0.0, np.pi, np.pi / 2, -np.pi / 2


class _User(NamedTuple):
  """A kind of road user; the distances keep large ones from hiding the scene, small ones in sight.

  Attributes:
    draw: draws it.
    length: metres.
    nearest, farthest: range of z, metres.
    lane: its relative frequency in a lane.
    crossing: its relative frequency on a crossing street.
  """

  draw: Callable[..., None]
  length: float
  nearest: float
  farthest: float
  lane: float
  crossing: float


_USERS = {
  "car": _User(draw_car, 4.6, 0, 80, lane=0.66, crossing=0.4),
  "truck": _User(draw_truck, 9.0, 15, 34, lane=0.1, crossing=0.1),
  "bus": _User(draw_bus, 12.0, 17, 36, lane=0.1, crossing=0.12),
  "bicycle": _User(functools.partial(draw_bicycle, ridden=True), 2.0, 0, 17, 0.24, 0.3),
  "motorcycle": _User(functools.partial(draw_motorcycle, ridden=True), 2.2, 0, 17, 0.14, 0.12),
}


def sample_traffic(street: Street, rng: np.random.Generator) -> Iterator[Item]:
  """Yields all road users of a street."""
  for x, direction in street.lanes:
    yield from _sample_lane(street, x, _AWAY if direction == 1 else _TOWARDS, rng)
  for side in street.sides:
    if side.parking:
      yield from _sample_parked(street, side, rng)
    yield from _sample_walkers(side, rng)
  if street.track is not None and rng.random() < 0.55:
    yield from _sample_tram(street, rng)
  if street.crossing is not None:
    yield from _sample_crossing(street, rng)


def _pick_user(shares: list[float], rng: np.random.Generator) -> str:
  return str(rng.choice(list(_USERS), p=np.array(shares) / sum(shares)))


def _sample_lane(street: Street, x: float, yaw: float, rng: np.random.Generator) -> Iterator[Item]:
  """A queue in one lane; riders do not keep in line and may be turning."""
  z = rng.uniform(7, 22)
  while z < min(street.end, 60):
    kind = _pick_user([user.lane for user in _USERS.values()], rng)
    if not _USERS[kind].nearest < z < _USERS[kind].farthest:
      kind = "car"
    user, turn = _USERS[kind], 0.0
    if kind in ("bicycle", "motorcycle") and rng.random() < 0.8:
      turn = rng.choice([-1, 1]) * rng.uniform(0.6, 1.3)
    place = Place(x + rng.normal(0, 0.15), z + user.length / 2, yaw + turn)
    yield Item(z, functools.partial(user.draw, place=place))
    z += user.length + rng.uniform(8, 36)


def _sample_parked(street: Street, side: Side, rng: np.random.Generator) -> Iterator[Item]:
  """Cars, and sometimes motorcycles, in the parking bays."""
  x = side.kerb - side.sign * side.parking / 2
  z = nearest_in_view(x) - rng.uniform(0, 6)
  while z < min(street.end, 50):
    free = street.crossing is None or not street.crossing[0] - 8 < z < street.crossing[1]
    if free and rng.random() < 0.3:
      yaw = _AWAY if side.sign == 1 else _TOWARDS
      yield Item(z, functools.partial(draw_car, place=Place(x, z + 2.3, yaw)))
    elif free and z < 16 and rng.random() < 0.06:
      place = Place(x, z + 1, side.sign * rng.uniform(0.8, 1.6))
      yield Item(z, functools.partial(draw_motorcycle, place=place))
    z += rng.uniform(5.4, 7)


def _sample_walkers(side: Side, rng: np.random.Generator) -> Iterator[Item]:
  """People on the pavement, and parked bicycles."""
  for _ in range(rng.poisson(2.0)):
    x = side.walk + rng.normal(0, 0.5)
    z = nearest_in_view(x) + rng.uniform(-0.5, 5)
    yield Item(z, functools.partial(draw_person, place=Place(x, z)))
  if rng.random() < 0.35:
    x = side.kerb + side.sign * 1.3
    z = nearest_in_view(x) + rng.uniform(0, 5)
    for offset in range(rng.integers(1, 4)):
      place = Place(x, z + 0.7 * offset, rng.uniform(1.2, 1.9))
      yield Item(place.z, functools.partial(draw_bicycle, place=place))


def _sample_tram(street: Street, rng: np.random.Generator) -> Iterator[Item]:
  """A tram of two or three parts, each its own item: it is long, and has things beside it."""
  near, parts = rng.uniform(18, 32), int(rng.integers(2, 4))
  livery = int(rng.integers(1 << 30))
  for part in range(parts):
    place = Place(street.track, near + 4.3 + 9.0 * part, _TOWARDS)
    end = 1 if part == 0 else -1 if part == parts - 1 else 0
    draw = functools.partial(draw_tram_part, place=place, end=end, livery=livery)
    yield Item(near + 9.0 * part, draw)


def _sample_crossing(street: Street, rng: np.random.Generator) -> Iterator[Item]:
  """Traffic from the side, and people on the zebra stripes."""
  near = street.crossing[0]
  if rng.random() < 0.7:
    kind = _pick_user([user.crossing for user in _USERS.values()], rng)
    draw = _USERS[kind if _USERS[kind].nearest < near < _USERS[kind].farthest else "car"].draw
    place = Place(rng.uniform(-4, 3), near + rng.uniform(2, 4), rng.choice([_LEFT, _RIGHT]))
    yield Item(near + 1.5, functools.partial(draw, place=place))
  if street.zebra:
    for _ in range(rng.integers(0, 4)):
      x = rng.uniform(street.left.kerb, street.right.kerb)
      place = Place(x, near - rng.uniform(1, 3))
      yield Item(place.z, functools.partial(draw_person, place=place))
