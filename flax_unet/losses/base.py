"""The interface of a loss: sums over pixels, and a value computed from the sums.

The sums of all devices, and of all parts of an accumulated batch, are added before the value is
computed. So the loss is that of the whole global batch however it is divided. It is not a mean of
local means, which would weight pixels by how many others next to them are ignored.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from flax_unet.data.label_space import IGNORED

Sums = Any  # a tree of arrays


class Loss(abc.ABC):
  """Base class of all losses: frozen dataclasses whose fields are the arguments in `config.loss`.

  Attributes:
    is_mean: whether the sums are `{"sum": .., "weight": ..}`, the value is their ratio, and
      "weight" depends only on the labels. An accumulated batch then takes one pass instead of two.
    gathers: whether the sums need the whole batch at once, for a threshold or a sort over all
      pixels. All devices then compute them from all logits, and accumulation is refused.
  """

  is_mean: ClassVar[bool] = False
  gathers: ClassVar[bool] = False

  @abc.abstractmethod
  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """Computes sums over the pixels of some images.

    Args:
      logits: float32 `[batch, height, width, classes]`.
      labels: integer `[batch, height, width]`, class indices or `IGNORED`.
      weights: float32 `[batch, height, width]`, 0 for pixels that do not count.

    Returns:
      A tree of arrays that can be added up over images.
    """

  @abc.abstractmethod
  def value(self, sums: Sums) -> jax.Array:
    """Computes the loss from the sums over the global batch: a float32 scalar.

    Returns 0, with a gradient of 0, if all pixels are ignored.
    """

  def __call__(
    self, logits: jax.Array, labels: jax.Array, weights: jax.Array | None = None
  ) -> jax.Array:
    """Returns the loss of some images on one device; see `sums` for the arguments."""
    return self.value(self.sums(logits, labels, pixel_weights(labels, weights)))


class MeanLoss(Loss):
  """A weighted mean over pixels, `sum w l / sum w`."""

  is_mean = True

  def value(self, sums: Sums) -> jax.Array:
    """See base class."""
    return ratio(sums["sum"], sums["weight"])


def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
  """Returns the quotient, with a denominator of 1 in place of 0."""
  return numerator / jnp.where(denominator > 0, denominator, 1)


def pixel_weights(labels: jax.Array, weights: jax.Array | None = None) -> jax.Array:
  """Returns the weight of each pixel, 0 if it is ignored.

  Args:
    labels: integer `[...]`, class indices or `IGNORED`.
    weights: float `[...]` from the data, or None: all 1.

  Returns:
    float32 `[...]`.
  """
  valid = labels != IGNORED
  return valid.astype(jnp.float32) if weights is None else jnp.where(valid, weights, 0)


def classes_of(labels: jax.Array) -> jax.Array:
  """Returns class indices that a one-hot encoding or a gather can take, 0 for ignored pixels.

  The weights of ignored pixels are 0, so which class stands for them does not matter.

  Args:
    labels: integer `[...]`, class indices or `IGNORED`.

  Returns:
    int32 `[...]`.
  """
  return jnp.where(labels == IGNORED, 0, labels).astype(jnp.int32)


@dataclasses.dataclass(frozen=True)
class WeightedSum(Loss):
  """A weighted sum of losses.

  Attributes:
    terms: factor and loss of each.
  """

  terms: tuple[tuple[float, Loss], ...]

  @property
  def gathers(self) -> bool:
    """Whether any of the losses does."""
    return any(loss.gathers for _, loss in self.terms)

  def sums(self, logits: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
    """See base class."""
    return [loss.sums(logits, labels, weights) for _, loss in self.terms]

  def value(self, sums: Sums) -> jax.Array:
    """See base class."""
    values = (loss.value(part) for (_, loss), part in zip(self.terms, sums, strict=True))
    return sum(factor * value for (factor, _), value in zip(self.terms, values, strict=True))
