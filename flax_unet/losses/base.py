"""What a loss is: sums over pixels, and a value that is finished from them.

The sums of all devices, and of the parts of a batch that is worked on in parts, are added before
the value is finished. So the loss is that of the whole global batch however it is divided, and no
mean of local means, which would weigh pixels by how many of their neighbours are ignored.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from flax_unet.data.label_space import IGNORED

Sums = Any  # a tree of arrays


class Loss(abc.ABC):
  """Base of all losses: frozen dataclasses, whose fields are their arguments in `config.loss`.

  Attributes:
    is_mean: whether the sums are `{"sum": .., "weight": ..}`, the value is their ratio, and
      "weight" follows from the labels alone. A batch in parts then takes one pass and not two.
    gathers: whether the sums need the whole batch at once, for a threshold or a sort over all of
      its pixels. All devices then compute them from all logits, and parts are refused.
  """

  is_mean: ClassVar[bool] = False
  gathers: ClassVar[bool] = False

  @abc.abstractmethod
  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """Sums over the pixels of some images.

    Args:
      logits: float32 `[batch, height, width, classes]`.
      labels: integer `[batch, height, width]`, class indices or `IGNORED`.
      weights: float32 `[batch, height, width]`, 0 where a pixel does not count.

    Returns:
      A tree of arrays, which add up over images.
    """

  @abc.abstractmethod
  def value(self, sums: Sums) -> jax.Array:
    """Finishes the loss from the sums over the global batch: a float32 scalar.

    0, with a gradient of 0, where no pixel counts.
    """

  def __call__(
    self, logits: jax.Array, labels: jax.Array, weights: jax.Array | None = None
  ) -> jax.Array:
    """The loss of some images on one device; see `sums` for the arguments."""
    return self.value(self.sums(logits, labels, pixel_weights(labels, weights)))


class MeanLoss(Loss):
  """A weighted mean over pixels, `sum w l / sum w`."""

  is_mean = True

  def value(self, sums: Sums) -> jax.Array:
    """See base class."""
    return ratio(sums["sum"], sums["weight"])


def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
  """A quotient that is 0 over 1 where the denominator is 0."""
  return numerator / jnp.where(denominator > 0, denominator, 1)


def pixel_weights(labels: jax.Array, weights: jax.Array | None = None) -> jax.Array:
  """The weight of each pixel, 0 where it is ignored.

  Args:
    labels: integer `[...]`, class indices or `IGNORED`.
    weights: float `[...]` of the data, or None: all 1.

  Returns:
    float32 `[...]`.
  """
  valid = labels != IGNORED
  return valid.astype(jnp.float32) if weights is None else jnp.where(valid, weights, 0)


def classes_of(labels: jax.Array) -> jax.Array:
  """int32 class indices, 0 where a pixel is ignored."""
  return jnp.where(labels == IGNORED, 0, labels).astype(jnp.int32)


@dataclasses.dataclass(frozen=True)
class WeightedSum(Loss):
  """Several losses, each times a factor.

  Attributes:
    terms: factor and loss of each.
  """

  terms: tuple[tuple[float, Loss], ...]

  @property
  def gathers(self) -> bool:
    """Whether any of them does."""
    return any(loss.gathers for _, loss in self.terms)

  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """See base class."""
    return [loss.sums(logits, labels, weights) for _, loss in self.terms]

  def value(self, sums: Sums) -> jax.Array:
    """See base class."""
    values = (loss.value(part) for (_, loss), part in zip(self.terms, sums, strict=True))
    return sum(factor * value for (factor, _), value in zip(self.terms, values, strict=True))
