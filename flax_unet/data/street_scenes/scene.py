"""The scene: what stands where along the street, and the order in which it is painted."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from flax_unet.data.label_spaces import CITYSCAPES_IDS
from flax_unet.data.street_scenes import buildings, furniture, greenery, large_vehicles, vehicles
from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.geometry import Camera, Place
from flax_unet.data.street_scenes.ground import draw_ground
from flax_unet.data.street_scenes.people import draw_person
from flax_unet.data.street_scenes.street import Side, Street, sample_street
from flax_unet.data.street_scenes.two_wheelers import draw_bicycle, draw_motorcycle
from flax_unet.data.street_scenes.weather import develop, draw_sky, sample_weather

_SUPERSAMPLING = 2
AWAY, TOWARDS, RIGHT, LEFT = 0.0, np.pi, np.pi / 2, -np.pi / 2


class Item(NamedTuple):
  """Something that stands on the ground.

  Attributes:
    depth: z of its near end, metres. Items are painted from far to near.
    draw: draws it, given the canvas and a random generator.
    frontage: whether it lines the street; nothing on the street is hidden by it.
  """

  depth: float
  draw: Callable[..., None]
  frontage: bool = False


def draw_street_scene(
  rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Draws one picture and its labels.

  Args:
    rng: decides everything; the same state gives the same scene at every resolution.
    height, width: of the picture, pixels.

  Returns:
    image uint8 `[height, width, 3]`, RGB, and Cityscapes label ids uint8 `[height, width]`.
  """
  camera = Camera(
    height=height * _SUPERSAMPLING,
    width=width * _SUPERSAMPLING,
    eye=rng.uniform(1.25, 1.7),
    vanishing=(rng.uniform(0.4, 0.6), rng.uniform(0.38, 0.47)),
  )
  canvas = Canvas(camera, sample_weather(rng))
  street = sample_street(rng)
  items = [*sample_frontage(street, rng), *sample_traffic(street, rng)]
  draw_sky(canvas)
  draw_ground(canvas, street, rng)
  paint_items(canvas, items, rng)
  draw_bonnet(canvas, rng)
  return develop(canvas, _SUPERSAMPLING, rng)


def paint_items(canvas: Canvas, items: list[Item], rng: np.random.Generator) -> None:
  """Paints the frontage, then what stands on the street, each from far to near."""
  for item in sorted(items, key=lambda item: (not item.frontage, -item.depth)):
    item.draw(canvas, rng=rng)


def sample_frontage(street: Street, rng: np.random.Generator) -> Iterator[Item]:
  """Lines both sides with houses, walls, fences, hedges and trees."""
  autumn = rng.random() < 0.2
  tall = {"city": (3, 6), "suburb": (1, 3), "avenue": (2, 5)}[street.kind]
  shares = {
    "city": [0.8, 0.05, 0.05, 0.02, 0.08],
    "suburb": [0.5, 0.14, 0.14, 0.1, 0.12],
    "avenue": [0.35, 0.15, 0.15, 0.1, 0.25],
  }[street.kind]
  for side in street.sides:
    for near, far in street.blocks:
      z = near
      while z < min(far, 130):
        kind = str(rng.choice(["building", "wall", "fence", "hedge", "thicket"], p=shares))
        length = rng.uniform(9, 20)
        stop = min(z + length, far)
        yield from _sample_stretch(kind, side, z, stop, street.kind, tall, autumn, rng)
        z = stop + (rng.uniform(0, 5) if rng.random() < 0.3 else 0.0)
  if rng.random() < 0.7:
    yield Item(
      165.0, functools.partial(buildings.draw_block_of_houses, z=165.0, kind=street.kind), True
    )
  for _ in range(rng.integers(4, 14)):
    x, z = rng.uniform(-45, 45), rng.uniform(140, 164)
    tree = functools.partial(greenery.draw_tree, x=x, z=z, tall=rng.uniform(7, 13), autumn=autumn)
    yield Item(z, tree, True)


def _sample_stretch(kind, side: Side, near, far, street_kind, tall, autumn, rng) -> Iterator[Item]:
  """One stretch of a side: a house, or a wall, fence or hedge with something green behind it."""
  x = side.frontage
  if kind == "building":
    draw = functools.partial(
      buildings.draw_building, x=x + side.sign * rng.choice([0.0, 0.0, 1.5]), near=near, far=far,
      kind=street_kind, storeys=int(rng.integers(tall[0], tall[1] + 1)))  # fmt: skip
    yield Item(near, draw, True)
    return
  if kind == "thicket":
    yield Item(
      near, functools.partial(greenery.draw_thicket, x=x, near=near, far=far, autumn=autumn), True
    )
    return
  barrier = {
    "wall": furniture.draw_wall,
    "fence": furniture.draw_fence,
    "hedge": greenery.draw_hedge,
  }
  # Slightly nearer than what lies behind it, so that it is painted last.
  yield Item(near - 0.01, functools.partial(barrier[kind], x=x, near=near, far=far), True)
  house = rng.random() < 0.5
  if house:
    draw = functools.partial(
      buildings.draw_building, x=x + side.sign * rng.uniform(5, 8), near=near, far=far,
      kind="suburb", storeys=int(rng.integers(tall[0], tall[1] + 1)))  # fmt: skip
    yield Item(near + 0.02, draw, True)
  for z in np.arange(near + 1, far - 1, 4.5):
    size = rng.uniform(3.5, 5.5) if house else rng.uniform(5.5, 10)
    beyond = x + side.sign * rng.uniform(1.5, 4)
    draw = functools.partial(greenery.draw_tree, x=beyond, z=z, tall=size, autumn=autumn)
    if rng.random() < 0.15:
      draw = functools.partial(greenery.draw_conifer, x=beyond, z=z, tall=size)
    yield Item(near + (z - near) * 1e-4, draw, True)


def sample_traffic(street: Street, rng: np.random.Generator) -> Iterator[Item]:
  """Fills lanes, parking bays, crossing street and pavements."""
  autumn = rng.random() < 0.2
  for x, direction in street.lanes:
    yield from _sample_lane(x, AWAY if direction == 1 else TOWARDS, rng)
  for side in street.sides:
    yield from _sample_parked(side, rng)
    yield from _sample_pavement(street, side, autumn, rng)
  if street.track is not None and rng.random() < 0.9:
    near = rng.uniform(9, 22)
    yield Item(
      near,
      functools.partial(large_vehicles.draw_tram, place=Place(street.track, near + 13.3, TOWARDS)),
    )
  if street.crossing is not None:
    yield from _sample_crossing(street, rng)


def _sample_lane(x: float, yaw: float, rng) -> Iterator[Item]:
  z = rng.uniform(9, 26)
  while z < 75:
    kind = rng.choice(
      ["car", "truck", "bus", "bicycle", "motorcycle"], p=[0.64, 0.1, 0.09, 0.09, 0.08])  # fmt: skip
    aside = x + rng.normal(0, 0.15)
    draw, length = {
      "car": (vehicles.draw_car, 4.6),
      "truck": (large_vehicles.draw_truck, 9.0),
      "bus": (large_vehicles.draw_bus, 12.0),
      "bicycle": (functools.partial(draw_bicycle, ridden=True), 2.0),
      "motorcycle": (functools.partial(draw_motorcycle, ridden=True), 2.2),
    }[str(kind)]
    turn = (
      rng.choice([-1, 1]) * rng.uniform(0.6, 1.2)
      if kind in ("bicycle", "motorcycle") and rng.random() < 0.5
      else 0.0
    )
    yield Item(z, functools.partial(draw, place=Place(aside, z + length / 2, yaw + turn)))
    z += length + rng.uniform(5, 26)


def _sample_parked(side: Side, rng) -> Iterator[Item]:
  """Cars, now and then motorcycles, in the parking bays."""
  if not side.parking:
    return
  x = side.kerb - side.sign * side.parking / 2
  z = rng.uniform(5, 12)
  while z < 70:
    if rng.random() < 0.65:
      yaw = AWAY if side.sign == 1 else TOWARDS
      yield Item(z, functools.partial(vehicles.draw_car, place=Place(x, z + 2.3, yaw)))
    elif rng.random() < 0.35:
      yield Item(
        z,
        functools.partial(
          draw_motorcycle, place=Place(x, z + 1, side.sign * rng.uniform(0.8, 1.6))
        ),
      )
    z += rng.uniform(5.4, 7)


def _sample_pavement(street: Street, side: Side, autumn: bool, rng) -> Iterator[Item]:
  """People, bicycles, poles, lights, signs, trees and bins."""
  edge = side.kerb + side.sign * 0.5
  for z in np.arange(rng.uniform(7, 16), 90, rng.uniform(18, 28)):
    yield Item(z, functools.partial(furniture.draw_lamp_post, x=edge, z=z))
  if street.kind == "avenue" or rng.random() < 0.25:
    for z in np.arange(rng.uniform(6, 14), 100, rng.uniform(8, 13)):
      tree = functools.partial(
        greenery.draw_tree, x=edge + side.sign * 0.4, z=z, tall=rng.uniform(6, 9), autumn=autumn
      )
      yield Item(z, tree)
  for _ in range(rng.integers(0, 4)):
    z = rng.uniform(9, 30)
    yield Item(z, functools.partial(furniture.draw_sign, x=edge, z=z))
  if street.crossing is not None or rng.random() < 0.2:
    z = street.crossing[0] - 1.5 if street.crossing is not None else rng.uniform(10, 24)
    if rng.random() < 0.8:
      yield Item(z, functools.partial(furniture.draw_traffic_light, x=edge, z=z))
  for _ in range(rng.poisson(1.8)):
    z, x = rng.uniform(8, 26), side.walk + rng.normal(0, 0.5)
    yield Item(z, functools.partial(draw_person, place=Place(x, z)))
  if rng.random() < 0.35:
    z = rng.uniform(8, 18)
    for offset in range(rng.integers(1, 4)):
      place = Place(edge + side.sign * 0.8, z + 0.7 * offset, rng.uniform(1.2, 1.9))
      yield Item(place.z, functools.partial(draw_bicycle, place=place))
  if rng.random() < 0.5:
    z = rng.uniform(7, 25)
    yield Item(
      z, functools.partial(furniture.draw_bin, place=Place(side.frontage - side.sign * 0.7, z))
    )


def _sample_crossing(street: Street, rng) -> Iterator[Item]:
  """Traffic from the side, and people on the zebra stripes."""
  near, far = street.crossing
  if rng.random() < 0.6:
    kind = rng.choice(
      ["car", "bus", "truck", "bicycle", "motorcycle"], p=[0.4, 0.15, 0.15, 0.15, 0.15]
    )
    draw = {"car": vehicles.draw_car, "bus": large_vehicles.draw_bus, "truck": large_vehicles.draw_truck,
            "bicycle": functools.partial(draw_bicycle, ridden=True),
            "motorcycle": functools.partial(draw_motorcycle, ridden=True)}[str(kind)]  # fmt: skip
    place = Place(rng.uniform(-4, 3), near + 3, rng.choice([LEFT, RIGHT]))
    yield Item(near + 1.5, functools.partial(draw, place=place))
  if street.zebra:
    for _ in range(rng.integers(0, 4)):
      place = Place(rng.uniform(street.left.kerb, street.right.kerb), near - rng.uniform(1, 3))
      yield Item(place.z, functools.partial(draw_person, place=place))


def draw_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
  """Paints the bonnet of the camera's own car along the lower edge ("ego vehicle")."""
  if rng.random() < 0.15:
    return
  top, color = rng.uniform(0.9, 0.95), rng.uniform(20, 150) + rng.normal(0, 8, 3)
  height, width = canvas.label.shape
  columns = (np.arange(width) / width - 0.5)[None]
  rows = (np.arange(height) / height)[:, None]
  edge = top + 0.22 * columns**2
  bonnet = rows > edge
  gleam = 1 + 0.5 * np.exp(-(((rows - edge) / 0.02) ** 2)) + 0.15 * np.cos(columns * 9)
  canvas.image[bonnet] = (color * gleam[..., None])[bonnet]
  canvas.label[bonnet] = CITYSCAPES_IDS["ego vehicle"]
  canvas.depth[bonnet] = 1.0
