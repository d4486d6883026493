"""Losses over the valid pixels of the global batch.

Each returns *this device's share*: the shares of all devices add up to the loss, so that the sum
of the devices' gradients is the gradient of the loss. A mean of local means would weigh pixels by
how many of their neighbours are ignored.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from flax_unet import errors
from flax_unet.data.label_spaces import IGNORED


def _sum_over_devices(x: jax.Array, axis_name: str | None) -> jax.Array:
  return x if axis_name is None else jax.lax.psum(x, axis_name)


def pixel_weights(labels: jax.Array, class_weights: jax.Array | None = None) -> jax.Array:
  """The weight of each pixel in the cross-entropy, 0 where it is ignored.

  Args:
    labels: integer `[...]`, class indices or `IGNORED`.
    class_weights: float `[classes]`; None: all 1.

  Returns:
    float32 `[...]`.
  """
  valid = labels != IGNORED
  if class_weights is None:
    return valid.astype(jnp.float32)
  return jnp.where(valid, class_weights[jnp.where(valid, labels, 0)], 0)


def cross_entropy(
  logits: jax.Array,
  labels: jax.Array,
  *,
  class_weights: jax.Array | None = None,
  axis_name: str | None = None,
) -> jax.Array:
  """Weighted mean of the cross-entropy of the valid pixels, `sum w ce / sum w`.

  Args:
    logits: float32 `[batch, height, width, classes]`.
    labels: integer `[batch, height, width]`, class indices or `IGNORED`.
    class_weights: float `[classes]`, the weight of a pixel by its true class; None: all 1. As in
      `torch.nn.CrossEntropyLoss(weight, ignore_index=255)`.
    axis_name: the devices' axis inside `pmap`; None on one device.

  Returns:
    float32 scalar: this device's share of the loss, in nats; 0 where no pixel is valid.
  """
  weights = pixel_weights(labels, class_weights)
  classes = jnp.where(labels == IGNORED, 0, labels).astype(jnp.int32)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
  total = _sum_over_devices(weights.sum(), axis_name)
  return (losses * weights).sum() / jnp.where(total > 0, total, 1)


def dice(
  logits: jax.Array,
  labels: jax.Array,
  *,
  class_weights: jax.Array | None = None,
  axis_name: str | None = None,
) -> jax.Array:
  """One minus the soft Dice coefficient, meaned over the classes that the labels hold.

  Dice of class c is `2 sum p_c y_c / (sum p_c + sum y_c)` over the valid pixels of the global
  batch (Drozdzal et al. 2016; Sudre et al. 2017, equation 3, unweighted).

  Args:
    logits: float32 `[batch, height, width, classes]`.
    labels: integer `[batch, height, width]`, class indices or `IGNORED`.
    class_weights: float `[classes]`, the weight of a class in the mean; None: all 1.
    axis_name: the devices' axis inside `pmap`; None on one device.

  Returns:
    float32 scalar: this device's share of the loss; 0 where no pixel is valid.
  """
  valid = (labels != IGNORED)[..., None]
  targets = jax.nn.one_hot(labels, logits.shape[-1])  # an ignored pixel is a row of zeros
  probabilities = jnp.where(valid, jax.nn.softmax(logits), 0)
  pixels = (0, 1, 2)
  overlap, predicted, true = _sum_over_devices(
    jnp.stack(
      [
        (probabilities * targets).sum(pixels),
        probabilities.sum(pixels),
        targets.sum(pixels),
      ]
    ),
    axis_name,
  )
  weights = (true > 0).astype(jnp.float32)
  if class_weights is not None:
    weights *= class_weights
  size = jnp.where(predicted + true > 0, predicted + true, 1)
  losses = (1 - 2 * overlap / size) * weights
  loss = losses.sum() / jnp.where(weights.sum() > 0, weights.sum(), 1)
  return loss / (1 if axis_name is None else jax.lax.axis_size(axis_name))


def cross_entropy_dice(logits: jax.Array, labels: jax.Array, **kwargs) -> jax.Array:
  """The sum of `cross_entropy` and `dice`, as nnU-Net trains (Isensee et al. 2021)."""
  return cross_entropy(logits, labels, **kwargs) + dice(logits, labels, **kwargs)


LOSSES: dict[str, Callable[..., jax.Array]] = {
  "cross_entropy": cross_entropy,
  "dice": dice,
  "cross_entropy_dice": cross_entropy_dice,
}


def get(name: str) -> Callable[..., jax.Array]:
  """Returns the loss of that name.

  Raises:
    UserError: there is none; the message names those there are.
  """
  if name not in LOSSES:
    raise errors.unknown("loss", name, LOSSES)
  return LOSSES[name]
