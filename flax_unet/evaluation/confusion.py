"""Confusion matrices: exact integer counts, from which every score is computed.

Rows are true classes, columns predicted ones. On the device a picture is counted in int32, which
holds up to 2^31 pixels; sums over pictures belong in int64 on the host, because a Cityscapes
validation set has 1.05e9 pixels and the training set 6.2e9. Floats would stop being exact at 2^24.

A model always predicts one of the classes, so its matrices are `[classes, classes]`. The PNGs of
other programs may also hold ids that name no scored class, so `count` adds a last column for them.
Everything in this package that takes a confusion matrix takes either form.
"""

import jax
import jax.numpy as jnp
import numpy as np


def confusion_matrices(labels: jax.Array, predictions: jax.Array, num_classes: int) -> jax.Array:
  """Counts one confusion matrix a picture, on the device and inside `jit` or `pmap`.

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


def count_with_ignored(label: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
  """Counts one picture on the host, with a row for ignored pixels.

  Args:
    label: uint8 `[height, width]`, class indices; values from `num_classes` on are ignored.
    prediction: uint8, the same shape; values from `num_classes` on name no scored class.
    num_classes: number of classes, at most 255.

  Returns:
    int64 `[num_classes + 1, num_classes + 1]`: the last row counts the ignored pixels, the last
    column the predictions that name no scored class.

  Raises:
    ValueError: the shapes differ.
  """
  if label.shape != prediction.shape:
    raise ValueError(f"the label is {label.shape} but the prediction {prediction.shape}")
  side = num_classes + 1
  # The largest cell is 255 * 256 + 255, so 16 bits hold it and a quarter of the memory is moved.
  cell = np.minimum(label, num_classes).astype(np.uint16) * np.uint16(side)
  cell += np.minimum(prediction, num_classes)
  return np.bincount(cell.reshape(-1), minlength=side * side).reshape(side, side)


def count(label: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
  """Counts one picture on the host: int64 `[num_classes, num_classes + 1]`.

  The last column holds the predictions that name no scored class; arguments and errors are those
  of `count_with_ignored`.
  """
  return count_with_ignored(label, prediction, num_classes)[:num_classes]
