"""Overlap-tile prediction: images of any size, in windows of one size.

As in Ronneberger et al. 2015 (figure 2), the context around a window is made of real pixels, and of
mirrored ones beyond the image border, so with `padding="valid"` windows are exact. With
`padding="same"` the network pads the window's border itself, which distorts the scores near the
border, less and less until the end of the receptive field. So where two windows overlap, the outer
quarter of each has no weight, and over the half in between one fades into the other.

Windows start on the pooling grid of the whole image. If the outer quarter of the overlap is as wide
as the network's context, the scores equal those of `whole_picture`.

`tiled_scores` runs inside a compiled step, on images whose scores fit into device memory; `Blender`
takes windows one by one on the host, and keeps the scores of only one row of windows.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flax_unet.evaluation.inference import passes
from flax_unet.models.base import Geometry, Network


@dataclasses.dataclass(frozen=True)
class Axis:
  """How windows cover one axis of an image.

  They tile a canvas: the image, mirrored at its ends up to a whole number of poolings.

  Attributes:
    picture: slice of the canvas that is the image.
    source: int `[canvas + margin]`, the image pixel at each position, from half a margin before the
      canvas to half a margin behind it.
    starts: where on the canvas each window starts.
    tile: length of a window.
    inputs: length of the network's input for a window, a margin longer.
    weights: float32 `[windows, tile]`, the weight of each window in each of its pixels; the weights
      of all windows at one pixel of the canvas sum to 1.
  """

  picture: slice
  source: np.ndarray
  starts: tuple[int, ...]
  tile: int
  inputs: int
  weights: np.ndarray

  @property
  def canvas(self) -> int:
    """Length of the canvas."""
    return self.starts[-1] + self.tile


def cover(size: int, tile: int, overlap: int, geometry: Geometry) -> Axis:
  """Covers an axis of `size` pixels with windows.

  Args:
    size: length of the image.
    tile: length of a window, a multiple of `geometry.multiple`.
    overlap: the least overlap of neighbouring windows.
    geometry: the network's geometry.
  """
  multiple = geometry.multiple
  margin = geometry.covering_size(tile) - tile
  whole_margin = geometry.covering_size(size) - size
  before = (whole_margin // 2 - margin // 2) % multiple  # the same pooling grid as the whole image
  canvas = max(tile, -(-(before + size) // multiple) * multiple)
  stride = (tile - overlap) // multiple * multiple
  starts = (*range(0, canvas - tile, stride), canvas - tile)
  behind = canvas - before - size
  return Axis(
    picture=slice(before, before + size),
    source=np.pad(
      np.arange(size), (before + margin // 2, behind + margin - margin // 2), mode="reflect"
    ),
    starts=starts,
    tile=tile,
    inputs=tile + margin,
    weights=_weights(starts, tile, tile - stride),
  )


def _weights(starts: tuple[int, ...], tile: int, overlap: int) -> np.ndarray:
  """float32 `[windows, tile]`, see `Axis`; windows do not fade towards the ends of the canvas."""
  place = np.arange(tile) + 0.5
  fade_in = np.sin(np.pi / 2 * np.clip((place - overlap / 4) / max(overlap / 2, 1e-9), 0, 1)) ** 2
  weights = np.ones((len(starts), tile))
  weights[1:] *= fade_in
  weights[:-1] *= fade_in[::-1]
  total = np.zeros(starts[-1] + tile)
  for start, window in zip(starts, weights, strict=True):
    total[start : start + tile] += window
  shares = [
    window / total[start : start + tile] for start, window in zip(starts, weights, strict=True)
  ]
  return np.array(shares, np.float32)


@dataclasses.dataclass(frozen=True)
class Plan:
  """How windows cover an image: its two axes."""

  rows: Axis
  columns: Axis

  @classmethod
  def make(cls, size: tuple[int, int], model: Network, options: passes.Options) -> "Plan":
    """Covers an image of this height and width."""
    return cls(
      *(
        cover(side, tile, options.overlap, model.geometry)
        for side, tile in zip(size, options.tile, strict=True)
      )
    )

  @property
  def places(self) -> list[tuple[int, int]]:
    """The windows, row by row, as indices in `rows.starts` and `columns.starts`."""
    return list(itertools.product(range(len(self.rows.starts)), range(len(self.columns.starts))))

  def windows(self, image: np.ndarray) -> Iterator[np.ndarray]:
    """Cuts out the network's input for each window, `[inputs, inputs, 3]`, row by row."""
    for i, j in self.places:
      top, left = self.rows.starts[i], self.columns.starts[j]
      rows = self.rows.source[top : top + self.rows.inputs]
      columns = self.columns.source[left : left + self.columns.inputs]
      yield image.take(rows, axis=0).take(columns, axis=1)


def window_scores(
  model: Network, variables: Mapping[str, Any], inputs: jax.Array, options: passes.Options
) -> jax.Array:
  """Computes the scores float32 `[batch, *tile, classes]` of windows `[batch, *inputs, 3]`."""
  return passes.scores(model, variables, inputs, options.tile, options, middle=options.tile)


def tiled_scores(
  model: Network, variables: Mapping[str, Any], images: jax.Array, options: passes.Options
) -> jax.Array:
  """Computes the scores of images from windows, one window of every image at a time.

  Args:
    model: the network.
    variables: its parameters and statistics.
    images: uint8 `[batch, height, width, 3]`.
    options: size and overlap of the windows, and how to predict them.

  Returns:
    float32 `[batch, height, width, classes]`, see `passes.scores`.
  """
  plan = Plan.make(images.shape[1:3], model, options)
  rows, columns = plan.rows, plan.columns
  canvas = images[:, rows.source][:, :, columns.source]

  def add(total: jax.Array, place: jax.Array) -> tuple[jax.Array, None]:
    i, j = place
    corner = (0, jnp.array(rows.starts)[i], jnp.array(columns.starts)[j], 0)
    inputs = jax.lax.dynamic_slice(
      canvas, corner, (canvas.shape[0], rows.inputs, columns.inputs, canvas.shape[3])
    )
    weights = jnp.outer(jnp.array(rows.weights)[i], jnp.array(columns.weights)[j])
    scores = window_scores(model, variables, inputs, options) * weights[None, :, :, None]
    before = jax.lax.dynamic_slice(total, corner, scores.shape)
    return jax.lax.dynamic_update_slice(total, before + scores, corner), None

  shape = (canvas.shape[0], rows.canvas, columns.canvas, model.num_classes)
  total, _ = jax.lax.scan(add, jnp.zeros(shape), np.array(plan.places))
  return total[:, rows.picture, columns.picture]


class Blender:
  """Blends the scores of an image's windows into class indices, on the host.

  Keeps the scores of only one row of windows, `[tile, canvas width, classes]`, whatever the height
  of the image; those of the whole image only if asked for.
  """

  def __init__(self, plan: Plan, num_classes: int, keep_scores: bool = False):
    self._plan = plan
    size = (plan.rows.canvas, plan.columns.canvas, num_classes)
    self._kept = np.zeros(size, np.float32) if keep_scores else None
    self._places = iter(plan.places)
    self._left = len(plan.places)
    self._band = np.zeros((plan.rows.tile, plan.columns.canvas, num_classes), np.float32)
    self._canvas = np.zeros((plan.rows.canvas, plan.columns.canvas), np.uint8)

  def add(self, scores: np.ndarray) -> bool:
    """Adds the next window's scores, float32 `[*tile, classes]`; returns True for the last one."""
    rows, columns = self._plan.rows, self._plan.columns
    i, j = next(self._places)
    left = columns.starts[j]
    weights = np.outer(rows.weights[i], columns.weights[j])
    self._band[:, left : left + columns.tile] += scores * weights[..., None]
    if j == len(columns.starts) - 1:
      self._finish_rows(i)
    self._left -= 1
    return not self._left

  def _finish_rows(self, i: int) -> None:
    """Computes the classes of the rows that are complete, and drops their scores."""
    top, *below = self._plan.rows.starts[i : i + 2]
    end = below[0] if below else self._plan.rows.canvas
    done = end - top
    self._canvas[top:end] = self._band[:done].argmax(axis=-1)
    if self._kept is not None:
      self._kept[top:end] = self._band[:done]
    self._band[:-done] = self._band[done:]
    self._band[len(self._band) - done :] = 0

  @property
  def mask(self) -> np.ndarray:
    """uint8 `[height, width]`, class indices."""
    return self._canvas[self._plan.rows.picture, self._plan.columns.picture]

  @property
  def scores(self) -> np.ndarray:
    """float32 `[height, width, classes]`, if they are kept."""
    return self._kept[self._plan.rows.picture, self._plan.columns.picture]
