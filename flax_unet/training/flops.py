"""Counts the floating-point operations of a train step."""

from typing import Any

import jax
import jax.numpy as jnp

from flax_unet.data.image_format import ImageFormat


def batch_shapes(
  batch_size: int, image_size: tuple[int, int], num_devices: int, image_format: ImageFormat
) -> dict[str, jax.ShapeDtypeStruct]:
  """The shapes of a training batch, as the train step takes it on the devices of one process."""
  batch = (num_devices, batch_size // num_devices, *image_size)
  return {
    "image": jax.ShapeDtypeStruct((*batch, image_format.channels), image_format.array_dtype),
    "label": jax.ShapeDtypeStruct(batch, jnp.uint8),
  }


def count(train_step: Any, train_state: Any, batch: Any, parts: int) -> float:
  """Floating-point operations of a train step, by XLA's count of the GPU program.

  The GPU program has plain convolutions. Others may use loops, whose body XLA counts only once.

  Args:
    train_step: the step, mapped over one device.
    train_state: the state, or its shapes.
    batch: the shapes of a batch, for one device.
    parts: how many parts the batch is processed in, one after the other; that is a loop as well.
  """
  shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), train_state)
  lowered = jax.jit(train_step).trace(shapes, batch).lower(lowering_platforms=("cuda",))
  return lowered.cost_analysis()["flops"] * parts
