"""Buildings: facades with storeys of windows, shops, cornices, roofs."""

import dataclasses

import numpy as np

from flax_unet.data.street_scenes.canvas import Canvas
from flax_unet.data.street_scenes.geometry import Plane, along_street, rectangle, upright
from flax_unet.data.street_scenes.textures import (
  Texture,
  bricks,
  noise,
  per_cell,
  rough,
  tinted,
  where,
)

_WALLS = np.array([
  (214, 196, 164), (226, 214, 190), (196, 178, 150), (206, 170, 120), (190, 150, 120),
  (202, 204, 200), (170, 172, 172), (146, 150, 154), (220, 220, 214), (184, 196, 204),
  (206, 176, 168), (176, 186, 160), (232, 206, 140),
], float)  # fmt: skip
_BRICKS = np.array([(150, 84, 66), (168, 104, 80), (128, 74, 62), (176, 132, 100)], float)
_ROOFS = np.array([(150, 78, 60), (120, 66, 54), (84, 80, 84), (96, 88, 82)], float)
_FRAMES = np.array([(236, 236, 232), (210, 206, 200), (86, 70, 58), (60, 64, 70)], float)
_SHOPS = np.array([
  (150, 36, 40), (40, 90, 70), (36, 60, 110), (200, 160, 60), (60, 56, 56), (226, 222, 214),
], float)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Facade:
  """How a facade looks; lengths in metres."""

  wall: Texture
  color: np.ndarray
  frame: np.ndarray
  shop: np.ndarray | None
  storey: float
  bay: float
  window: tuple[float, float]  # width and height, as shares of bay and storey
  height: float
  salt: int

  def texture(self) -> Texture:
    """The facade as a texture: u along it, v up from the ground."""

    def paint(u, v):
      rgb = self.wall(u, v)
      storey, bay = np.floor(v / self.storey), np.floor(u / self.bay)
      aside = np.abs(u / self.bay - bay - 0.5)
      up = v / self.storey - storey
      _draw_cornices(rgb, v, up, self.storey, self.height)
      wide, tall = self.window
      low, high = 0.26, 0.26 + tall
      upper = (storey > 0) | (self.shop is None)
      fits = v - up * self.storey + self.storey < self.height + 0.3
      surround = (aside < wide / 2 + 0.07) & (up > low - 0.05) & (up < high + 0.05) & upper & fits
      where(surround, self.frame, rgb)
      pane = (aside < wide / 2) & (up > low) & (up < high) & upper & fits
      glass = _glass(u, up, bay, storey, self.salt)
      where(pane, glass, rgb)
      mullion = pane & ((aside < 0.022) | (np.abs(up - low - 0.62 * tall) < 0.014))
      where(mullion, self.frame * 0.9, rgb)
      sill = (aside < wide / 2 + 0.1) & (up < low - 0.03) & (up > low - 0.075) & upper & fits
      where(sill, self.color * 0.6, rgb)
      if self.shop is None:
        door = (aside < 0.2) & (v < 2.2) & (per_cell(bay, storey, self.salt + 3) > 0.4)
        where(door & (v > 0), self.frame * 0.4 + 20, rgb)
      else:
        _draw_shops(rgb, u, v, self)
      return rgb

    return paint


def _glass(u, up, bay, storey, salt) -> np.ndarray:
  """Panes: dark, or light where they mirror the sky or have curtains."""
  kind = per_cell(bay, storey, salt)
  brightness = 58 + 26 * np.tanh(kind) + 42 * up * (kind > -0.3)
  rgb = tinted((0.86, 0.97, 1.06), brightness)
  return where((kind > 1.1) & (up > 0.4), (196, 190, 176), rgb)


def _draw_cornices(rgb, v, up, storey, height) -> None:
  """A plinth, a faint band at each storey, a cornice below the roof."""
  rgb[(up < 0.05) & (v > 0.5 * storey)] *= 0.86
  rgb[v < 0.6] *= 0.72
  rgb[(v > height - 0.45)] *= 1.12
  rgb[(v > height - 0.6) & (v < height - 0.45)] *= 0.6


def _draw_shops(rgb, u, v, facade: Facade) -> None:
  """The ground floor: shop windows between pillars, and a coloured fascia above."""
  front = facade.storey - 0.35
  unit = np.floor(u / (2 * facade.bay))
  along = u / (2 * facade.bay) - unit
  pick = per_cell(unit, unit, facade.salt + 5)
  ground = v < front
  rgb[ground] *= 0.75
  pane = ground & (v > 0.5) & (v < front - 0.75) & (along > 0.07) & (along < 0.93)
  shelf = noise(u, v, 0.12)
  lit = tinted((1.0, 0.95, 0.84), 92 + 26 * pick + 30 * np.tanh(shelf) * (v < 1.8))
  where(pane, lit, rgb)
  where(pane & (np.abs((along * 3) % 1 - 0.5) > 0.47), (46, 44, 42), rgb)
  where(pane & (along > 0.42) & (along < 0.58), (40, 44, 48), rgb)
  fascia = ground & (v > front - 0.65) & (along > 0.03) & (along < 0.97)
  sign = tinted(facade.shop, np.clip(0.95 + 0.3 * pick, 0.5, 1.4))
  where(fascia, sign, rgb)
  letters = (np.abs(v - front + 0.34) < 0.14) & (along > 0.2) & (along < 0.8)
  where(
    fascia
    & letters
    & (
      noise(
        u,
        u * 0,
        0.22,
      )
      > 0.0
    ),
    (240, 236, 224),
    rgb,
  )


def sample_facade(rng: np.random.Generator, height: float, kind: str) -> Facade:
  """Draws the look of a facade that is about `height` metres tall."""
  salt = int(rng.integers(200))
  if rng.random() < 0.3:
    color = _BRICKS[rng.integers(len(_BRICKS))] * rng.uniform(0.85, 1.15)
    wall = bricks(color, color * 0.4 + 100, 0.5, 0.2, salt)
  else:
    color = _WALLS[rng.integers(len(_WALLS))] * rng.uniform(0.72, 1.05)
    wall = rough(color, 0.05, 0.08, salt)
  shop = None
  if kind == "city" and rng.random() < 0.65:
    shop = _SHOPS[rng.integers(len(_SHOPS))] * rng.uniform(0.85, 1.1)
  modern = rng.random() < 0.3
  window = (rng.uniform(0.7, 0.86), rng.uniform(0.5, 0.6)) if modern else (
    rng.uniform(0.38, 0.55), rng.uniform(0.46, 0.6))  # fmt: skip
  return Facade(
    wall=wall,
    color=color,
    frame=_FRAMES[rng.integers(len(_FRAMES))],
    shop=shop,
    storey=rng.uniform(2.9, 3.5),
    bay=rng.uniform(2.0, 3.2),
    window=window,
    height=height,
    salt=salt,
  )


def draw_building(
  canvas: Canvas, x: float, near: float, far: float, kind: str, storeys: int, rng
) -> None:
  """Draws a house along the street: its facade at `x`, its gable towards the camera, its roof."""
  height = storeys * 3.2 + rng.uniform(0.4, 1.0)
  facade = sample_facade(rng, height, kind)
  roof = rough(_ROOFS[rng.integers(len(_ROOFS))] * rng.uniform(0.85, 1.1), 0.08, 0.1)
  rise = rng.uniform(2.0, 4.5) if rng.random() < 0.65 else 0.0
  chimney = rng.random() < 0.6
  sign, deep = np.sign(x), 11.0
  ridge = x + sign * deep / 2
  texture = facade.texture()
  gable = upright(x, near)
  outline = [
    (0, 0),
    (0, height),
    (sign * deep / 2, height + rise),
    (sign * deep, height),
    (sign * deep, 0),
  ]
  if chimney and rise:
    canvas.paint(
      upright(ridge, (near + far) / 2), rectangle(-0.5, height, 0.5, height + rise + 1.2),
      (128, 84, 70), "building")  # fmt: skip
  if rise:
    slope = np.hypot(deep / 2, rise)
    plane = Plane(
      np.array([x - sign * 0.4, height - 0.1, 0.0]),
      np.array([0.0, 0.0, 1.0]),
      np.array([sign * deep / 2, rise, 0.0]) / slope,
    )
    canvas.paint(plane, rectangle(near, 0, far, slope), roof, "building")
  canvas.paint(along_street(x), rectangle(near, 0, far, height), texture, "building")
  canvas.paint(gable, np.array(outline), texture, "building")


def draw_row_of_houses(canvas: Canvas, z: float, kind: str, rng: np.random.Generator) -> None:
  """Draws a row of fronts across the view, where the street ends or turns."""
  x = -60.0
  while x < 60:
    width, storeys = rng.uniform(9, 18), int(rng.integers(2, 6))
    height = storeys * 3.2 + 0.6
    facade = sample_facade(rng, height, kind)
    canvas.paint(upright(0, z), rectangle(x, 0, x + width, height), facade.texture(), "building")
    x += width
