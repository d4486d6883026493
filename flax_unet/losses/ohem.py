"""Cross-entropy of only the hardest pixels."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from flax_unet.losses.base import MeanLoss, Sums, classes_of
from flax_unet.losses.pixelwise import of_class


@dataclasses.dataclass(frozen=True)
class OHEM(MeanLoss):
  """Online hard example mining: cross-entropy where the true class has a low probability.

  A pixel counts if the probability of its true class is below a threshold: `threshold`, or more
  where fewer than `min_kept` pixels per image would count. The sum is divided by the total number
  of pixels, including ignored ones. This is mmsegmentation's `OHEMPixelSampler`, except that the
  threshold is computed over the global batch instead of on each device.

  Attributes:
    threshold: the probability below which a pixel counts.
    min_kept: the minimum number of pixels that count, per image of the batch.
    class_weights: the weight of a pixel by its true class; None: all 1.
  """

  threshold: float = 0.7
  min_kept: int = 100_000
  class_weights: tuple[float, ...] | None = None

  gathers = True

  def __post_init__(self):
    """Refuses what selects nothing."""
    if not 0 <= self.threshold <= 1 or self.min_kept < 0:
      raise ValueError(
        f"threshold = {self.threshold}, min_kept = {self.min_kept}: the threshold must be in "
        "[0, 1], the number of pixels at least 0"
      )

  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """See base class."""
    classes = classes_of(labels)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    probabilities = jnp.where(weights > 0, jnp.exp(-jax.lax.stop_gradient(losses)), jnp.inf)
    number = jnp.isfinite(probabilities).sum()
    last = jnp.clip(number - 1, 0, self.min_kept * len(labels))
    smallest = jnp.sort(probabilities.reshape(-1))[last]
    hard = probabilities < jnp.maximum(smallest, self.threshold)
    kept = jnp.where(hard, losses * weights * of_class(self.class_weights, classes), 0)
    return {"sum": kept.sum(), "weight": jnp.float32(labels.size)}
