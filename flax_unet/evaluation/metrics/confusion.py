"""Counts confusion matrices on the device: exact integers, from which every score is computed.

Rows are true classes, columns predicted ones. One image is counted in int32, enough for 2^31
pixels; sum over images in int64 on the host, because the Cityscapes validation set has 1.05e9
pixels and the training set 6.2e9. Floats are exact only up to 2^24. For label maps and predictions
on the host, see `counting`.
"""

import jax
import jax.numpy as jnp


def confusion_matrices(labels: jax.Array, predictions: jax.Array, num_classes: int) -> jax.Array:
  """Counts one confusion matrix per image, inside `jit` or `pmap`.

  Args:
    labels: uint8 or int32 `[batch, height, width]`, class indices; any other value is ignored.
    predictions: the same shape, integer class indices in `0..num_classes - 1`.
    num_classes: number of classes.

  Returns:
    int32 `[batch, num_classes, num_classes]`, pixels by true and predicted class.
  """

  def count_picture(label: jax.Array, prediction: jax.Array) -> jax.Array:
    label = label.reshape(-1).astype(jnp.int32)
    prediction = prediction.reshape(-1).astype(jnp.int32)
    cells = num_classes * num_classes
    valid = (label >= 0) & (label < num_classes)
    cell = jnp.where(valid, label * num_classes + prediction, cells)
    counts = jnp.bincount(cell, length=cells + 1)
    return counts[:cells].reshape(num_classes, num_classes)

  return jax.vmap(count_picture)(labels, predictions)
