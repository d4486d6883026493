"""Posts, walls, fences, and small things on the pavement."""

import dataclasses

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import pick
from flax_unet.street_scenes.geometry import (
  Place,
  along_street,
  box,
  ellipse,
  rectangle,
  stroke,
  upright,
)
from flax_unet.street_scenes.solids import draw_shadow, draw_solid
from flax_unet.street_scenes.textures import bricks, rough

_STONES = np.array([(158, 150, 138), (176, 172, 164), (186, 166, 132)], float)
_BINS = np.array([
  (88, 96, 92), (176, 60, 40), (196, 160, 50), (60, 92, 60), (120, 120, 122),
], float)  # fmt: skip
_PLANKS = np.array([(150, 112, 76), (226, 222, 214), (104, 78, 58)], float)
_PANELS = np.array([(120, 150, 130), (150, 160, 176), (196, 190, 170)], float)
_RED = np.array([206.0, 44.0, 40.0])
_STEEL = np.array([(128, 132, 134), (96, 100, 102), (70, 76, 74), (150, 150, 148)], float)


def draw_post(
  canvas: Canvas, x: float, z: float, height: float, width: float, rng: np.random.Generator
) -> None:
  """A round post, lit from one side."""
  color = pick(_STEEL, rng)
  plane = upright(x, z)
  draw_shadow(canvas, Place(x, z), 0.2, 0.2, 0.6 * height)
  canvas.paint(plane, rectangle(-width / 2, 0, width / 2, height), color, "pole")
  canvas.paint(plane, rectangle(width * 0.1, 0, width / 2, height), color * 0.7, "pole")


def draw_lamp_post(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
  """Draws a lamp post with an arm over the street."""
  height, width = rng.uniform(6.5, 9), rng.uniform(0.2, 0.27)
  draw_post(canvas, x, z, height, width, rng)
  plane, arm = upright(x, z), -np.sign(x) * rng.uniform(1.2, 2.2)
  canvas.paint(plane, stroke((0, height - 0.1), (arm, height + 0.3), 0.13), (112, 116, 118), "pole")
  canvas.paint(plane, ellipse(arm * 1.1, height + 0.26, 0.45, 0.14, 12), (90, 94, 96), "pole")


def draw_wall(canvas: Canvas, x: float, near: float, far: float, rng: np.random.Generator) -> None:
  """Draws a free-standing wall of large stones along the street, with a coping."""
  height = rng.uniform(1.3, 2.4)
  color = pick(_STONES, rng, 0.18)
  length = rng.uniform(0.7, 1.1)
  texture = bricks(color, color * 0.5, length, 0.45 * length, rng.uniform(0, 50))
  place = Place(x + np.sign(x) * 0.2, (near + far) / 2)
  draw_solid(canvas, place, box(far - near, height), 0.4, texture, "wall")
  draw_solid(canvas, place, box(far - near, height + 0.12, height), 0.5, color * 1.12, "wall")


@dataclasses.dataclass(frozen=True)
class Fence:
  """How a fence looks.

  Attributes:
    height: metres.
    color: RGB of bars, planks or panels.
    period: spacing of bars or planks, metres.
    gap: share of the period that is open.
    stripes: RGB of slanting warning stripes, or None.
  """

  height: float
  color: np.ndarray
  period: float
  gap: float
  stripes: np.ndarray | None = None


def sample_fence(rng: np.random.Generator) -> Fence:
  """Draws the look of a fence at random: iron bars, planks, panels, or building-site boards."""
  height, kind = rng.uniform(1.1, 1.8), rng.integers(4)
  if kind == 0:
    return Fence(height, pick(_STEEL, rng) * 0.6, period=0.36, gap=0.45)
  if kind == 1:
    return Fence(height, pick(_PLANKS, rng), period=0.4, gap=0.22)
  if kind == 2:
    return Fence(height, pick(_PANELS, rng), period=0.5, gap=0.0)
  return Fence(height, np.array([232.0, 228.0, 222.0]), period=1.2, gap=0.0, stripes=_RED)


def draw_fence(
  canvas: Canvas, x: float, near: float, far: float, look: Fence, rng: np.random.Generator
) -> None:
  """Draws a fence along the street; its gaps are labelled fence, too."""
  del rng
  plane, whole = along_street(x), rectangle(near, 0, far, look.height)

  def between_bars(u, v):
    del v
    return (u - near) % look.period < look.gap * look.period

  canvas.paint(plane, whole, look.color, "fence", holes=between_bars if look.gap else None)
  if look.stripes is not None:
    for z in np.arange(near, far, look.period):
      stripe = stroke((z, 0.0), (z + 0.5 * look.period, look.height), 0.3 * look.period)
      canvas.paint(plane, stripe, look.stripes)
    return
  if not look.gap:
    for z in np.arange(near, far, look.period):
      canvas.tint(plane, rectangle(z, 0, z + 0.4 * look.period, look.height), 0.72)
  for v in (0.15 * look.height, 0.86 * look.height):
    canvas.paint(plane, rectangle(near, v, far, v + 0.14), look.color * 0.85, "fence")
  for z in np.arange(near, far, 2.5):
    canvas.paint(plane, rectangle(z, 0, z + 0.2, look.height + 0.12), look.color * 0.7, "fence")


def draw_box(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
  """Draws a small thing: fixed, like a cabinet ("static"), or movable, like a bin ("dynamic")."""
  label = "static" if rng.random() < 0.6 else "dynamic"
  color = pick(_BINS, rng)
  length, height = rng.uniform(0.5, 1.0), rng.uniform(0.8, 1.4)
  draw_shadow(canvas, place, length, length, height)
  surface = rough(color, 0.06, 0.05)
  for plane in draw_solid(canvas, place, box(length, height), length, surface, label).values():
    lid = rectangle(-length / 2, 0.8 * height, length / 2, 0.88 * height)
    canvas.paint(plane, lid, color * 0.5)
