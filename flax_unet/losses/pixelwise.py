"""Losses that are means over pixels: cross-entropy and focal loss."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from flax_unet.losses.base import MeanLoss, Sums, classes_of


@dataclasses.dataclass(frozen=True)
class CrossEntropy(MeanLoss):
  """Weighted mean of the cross-entropy, `sum w ce / sum w`, in nats.

  The same as `torch.nn.CrossEntropyLoss(weight, ignore_index=255, label_smoothing=..)`.

  Attributes:
    class_weights: the weight of a pixel by its true class; None: all 1.
    label_smoothing: the fraction of the target that is spread evenly over all classes (Szegedy et
      al. 2016, https://arxiv.org/abs/1512.00567, section 7).
    over_all_pixels: whether to divide the sum by the total number of pixels, including ignored ones
      and regardless of weights, as mmsegmentation does unless `avg_non_ignore=True`.
  """

  class_weights: tuple[float, ...] | None = None
  label_smoothing: float = 0.0
  over_all_pixels: bool = False

  def __post_init__(self):
    """Refuses a value out of range."""
    if not 0 <= self.label_smoothing < 1:
      raise ValueError(f"label_smoothing = {self.label_smoothing}: it must be in [0, 1)")

  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """See base class."""
    classes = classes_of(labels)
    by_class = of_class(self.class_weights, classes)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    if not self.label_smoothing:
      weights = weights * by_class if self.class_weights else weights
      return {"sum": (losses * weights).sum(), "weight": self._divisor(labels, weights)}
    log_probabilities = jax.nn.log_softmax(logits)
    if self.class_weights is not None:
      log_probabilities *= jnp.array(self.class_weights, jnp.float32).reshape(1, 1, 1, -1)
    spread = -log_probabilities.mean(-1)
    smoothed = (1 - self.label_smoothing) * losses * by_class + self.label_smoothing * spread
    divisor = self._divisor(labels, weights * by_class)
    return {"sum": (smoothed * weights).sum(), "weight": divisor}

  def _divisor(self, labels: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.float32(labels.size) if self.over_all_pixels else weights.sum()


@dataclasses.dataclass(frozen=True)
class Focal(MeanLoss):
  """Cross-entropy that gives less weight to well-classified pixels: `-(1 - p)^gamma log p`.

  Lin et al. (2017), https://arxiv.org/abs/1708.02002, equation 5, where p is the softmax
  probability of the true class; a weighted mean as in `CrossEntropy`, to which it reduces with a
  gamma of 0.

  Attributes:
    gamma: the focusing parameter; larger values give well-classified pixels less weight.
    class_weights: the paper's alpha, by true class; None: all 1.
  """

  gamma: float = 2.0
  class_weights: tuple[float, ...] | None = None

  def __post_init__(self):
    """Refuses a negative gamma."""
    if self.gamma < 0:
      raise ValueError(f"gamma = {self.gamma}: it must be at least 0")

  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """See base class."""
    classes = classes_of(labels)
    weights = weights * of_class(self.class_weights, classes)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    # 1 - p as -expm1(log p), which keeps its digits where p is near 1; its power has no gradient at
    # 0, where gamma is below 1.
    missing = jnp.maximum(-jnp.expm1(-losses), jnp.finfo(jnp.float32).tiny)
    return {"sum": (missing**self.gamma * losses * weights).sum(), "weight": weights.sum()}


def of_class(class_weights: tuple[float, ...] | None, classes: jax.Array) -> jax.Array | float:
  """The weight of each pixel's class."""
  return 1.0 if class_weights is None else jnp.array(class_weights, jnp.float32)[classes]
