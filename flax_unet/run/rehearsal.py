"""Tries the exchangeable parts on a tiny image before anything is opened.

A custom network, loss or evaluator that breaks its contract is refused here in one line, instead of
failing with a traceback after the data have been checked.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flax_unet import errors
from flax_unet.data.image_format import ImageFormat
from flax_unet.data.label_space import IGNORED, LabelSpace
from flax_unet.evaluation.evaluators.base import Evaluator, Picture
from flax_unet.losses.base import Loss, pixel_weights
from flax_unet.models import base

_SIZE = (16, 16)


def network(model: base.Network, size: tuple[int, int] | None) -> None:
  """Refuses a network that breaks its contract, or that training images do not fit.

  Args:
    model: the network.
    size: height and width of training images, in pixels; None: not known yet.

  Raises:
    UserError: the message contains the value, and the nearest sizes that fit.
  """
  images = f" with training images of {size[0]} x {size[1]} pixels" if size else ""
  try:
    base.variable_shapes(model, size)
  except ValueError as error:
    raise errors.UserError(f"config.model{images}: {error}") from error
  except Exception as error:  # a custom network may raise anything
    raise _failed(f"config.model_name{images}: {type(model).__name__}", error) from error


def loss(loss: Loss, where: str, num_classes: int) -> None:
  """Refuses a loss whose value is not one finite float, or whose gradient is not finite.

  The logits are random, as those of an untrained network; some pixels are ignored.

  Raises:
    UserError: the message says what it returns, or which error it raises.
  """
  random = np.random.default_rng(0)
  logits = jnp.asarray(random.normal(size=(2, *_SIZE, num_classes)), jnp.float32)
  labels = random.integers(num_classes, size=(2, *_SIZE), dtype=np.uint8)
  labels[:, 0] = IGNORED
  labels = jnp.asarray(labels)
  weights = pixel_weights(labels)

  def value(logits: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    return loss.value(loss.sums(logits, labels, weights))

  with _refusing(where):
    found = jax.eval_shape(value, logits, labels, weights)
    if not isinstance(found, jax.ShapeDtypeStruct) or found.shape or found.dtype != jnp.float32:
      raise errors.UserError(f"{where}: its value is {_described(found)}, not one float32")
    number, gradient = jax.jit(jax.value_and_grad(value))(logits, labels, weights)
  for what, values in (("value", number), ("gradient", gradient)):
    if not jnp.isfinite(values).all():
      bad = values[~jnp.isfinite(values)].ravel()[0]
      raise errors.UserError(
        f"{where}: its {what} is {bad} on the random logits of an untrained network, so training "
        "would fail at the first step"
      )


def evaluator(
  evaluator: Evaluator, where: str, label_space: LabelSpace, image_format: ImageFormat
) -> None:
  """Refuses an evaluator whose counts or scores are not what its table says.

  Raises:
    UserError: the message names the method, and what it returns or raises.
  """
  random = np.random.default_rng(0)
  num_classes = label_space.num_classes
  dtype = image_format.array_dtype
  image = random.integers(256, size=(*_SIZE, image_format.channels)).astype(dtype)
  label, prediction = random.integers(num_classes, size=(2, *_SIZE), dtype=np.uint8)
  logits = np.asarray(jax.nn.one_hot(prediction, num_classes))
  with _refusing(f"{where}: count_on_device"):
    on_device = jax.jit(evaluator.count_on_device)(logits[None], prediction[None], label[None])
  _check_mapping(f"{where}: count_on_device", on_device)
  for name, counts in on_device.items():
    if np.shape(counts)[:1] != (1,):
      raise errors.UserError(
        f"{where}: count_on_device returns '{name}' of shape {list(np.shape(counts))} for a batch "
        "of 1; give [batch, ...]"
      )
  with _refusing(f"{where}: count"):
    on_host = evaluator.count(Picture("rehearsal", image, label, prediction), num_classes)
  _check_mapping(f"{where}: count", on_host)
  confusion = np.zeros((1, num_classes, num_classes), np.int64)
  np.add.at(confusion[0], (label.ravel(), prediction.ravel()), 1)
  counts = {name: np.asarray(x) for name, x in on_device.items()}
  counts |= {name: np.asarray(x)[None] for name, x in on_host.items()}
  with _refusing(f"{where}: scores"), np.errstate(all="ignore"):
    scores = evaluator.scores(confusion, counts, label_space)
  _check_scores(f"{where}: scores", evaluator, scores)


def _check_scores(where: str, evaluator: Evaluator, scores: Any) -> None:
  _check_mapping(where, scores)
  wanted = [score.name for score in evaluator.table]
  for name in wanted:
    if name not in scores:
      if name in evaluator.optional:
        continue
      raise errors.UserError(f"{where} does not return '{name}', which is in its table")
    if np.ndim(scores[name]) or not isinstance(scores[name], float | int | np.number):
      raise errors.UserError(
        f"{where} returns '{name}' as {_described(scores[name])}; give one number"
      )

  for name in scores:
    if name not in (*wanted, "per_class", "per_category"):
      raise errors.UserError(f"{where} returns '{name}', which is not in its table")


def _check_mapping(where: str, found: Any) -> None:
  if not isinstance(found, Mapping):
    raise errors.UserError(f"{where} returns {_described(found)}; give a dictionary")


def _described(found: Any) -> str:
  if found is None:
    return "None"
  shape = getattr(found, "shape", None)
  if shape is None:
    return f"a {type(found).__name__}"
  return f"{found.dtype} of shape {list(shape)}"


@contextlib.contextmanager
def _refusing(where: str) -> Iterator[None]:
  try:
    yield
  except errors.UserError:
    raise
  except Exception as error:  # a custom part may raise anything
    raise _failed(where, error) from error


def _failed(where: str, error: Exception) -> errors.UserError:
  return errors.UserError(f"{where} fails ({errors.described(error)})")
