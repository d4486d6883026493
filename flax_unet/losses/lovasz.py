"""The Lovasz-Softmax loss."""

import dataclasses

import jax
import jax.numpy as jnp

from flax_unet.losses.base import MeanLoss, Sums


@dataclasses.dataclass(frozen=True)
class Lovasz(MeanLoss):
  """A convex surrogate of one minus the IoU of each image, averaged over the classes in it.

  Berman et al. (2018), https://arxiv.org/abs/1705.08790, equations 8 to 12; per image, like the
  authors' code with `per_image=True, classes="present"`. The loss is the mean over images that have
  a valid pixel. A pixel of weight 2 counts as two equal pixels.
  """

  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """See base class."""
    pixels = logits.shape[1] * logits.shape[2]
    probabilities = jax.nn.softmax(logits).reshape(-1, pixels, logits.shape[-1])
    targets = jax.nn.one_hot(labels, logits.shape[-1]).reshape(probabilities.shape)
    weights = weights.reshape(-1, pixels)
    of_class = jax.vmap(_of_class, in_axes=(1, 1, None))  # over the classes of an image
    losses, present = jax.vmap(of_class)(probabilities, targets, weights)
    images = losses.sum(1) / jnp.maximum(present.sum(1), 1)
    return {"sum": images.sum(), "weight": (present.sum(1) > 0).sum().astype(jnp.float32)}


def _of_class(
  probabilities: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Returns the loss of one class in one image, from arrays `[pixels]`, and if it is present.

  Pixels that do not count have an error of 0 and are sorted last.
  """
  targets = targets * (weights > 0)
  errors = jnp.where(weights > 0, jnp.abs(targets - probabilities), 0)
  order = jnp.argsort(-errors)
  errors, targets, weights = errors[order], targets[order], weights[order]
  total = (targets * weights).sum()
  intersection = total - jnp.cumsum(targets * weights)
  union = total + jnp.cumsum((1 - targets) * weights)
  jaccard = 1 - intersection / jnp.where(union > 0, union, 1)
  steps = jnp.diff(jaccard, prepend=0.0)
  present = (total > 0).astype(jnp.float32)
  return present * (errors * jax.lax.stop_gradient(steps)).sum(), present
