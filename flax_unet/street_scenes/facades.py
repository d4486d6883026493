"""Facades: storeys of windows in a wall of plaster or brick, shops, doors and cornices."""

import dataclasses

import numpy as np

from flax_unet.street_scenes.colors import pick
from flax_unet.street_scenes.textures import Texture, bricks, fill, noise, per_cell, rough, tinted

_PLASTERS = np.array([
  (214, 196, 164), (226, 214, 190), (196, 178, 150), (206, 170, 120), (190, 150, 120),
  (202, 204, 200), (170, 172, 172), (146, 150, 154), (220, 220, 214), (184, 196, 204),
  (206, 176, 168), (176, 186, 160), (232, 206, 140),
], float)  # fmt: skip
_BRICKS = np.array([(150, 84, 66), (168, 104, 80), (128, 74, 62), (176, 132, 100)], float)
_FRAMES = np.array([(236, 236, 232), (210, 206, 200), (86, 70, 58), (60, 64, 70)], float)
_SHOPS = np.array([
  (150, 36, 40), (40, 90, 70), (36, 60, 110), (200, 160, 60), (60, 56, 56), (226, 222, 214),
], float)  # fmt: skip
_CURTAIN, _LETTERS = (196, 190, 176), (240, 236, 224)
_SILL = 0.26  # height of the windows' lower edge, as a share of the storey


@dataclasses.dataclass(frozen=True)
class Facade:
  """How a facade looks.

  Attributes:
    wall: texture of the bare wall.
    color, frame: RGB of the wall and of the window frames.
    shop: RGB of the shop signs on the ground floor, or None if it is residential, too.
    storey, bay: height of a storey and spacing of the windows, metres.
    window: width and height of a window, as shares of bay and storey.
    height: of the wall, metres.
    salt: makes the windows of each house different.
  """

  wall: Texture
  color: np.ndarray
  frame: np.ndarray
  shop: np.ndarray | None
  storey: float
  bay: float
  window: tuple[float, float]
  height: float
  salt: int

  def texture(self) -> Texture:
    """The facade as a texture: u along it, v up from the ground."""

    def paint(u, v):
      rgb = self.wall(u, v)
      storey, bay = np.floor(v / self.storey), np.floor(u / self.bay)
      across, up = u / self.bay - bay, v / self.storey - storey  # within the bay and the storey
      _paint_cornices(rgb, v, up, self)
      _paint_windows(rgb, bay, storey, across, up, self)
      if self.shop is None:
        has_door = per_cell(bay, bay, self.salt + 3) > 0.4
        door = (np.abs(across - 0.5) < 0.2) & (v < 2.2) & (v > 0) & has_door
        fill(rgb, door, self.frame * 0.4 + 20)
      else:
        _paint_shops(rgb, u, v, self)
      return rgb

    return paint


def _paint_cornices(rgb, v, up, facade: Facade) -> None:
  """A plinth, a faint band at each storey, and a cornice with its shadow below the roof."""
  brightness = np.where(up < 0.05, np.float32(0.86), np.float32(1))
  brightness[v < 0.6] = 0.72
  brightness[v > facade.height - 0.6] = 0.6
  brightness[v > facade.height - 0.45] = 1.12
  rgb *= brightness[:, None]


def _paint_windows(rgb, bay, storey, across, up, facade: Facade) -> None:
  """A framed window with sill and glazing bars in every bay of every storey that has room."""
  wide, tall = facade.window
  aside = np.abs(across - 0.5)
  fits = (storey + 1) * facade.storey < facade.height + 0.3
  if facade.shop is not None:
    fits &= storey > 0
  low, high = _SILL, _SILL + tall
  framed = fits & (aside < wide / 2 + 0.07) & (up > low - 0.05) & (up < high + 0.05)
  fill(rgb, framed, facade.frame)
  pane = framed & (aside < wide / 2) & (up > low) & (up < high)
  fill(rgb, pane, _glass(bay[pane], storey[pane], up[pane], facade.salt))
  bars = pane & ((aside < 0.022) | (np.abs(up - low - 0.62 * tall) < 0.014))
  fill(rgb, bars, facade.frame * 0.9)
  sill = fits & (aside < wide / 2 + 0.1) & (up < low - 0.03) & (up > low - 0.075)
  fill(rgb, sill, facade.color * 0.6)


def _glass(bay, storey, up, salt) -> np.ndarray:
  """Panes: dark, or lighter towards the top as they reflect the sky, or half curtained."""
  kind = per_cell(bay, storey, salt)
  brightness = 58 + 26 * np.clip(kind, -1, 1) + 42 * up * (kind > -0.3)
  rgb = tinted((0.86, 0.97, 1.06), brightness)
  fill(rgb, (kind > 1.1) & (up > 0.4), _CURTAIN)
  return rgb


def _paint_shops(rgb, u, v, facade: Facade) -> None:
  """The ground floor: a shop window with a door for every two bays, and a sign above it."""
  top, length = facade.storey - 0.35, 2 * facade.bay
  ground = np.flatnonzero(v < top)
  if not len(ground):
    return
  u, v, floor = u[ground], v[ground], rgb[ground] * np.float32(0.75)
  shop = np.floor(u / length)
  along, kind = u / length - shop, per_cell(shop, shop, facade.salt + 5)
  pane = (v > 0.5) & (v < top - 0.75) & (along > 0.07) & (along < 0.93)
  goods = np.clip(noise(u[pane], v[pane], 0.12), -1, 1) * (v[pane] < 1.8)
  fill(floor, pane, tinted((1.0, 0.95, 0.84), 92 + 26 * kind[pane] + 30 * goods))
  third = 3 * along
  fill(floor, pane & (np.abs(third - np.floor(third) - 0.5) > 0.47), (46, 44, 42))
  fill(floor, pane & (np.abs(along - 0.5) < 0.08), (40, 44, 48))
  sign = (v > top - 0.65) & (along > 0.03) & (along < 0.97)
  fill(floor, sign, tinted(facade.shop, np.clip(0.95 + 0.3 * kind[sign], 0.5, 1.4)))
  line = sign & (np.abs(v - top + 0.34) < 0.14) & (np.abs(along - 0.5) < 0.3)
  fill(floor, line & (noise(u, shop, 0.22) > 0), _LETTERS)
  rgb[ground] = floor


def sample_facade(rng: np.random.Generator, height: float, kind: str) -> Facade:
  """Draws the look of a facade at random; in the city most have shops."""
  salt = int(rng.integers(200))
  if rng.random() < 0.3:
    color = pick(_BRICKS, rng, 0.15)
    wall = bricks(color, color * 0.4 + 100, 0.5, 0.2, salt)
  else:
    color = pick(_PLASTERS, rng, 0.16) * 0.9
    wall = rough(color, 0.05, 0.08, salt)
  shop = pick(_SHOPS, rng) if kind == "city" and rng.random() < 0.65 else None
  is_modern = rng.random() < 0.3
  width = rng.uniform(0.7, 0.86) if is_modern else rng.uniform(0.38, 0.55)
  return Facade(
    wall=wall,
    color=color,
    frame=pick(_FRAMES, rng, 0.0),
    shop=shop,
    storey=rng.uniform(2.9, 3.5),
    bay=rng.uniform(2.0, 3.2),
    window=(width, rng.uniform(0.46, 0.6)),
    height=height,
    salt=salt,
  )
