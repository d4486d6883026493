"""From pictures to class scores, whatever the network's padding and the picture's size."""

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from flax_unet.models import unet

# Mean and standard deviation of ImageNet's pixels, in units of 0..1: the field's convention.
MEAN = (0.485, 0.456, 0.406)
STDDEV = (0.229, 0.224, 0.225)


def normalize(images: jax.Array) -> jax.Array:
  """Normalises pictures: uint8 `[..., 3]` to float32, about zero mean and unit variance."""
  mean, stddev = (
    jnp.array(value).reshape((1,) * (images.ndim - 1) + (3,)) for value in (MEAN, STDDEV)
  )
  return (images.astype(jnp.float32) / 255 - mean) / stddev


def center_crop(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Cuts `[batch, height, width, ...]` to its central `size`, a height and a width."""
  top, left = (x.shape[1] - size[0]) // 2, (x.shape[2] - size[1]) // 2
  return x[:, top : top + size[0], left : left + size[1]]


def covering_size(size: int, depth: int, padding: str) -> int:
  """Returns the smallest input size that fits the network and whose logits cover `size` pixels."""
  for candidate in itertools.count(size):
    try:
      if unet.output_size(candidate, depth, padding) >= size:
        return candidate
    except ValueError:
      continue


def whole_picture(model: unet.UNet, variables: Mapping[str, Any], images: jax.Array) -> jax.Array:
  """Computes the logits of whole pictures of any size, in one pass.

  Pictures are mirrored at their borders as far as the network needs it: up to a multiple of
  `2**depth`, and by the context that unpadded convolutions take (Ronneberger 2015, figure 2).

  Args:
    model: the network.
    variables: its parameters and statistics.
    images: uint8 `[batch, height, width, 3]`.

  Returns:
    float32 logits `[batch, height, width, classes]`.
  """
  size = images.shape[1:3]
  margins = [covering_size(side, model.depth, model.padding) - side for side in size]
  pads = [(margin // 2, margin - margin // 2) for margin in margins]
  padded = jnp.pad(images, ((0, 0), *pads, (0, 0)), mode="reflect")
  logits = model.apply(variables, normalize(padded), train=False)
  # The logits lie centred in the padded picture, the picture `pads[0]` pixels from its corner.
  top, left = (
    pad[0] - (outer - inner) // 2
    for pad, outer, inner in zip(pads, padded.shape[1:3], logits.shape[1:3], strict=True)
  )
  return logits[:, top : top + size[0], left : left + size[1]]


def resize_logits(logits: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Enlarges logits `[batch, height, width, classes]` to `size`, bilinearly."""
  shape = (logits.shape[0], *size, logits.shape[3])
  return logits if logits.shape == shape else jax.image.resize(logits, shape, "bilinear")
