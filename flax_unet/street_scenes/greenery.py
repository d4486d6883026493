"""Vegetation: trees, conifers, bushes and hedges."""

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import pick
from flax_unet.street_scenes.geometry import (
  Place,
  along_street,
  blob,
  box,
  ellipse,
  level,
  rectangle,
  upright,
)
from flax_unet.street_scenes.solids import draw_solid
from flax_unet.street_scenes.textures import leaves, rough

_LEAVES = np.array([
  (78, 108, 48), (64, 96, 50), (92, 116, 56), (54, 84, 44), (104, 124, 60), (70, 92, 40),
], float)  # fmt: skip
_AUTUMN = np.array([(176, 140, 52), (160, 96, 44), (132, 116, 54), (120, 56, 44)], float)
_BARK = np.array([(84, 70, 58), (104, 94, 82), (66, 56, 48)], float)


def _leaf_color(rng: np.random.Generator, autumn: bool) -> np.ndarray:
  return pick(_AUTUMN if autumn and rng.random() < 0.6 else _LEAVES, rng, 0.18)


def draw_tree(
  canvas: Canvas, x: float, z: float, tall: float, autumn: bool, rng: np.random.Generator
) -> None:
  """Draws a broad-leaved tree: a trunk, and a crown of a few clumps of leaves."""
  plane, color = upright(x, z), _leaf_color(rng, autumn)
  spread, middle = rng.uniform(0.26, 0.36) * tall, 0.67 * tall
  thick, top = 0.032 * tall * rng.uniform(0.8, 1.2), rng.uniform(0.42, 0.56) * tall
  if canvas.weather.sunlight.mean() > 0.1:
    canvas.tint(level(), ellipse(x, z, spread * 1.1, spread * 0.9), 0.78)
  trunk = np.array([(-thick, 0), (thick, 0), (0.6 * thick, top), (-0.6 * thick, top)])
  canvas.paint(plane, trunk, rough(pick(_BARK, rng), 0.2, 0.06, x), "vegetation")
  clumps = [(0.0, middle, spread)]
  # Far away one clump is enough; nearby, smaller ones in front give the crown depth.
  for angle in rng.uniform(0, 2 * np.pi, 4)[: 4 if z < 30 else 2 if z < 60 else 0]:
    u, v = 0.5 * spread * np.cos(angle), middle + 0.12 * tall * np.sin(angle)
    clumps.append((u, v, spread * rng.uniform(0.5, 0.7)))
  for u, v, size in clumps:
    texture = leaves(color, v, size, rng.uniform(0, 100))
    canvas.paint(plane, blob(rng, u, v, size, 0.92 * size, 0.09), texture, "vegetation")


def draw_conifer(canvas: Canvas, x: float, z: float, tall: float, rng: np.random.Generator) -> None:
  """Draws a conifer: a cone of dark, drooping tiers."""
  plane = upright(x, z)
  color = np.array([48, 78, 52]) * rng.uniform(0.8, 1.15)
  offset = rng.uniform(0, 100)
  canvas.paint(plane, rectangle(-0.15, 0, 0.15, 0.2 * tall), _BARK[2], "vegetation")
  for tier in range(5):
    base, top = (0.08 + 0.17 * tier) * tall, (0.34 + 0.165 * tier) * tall
    half = (0.23 - 0.04 * tier) * tall
    teeth = np.linspace(-half, half, 9)
    edge = np.stack([teeth, base + 0.03 * tall * (np.arange(9) % 2)], axis=1)
    outline = np.concatenate([edge, [(0.0, top)]])
    canvas.paint(plane, outline, leaves(color, top, half, offset + tier), "vegetation")


def draw_bush(
  canvas: Canvas, x: float, z: float, tall: float, autumn: bool, rng: np.random.Generator
) -> None:
  """Draws a bush that reaches the ground, half as tall as a tree."""
  outline = blob(rng, 0, 0.22 * tall, 0.35 * tall, 0.25 * tall, 0.08)
  outline[:, 1] = np.maximum(outline[:, 1], 0)
  texture = leaves(_leaf_color(rng, autumn), 0.25 * tall, 0.3 * tall, rng.uniform(0, 100))
  canvas.paint(upright(x, z), outline, texture, "vegetation")


def draw_hedge(canvas: Canvas, x: float, near: float, far: float, rng: np.random.Generator) -> None:
  """Draws a trimmed hedge along the street, 1 to 2 m high."""
  height = rng.uniform(1.0, 2.0)
  texture = leaves(_leaf_color(rng, False), 0.7 * height, 0.5, rng.uniform(0, 100))
  place = Place(x + np.sign(x) * 0.5, (near + far) / 2)
  draw_solid(canvas, place, box(far - near, height), 1.0, texture, "vegetation")


def draw_thicket(
  canvas: Canvas, x: float, near: float, far: float, autumn: bool, rng: np.random.Generator
) -> None:
  """Draws dense trees along the street, as at the edge of a park."""
  height, sign = rng.uniform(7, 12), np.sign(x)
  shade = leaves(_leaf_color(rng, autumn) * 0.8, 0.6 * height, 3.0, rng.uniform(0, 100))
  wall = rectangle(near, 0, far, 0.7 * height)
  canvas.paint(along_street(x + 4 * sign), wall, shade, "vegetation")
  z = far
  while z > near:
    beyond, tall = x + sign * rng.uniform(1, 3.5), height * rng.uniform(0.8, 1.15)
    draw_tree(canvas, beyond, z, tall, autumn, rng)
    z -= rng.uniform(4, 7) * (1 + z / 60)
