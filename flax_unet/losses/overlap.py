"""Losses based on the overlap of prediction and label: Dice and Tversky."""

import abc
import dataclasses

import jax
import jax.numpy as jnp

from flax_unet.losses.base import Loss, Sums, ratio


class _Overlap(Loss):
  """What Dice and Tversky have in common: the sums, and the mean over classes."""

  class_weights: tuple[float, ...] | None

  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """See base class."""
    weights = weights[..., None]
    targets = jax.nn.one_hot(labels, logits.shape[-1]) * weights  # zeros for ignored pixels
    probabilities = jnp.where(weights > 0, jax.nn.softmax(logits), 0)
    pixels = (0, 1, 2)
    return {
      "overlap": (probabilities * targets).sum(pixels),
      "predicted": (probabilities * weights).sum(pixels),
      "true": targets.sum(pixels),
    }

  def value(self, sums: Sums) -> jax.Array:
    """See base class."""
    weights = (sums["true"] > 0).astype(jnp.float32)
    if self.class_weights is not None:
      weights *= jnp.array(self.class_weights)
    return ratio(((1 - self.index(**sums)) * weights).sum(), weights.sum())

  @abc.abstractmethod
  def index(self, overlap: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
    """Returns the agreement of prediction and label for each class, from sums `[classes]`."""


@dataclasses.dataclass(frozen=True)
class Tversky(_Overlap):
  """One minus the soft Tversky index, averaged over the classes in the labels.

  The index of class c is `TP / (TP + alpha FP + beta FN)`, with `TP = sum p_c y_c` and so on over
  the pixels of the global batch (Salehi et al. 2017, https://arxiv.org/abs/1706.05721, equation 2).

  Attributes:
    alpha: the weight of a false positive.
    beta: the weight of a false negative.
    class_weights: the weight of a class in the mean; None: all 1.
  """

  alpha: float = 0.3
  beta: float = 0.7
  class_weights: tuple[float, ...] | None = None

  def __post_init__(self):
    """Refuses factors that reward mistakes."""
    if self.alpha < 0 or self.beta < 0 or not self.alpha + self.beta:
      raise ValueError(
        f"alpha = {self.alpha}, beta = {self.beta}: they must be at least 0, and not both 0"
      )

  def index(self, overlap: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
    """See base class."""
    false = self.alpha * (predicted - overlap) + self.beta * (true - overlap)
    return ratio(overlap, overlap + false)


@dataclasses.dataclass(frozen=True)
class Dice(_Overlap):
  """One minus the soft Dice coefficient, averaged over the classes in the labels.

  Dice of class c is `2 sum p_c y_c / (sum p_c + sum y_c)` over the pixels of the global batch
  (Drozdzal et al. 2016; Sudre et al. 2017, equation 3, unweighted): the Tversky index with alpha
  and beta of one half.

  Attributes:
    class_weights: the weight of a class in the mean; None: all 1.
  """

  class_weights: tuple[float, ...] | None = None

  def index(self, overlap: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
    """See base class."""
    return ratio(2 * overlap, predicted + true)
