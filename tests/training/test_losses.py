import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.test_util import check_grads

from flax_unet.training import losses

IGNORED = 255
ALL = [losses.cross_entropy, losses.dice, losses.cross_entropy_dice]


def _batch(num_classes=5, shape=(4, 6, 8), ignored=0.3):
  """Logits and labels; more and more pixels are ignored, of the last picture all."""
  rng = np.random.default_rng(0)
  logits = rng.normal(scale=3, size=(*shape, num_classes)).astype(np.float32)
  labels = rng.integers(0, num_classes, shape).astype(np.uint8)
  share = np.linspace(0, 2 * ignored, shape[0]).reshape(-1, 1, 1)
  labels[rng.random(shape) < share] = IGNORED
  labels[-1] = IGNORED
  return logits, labels


def _value_and_grad(loss, logits, labels, weights=None):
  weights = None if weights is None else jnp.array(weights)
  return jax.jit(jax.value_and_grad(functools.partial(loss, class_weights=weights)))(logits, labels)


def _probabilities(rows):
  """Logits `[1, 1, pixels, classes]` of pixels with these class probabilities."""
  return jnp.log(jnp.array(rows, jnp.float32))[None, None]


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 0.0, 3.0]])
def test_cross_entropy_equals_torch(weights):
  logits, labels = _batch()
  loss, gradient = _value_and_grad(losses.cross_entropy, logits, labels, weights)
  peer = torch.nn.CrossEntropyLoss(
    None if weights is None else torch.tensor(weights), ignore_index=IGNORED
  )
  inputs = torch.tensor(logits).permute(0, 3, 1, 2).requires_grad_()
  expected = peer(inputs, torch.tensor(labels).long())
  expected.backward()
  assert float(loss) == pytest.approx(expected.item(), rel=1e-6)
  np.testing.assert_allclose(gradient, inputs.grad.permute(0, 2, 3, 1), rtol=1e-5, atol=1e-8)


def test_cross_entropy_by_hand():
  logits = _probabilities([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
  labels = jnp.array([[[0, 1, IGNORED]]], jnp.uint8)
  mean = (math.log(2) - math.log(0.8)) / 2
  assert float(losses.cross_entropy(logits, labels)) == pytest.approx(mean)
  weighted = (3 * math.log(2) - math.log(0.8)) / 4
  weights = jnp.array([3.0, 1.0, 7.0])
  got = losses.cross_entropy(logits, labels, class_weights=weights)
  assert float(got) == pytest.approx(weighted)


def test_dice_by_hand():
  # Class 2 is predicted but nowhere true, so it is left out; the last pixel is ignored.
  logits = _probabilities([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
  labels = jnp.array([[[0, 1, IGNORED]]], jnp.uint8)
  first, second = 2 * 0.5 / (0.6 + 1), 2 * 0.8 / (1.05 + 1)
  expected = 1 - (first + second) / 2
  assert float(losses.dice(logits, labels)) == pytest.approx(expected)
  weights = jnp.array([3.0, 1.0, 7.0])
  expected = 1 - (3 * first + second) / 4
  assert float(losses.dice(logits, labels, class_weights=weights)) == pytest.approx(expected)


def test_cross_entropy_dice_is_their_sum():
  batch, weights = _batch(), [0.5, 2.0, 1.0, 0.0, 3.0]
  got, first, second = (
    _value_and_grad(loss, *batch, weights)
    for loss in (losses.cross_entropy_dice, losses.cross_entropy, losses.dice)
  )
  assert float(got[0]) == pytest.approx(float(first[0] + second[0]))
  np.testing.assert_allclose(got[1], first[1] + second[1], atol=1e-7)


def test_gradient_of_dice_equals_differences():
  logits, labels = _batch(num_classes=3, shape=(2, 2, 3))
  dice = jax.jit(lambda x: losses.dice(x, labels))
  with jax.enable_x64(True):
    check_grads(dice, (jnp.array(logits, jnp.float64),), order=1, modes=["rev"])


@pytest.mark.parametrize("loss", ALL)
def test_ignored_pixels_have_no_influence(loss):
  logits, labels = _batch()
  value, gradient = _value_and_grad(loss, logits, labels)
  assert not np.asarray(gradient)[labels == IGNORED].any()
  assert np.asarray(gradient)[labels != IGNORED].any(-1).all()
  shaken = np.where((labels == IGNORED)[..., None], 50.0, logits).astype(np.float32)
  assert float(_value_and_grad(loss, shaken, labels)[0]) == float(value)


@pytest.mark.parametrize("loss", ALL)
@pytest.mark.parametrize("nothing", ["all ignored", "all weights 0"])
def test_nothing_to_learn_from_is_zero(loss, nothing):
  logits, labels = _batch(num_classes=3)
  if nothing == "all ignored":
    value, gradient = _value_and_grad(loss, logits, np.full_like(labels, IGNORED))
  else:
    value, gradient = _value_and_grad(loss, logits, labels, [0.0, 0.0, 0.0])
  assert float(value) == 0
  assert not np.asarray(gradient).any()


@pytest.mark.parametrize("loss", ALL)
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 0.25, 3.0]])
def test_shares_of_four_devices_add_up(loss, weights):
  logits, labels = _batch()
  assert len({int((label == IGNORED).sum()) for label in labels}) == 4
  value, gradient = _value_and_grad(loss, logits, labels, weights)

  # The gradient of a psum is a psum: each device gets that of the sum of all shares.
  weights = None if weights is None else jnp.array(weights)
  share = functools.partial(loss, class_weights=weights, axis_name="batch")
  mapped = jax.pmap(jax.value_and_grad(share), "batch")
  values, gradients = mapped(logits[:, None], labels[:, None])
  assert float(values.sum()) == pytest.approx(float(value), rel=1e-6)
  np.testing.assert_allclose(gradients[:, 0], gradient, rtol=1e-5, atol=1e-9)


def test_unknown_loss_names_the_nearest():
  assert losses.get("dice") is losses.dice
  with pytest.raises(ValueError, match="unknown loss 'cross_entrpy': did you mean 'cross_entropy'"):
    losses.get("cross_entrpy")
