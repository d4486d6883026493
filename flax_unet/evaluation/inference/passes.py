"""Computes class scores of images, for any image size and either padding of the network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from flax_unet.data import padding
from flax_unet.evaluation.inference import scaling
from flax_unet.models.base import Geometry, Network, OnImages


@dataclasses.dataclass(frozen=True)
class Options:
  """How to predict: `config.evals.<name>.inference`.

  Attributes:
    mode: "whole", one pass over the image; or "tiles", overlapping windows (see `tiles`).
    tile: height and width of a window, in pixels; multiples of the network's `geometry.multiple`.
    overlap: the least overlap of neighbouring windows, in pixels.
    scales: factors by which the image (with tiles: the window) is resized before prediction;
      softmax probabilities are averaged over them, as in mmsegmentation's test-time augmentation.
    flip: whether to average over the horizontally flipped image too, at every scale.
  """

  mode: str = "whole"
  tile: tuple[int, int] = (512, 1024)
  overlap: int = 128
  scales: tuple[float, ...] = (1.0,)
  flip: bool = False

  @property
  def averages(self) -> bool:
    """Whether the result is averaged probabilities instead of logits."""
    return len(self.scales) > 1 or self.flip

  def check(self, geometry: Geometry) -> None:
    """Refuses values that are out of range.

    Args:
      geometry: the network's geometry.

    Raises:
      ValueError: the message begins with the attribute's name.
    """
    multiple = geometry.multiple
    if self.mode not in ("whole", "tiles"):
      raise ValueError(f"mode = '{self.mode}': use whole or tiles")
    if not isinstance(self.tile, tuple) or [type(side) for side in self.tile] != [int, int]:
      raise ValueError(f"tile = {self.tile}: give height and width, in pixels")
    for side in self.tile:
      if side < 1 or side % multiple:
        near = max(1, round(side / multiple)) * multiple
        raise ValueError(
          f"tile = {self.tile}: {geometry.name} needs multiples of {multiple}, such as {near} for "
          f"{side}"
        )
    if type(self.overlap) is not int or not 0 <= self.overlap <= min(self.tile) - multiple:
      raise ValueError(
        f"overlap = {self.overlap}: must be from 0 to {min(self.tile) - multiple} pixels, "
        f"{multiple} less than the tile's shorter side"
      )
    if not self.scales or any(not scale > 0 for scale in self.scales):
      raise ValueError(f"scales = {self.scales}: give factors above 0, such as (0.75, 1.0, 1.25)")
    if type(self.flip) is not bool:
      raise ValueError(f"flip = {self.flip}: must be True or False")


WHOLE = Options()


def whole_picture(
  model: Network,
  variables: Mapping[str, Any],
  images: jax.Array,
  multiple: int = padding.MULTIPLE,
) -> jax.Array:
  """Computes the logits of whole images of any size, in one pass.

  Images are mirrored at the bottom and on the right up to a multiple, as everywhere (see
  `fitting`). If the network needs more, they are mirrored on all sides: up to a size that fits, and
  by the context that unpadded convolutions consume (Ronneberger 2015, figure 2).

  Args:
    model: the network.
    variables: its parameters and statistics.
    images: uint8 `[batch, height, width, 3]`.
    multiple: images are mirrored up to a multiple of this many pixels.

  Returns:
    float32 logits `[batch, height, width, classes]`.
  """
  height, width = images.shape[1:3]
  images = padding.mirror(images, multiple)
  return _middle_logits(model, variables, images, images.shape[1:3])[:, :height, :width]


def _middle_logits(
  model: Network, variables: Mapping[str, Any], images: jax.Array, size: tuple[int, int]
) -> jax.Array:
  """Computes the logits of the central `size` pixels of images, with their surroundings as context.

  The network gets as many pixels around the centre as it needs, mirrored beyond the border.
  """
  margins = [model.geometry.covering_size(side) - side for side in size]
  for axis, (side, margin) in enumerate(zip(size, margins, strict=True), start=1):
    start = (images.shape[axis] - side) // 2 - margin // 2
    images = _mirrored_slice(images, start, start + side + margin, axis)
  logits = OnImages(model)(variables, images, train=False)
  # The logits are centred in the input, whose central `size` starts half a margin from its corner.
  top, left = (
    margin // 2 - (outer - inner) // 2
    for margin, outer, inner in zip(margins, images.shape[1:3], logits.shape[1:3], strict=True)
  )
  return logits[:, top : top + size[0], left : left + size[1]]


def _mirrored_slice(x: jax.Array, start: int, stop: int, axis: int) -> jax.Array:
  """Cuts `start..stop` out of an axis that continues, mirrored, beyond both ends."""
  before, after = max(0, -start), max(0, stop - x.shape[axis])
  pads = [(before, after) if a == axis else (0, 0) for a in range(x.ndim)]
  return jax.lax.slice_in_dim(
    jnp.pad(x, pads, mode="reflect"), start + before, stop + before, axis=axis
  )


def scores(
  model: Network,
  variables: Mapping[str, Any],
  images: jax.Array,
  size: tuple[int, int],
  options: Options,
  middle: tuple[int, int] | None = None,
) -> jax.Array:
  """Computes class scores at the given resolution; a pixel's class is the one with the highest.

  Args:
    model: the network.
    variables: its parameters and statistics.
    images: uint8 `[batch, height, width, 3]`.
    size: height and width of the result.
    options: which scales to use, and whether to flip.
    middle: height and width of the central part to score, in pixels of the images; the rest is
      context. None: score all of it.

  Returns:
    float32 `[batch, *size, classes]`: logits, or with several scales or flips the mean of their
    softmax probabilities.
  """
  outer = images.shape[1:3]
  middle = middle or outer

  def logits_of(images: jax.Array, scale: float) -> jax.Array:
    if scale != 1:
      images = scaling.resize_bilinear(images, _scaled(outer, scale))
    return resize_logits(_middle_logits(model, variables, images, _scaled(middle, scale)), size)

  if not options.averages:
    return logits_of(images, options.scales[0])

  def add(total: jax.Array, scale: float, flipped: jax.Array | bool) -> jax.Array:
    logits = logits_of(jnp.where(flipped, images[:, :, ::-1], images), scale)
    return total + jax.nn.softmax(jnp.where(flipped, logits[:, :, ::-1], logits))

  total = jnp.zeros((images.shape[0], *size, model.num_classes))
  for scale in options.scales:
    if options.flip:
      # A loop, so that the activations of all variants are not in memory together.
      total, _ = jax.lax.scan(
        lambda total, flipped, scale=scale: (add(total, scale, flipped), None),
        total,
        jnp.array([False, True]),
      )
    else:
      total = add(total, scale, flipped=False)
  return total / (len(options.scales) * (1 + options.flip))


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
  height, width = (max(1, int(side * scale + 0.5)) for side in size)  # halves up, as mmcv
  return height, width


def resize_logits(logits: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Resamples logits `[batch, height, width, classes]` to `size`, bilinearly.

  Without a low-pass where that shrinks them, as in PyTorch and so in mmsegmentation.
  """
  shape = (logits.shape[0], *size, logits.shape[3])
  if logits.shape == shape:
    return logits
  return jax.image.resize(logits, shape, "bilinear", antialias=False)
