"""From pictures to class scores, whatever the network's padding and the picture's size."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

# Mean and standard deviation of ImageNet's pixels, in units of 0..1: the field's convention.
MEAN = (0.485, 0.456, 0.406)
STDDEV = (0.229, 0.224, 0.225)


def normalize(images: jax.Array) -> jax.Array:
  """Normalises pictures: uint8 `[..., 3]` to float32, about zero mean and unit variance."""
  return (images.astype(jnp.float32) / 255 - jnp.array(MEAN)) / jnp.array(STDDEV)


def center_crop(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Cuts `[batch, height, width, ...]` to its central `size`, a height and a width."""
  top, left = (x.shape[1] - size[0]) // 2, (x.shape[2] - size[1]) // 2
  return x[:, top : top + size[0], left : left + size[1]]
