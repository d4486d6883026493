import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.test_util import check_grads

from flax_unet.errors import UserError
from flax_unet.losses import base, spec
from flax_unet.losses.lovasz import Lovasz
from flax_unet.losses.ohem import OHEM
from flax_unet.losses.overlap import Dice, Tversky
from flax_unet.losses.pixelwise import CrossEntropy, Focal

IGNORED = 255
WEIGHTS = (0.5, 2.0, 1.0, 0.0, 3.0)
ALL = [
  "cross_entropy",
  "cross_entropy(label_smoothing=0.1)",
  "focal(gamma=1.5)",
  "dice",
  "tversky",
  "lovasz",
  "cross_entropy + 0.5 * dice",
]


def _batch(num_classes=5, shape=(4, 6, 8), ignored=0.3):
  """Logits and labels; later images have more ignored pixels, the last image only such."""
  rng = np.random.default_rng(0)
  logits = rng.normal(scale=3, size=(*shape, num_classes)).astype(np.float32)
  labels = rng.integers(0, num_classes, shape).astype(np.uint8)
  share = np.linspace(0, 2 * ignored, shape[0]).reshape(-1, 1, 1)
  labels[rng.random(shape) < share] = IGNORED
  labels[-1] = IGNORED
  return logits, labels


def _value_and_grad(loss, logits, labels, weights=None):
  return jax.jit(jax.value_and_grad(lambda x: loss(x, labels, weights)))(logits)


def _probabilities(rows):
  """Logits `[1, 1, pixels, classes]` of pixels with these class probabilities."""
  return jnp.log(jnp.array(rows, jnp.float32))[None, None]


def _assert_equals_torch(loss, peer, batch):
  """Value and gradient; `peer` is a function of logits `[batch, classes, height, width]`."""
  logits, labels = batch
  value, gradient = _value_and_grad(loss, logits, labels)
  inputs = torch.tensor(logits).permute(0, 3, 1, 2).requires_grad_()
  expected = peer(inputs, torch.tensor(labels).long())
  expected.backward()
  assert float(value) == pytest.approx(expected.item(), rel=1e-5)
  np.testing.assert_allclose(gradient, inputs.grad.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_torch(weights, smoothing):
  peer = torch.nn.CrossEntropyLoss(
    None if weights is None else torch.tensor(weights),
    ignore_index=IGNORED,
    label_smoothing=smoothing,
  )
  _assert_equals_torch(CrossEntropy(weights, smoothing), peer, _batch())


def test_cross_entropy_over_all_pixels_by_hand():
  logits = _probabilities([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
  labels = jnp.array([[[0, 1, IGNORED]]], jnp.uint8)
  mean = (math.log(2) - math.log(0.8)) / 3  # the ignored pixel counts in the divisor
  assert float(CrossEntropy(over_all_pixels=True)(logits, labels)) == pytest.approx(mean)


def test_cross_entropy_by_hand():
  logits = _probabilities([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
  labels = jnp.array([[[0, 1, IGNORED]]], jnp.uint8)
  mean = (math.log(2) - math.log(0.8)) / 2
  assert float(CrossEntropy()(logits, labels)) == pytest.approx(mean)
  weighted = (3 * math.log(2) - math.log(0.8)) / 4
  assert float(CrossEntropy((3.0, 1.0, 7.0))(logits, labels)) == pytest.approx(weighted)
  # The same per pixel.
  weights = jnp.array([[[3.0, 1.0, 7.0]]])
  assert float(CrossEntropy()(logits, labels, weights)) == pytest.approx(weighted)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_equals_its_formula_in_torch(weights):
  def peer(logits, labels):
    valid = labels != IGNORED
    log_p = torch.log_softmax(logits, 1).gather(1, torch.where(valid, labels, 0)[:, None])[:, 0]
    of_class = torch.ones(5) if weights is None else torch.tensor(weights)
    w = of_class[torch.where(valid, labels, 0)] * valid
    return (w * (1 - log_p.exp()) ** 1.5 * -log_p).sum() / w.sum()

  _assert_equals_torch(Focal(1.5, weights), peer, _batch())


def test_focal_by_hand():
  logits = _probabilities([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
  labels = jnp.array([[[0, 1]]], jnp.uint8)
  expected = (0.5**2 * math.log(2) - 0.2**2 * math.log(0.8)) / 2
  assert float(Focal()(logits, labels)) == pytest.approx(expected, rel=1e-5)
  _, flat = _value_and_grad(Focal(0.0), logits, labels)
  np.testing.assert_allclose(flat, _value_and_grad(CrossEntropy(), logits, labels)[1], atol=1e-7)


def _mmsegmentation_ohem(logits, labels, threshold, min_kept, weights):
  """`OHEMPixelSampler.sample` and the loss of mmsegmentation 1.2.2, which divides by all pixels."""
  valid = labels != IGNORED
  classes = torch.where(valid, labels, 0)
  probability = torch.softmax(logits.detach(), 1).gather(1, classes[:, None])[:, 0][valid]
  ordered = probability.sort()[0]
  kept = min_kept * len(labels)
  smallest = ordered[min(kept, ordered.numel() - 1)] if ordered.numel() else 0.0
  chosen = torch.zeros(labels.shape)
  chosen[valid] = (probability < max(float(smallest), threshold)).float()
  losses = torch.nn.functional.cross_entropy(
    logits,
    labels,
    None if weights is None else torch.tensor(weights),
    ignore_index=IGNORED,
    reduction="none",
  )
  return (losses * chosen).mean()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(("threshold", "min_kept"), [(0.7, 0), (0.01, 10), (0.3, 1000)])
def test_ohem_equals_mmsegmentation(threshold, min_kept, weights):
  def peer(logits, labels):
    return _mmsegmentation_ohem(logits, labels, threshold, min_kept, weights)

  _assert_equals_torch(OHEM(threshold, min_kept, weights), peer, _batch())


def test_ohem_of_nothing_is_zero():
  logits, labels = _batch(num_classes=3)
  value, gradient = _value_and_grad(OHEM(), logits, np.full_like(labels, IGNORED))
  assert float(value) == 0
  assert not np.asarray(gradient).any()


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_is_finite_where_the_class_is_certain(gamma):
  logits = jnp.array([[[[200.0, 0.0], [0.0, 200.0]]]])
  value, gradient = _value_and_grad(Focal(gamma), logits, jnp.zeros((1, 1, 2), jnp.uint8))
  assert np.isfinite(value)
  assert np.isfinite(gradient).all()


def test_overlap_by_hand():
  # Class 2 is predicted but never true, so it is omitted; the last pixel is ignored.
  logits = _probabilities([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
  labels = jnp.array([[[0, 1, IGNORED]]], jnp.uint8)
  first, second = 2 * 0.5 / (0.6 + 1), 2 * 0.8 / (1.05 + 1)
  assert float(Dice()(logits, labels)) == pytest.approx(1 - (first + second) / 2)
  weighted = Dice((3.0, 1.0, 7.0))
  assert float(weighted(logits, labels)) == pytest.approx(1 - (3 * first + second) / 4)
  first = 0.5 / (0.5 + 0.3 * 0.1 + 0.7 * 0.5)
  second = 0.8 / (0.8 + 0.3 * 0.25 + 0.7 * 0.2)
  assert float(Tversky()(logits, labels)) == pytest.approx(1 - (first + second) / 2)


def _berman(logits, labels):
  """A reimplementation of the authors' `lovasz_softmax(per_image=True, classes="present")`."""
  losses = []
  for scores, label in zip(torch.softmax(logits, 1), labels, strict=True):
    valid = label != IGNORED
    scores, label = scores[:, valid], label[valid]
    of_classes = []
    for index in label.unique():
      true = (label == index).float()
      errors, order = (true - scores[index]).abs().sort(descending=True)
      sorted_true = true[order]
      intersection = sorted_true.sum() - sorted_true.cumsum(0)
      union = sorted_true.sum() + (1 - sorted_true).cumsum(0)
      jaccard = 1 - intersection / union
      jaccard[1:] = jaccard[1:] - jaccard[:-1].clone()
      of_classes.append(errors @ jaccard)
    if of_classes:
      losses.append(torch.stack(of_classes).mean())
  return torch.stack(losses).mean()


def test_lovasz_equals_the_authors_code():
  _assert_equals_torch(Lovasz(), _berman, _batch())


def test_lovasz_by_hand():
  # Two pixels of class 0 with p = 0.9 and 0.4, one of class 1 with p = 0.7. The errors of class 0
  # are 0.6, 0.3 (of the other pixel) and 0.1; by them the Jaccard losses rise to 1/2, 2/3 and 1.
  logits = _probabilities([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
  labels = jnp.array([[[0, 0, 1]]], jnp.uint8)
  of_0 = 0.6 * 1 / 2 + 0.3 * (2 / 3 - 1 / 2) + 0.1 * (1 - 2 / 3)
  of_1 = 0.6 * 1 / 2 + 0.3 * (1 - 1 / 2)  # the error at its only pixel removes all overlap
  assert float(Lovasz()(logits, labels)) == pytest.approx((of_0 + of_1) / 2, rel=1e-5)


def test_gradient_of_dice_equals_differences():
  logits, labels = _batch(num_classes=3, shape=(2, 2, 3))
  dice = jax.jit(lambda x: Dice()(x, labels))
  with jax.enable_x64(True):
    check_grads(dice, (jnp.array(logits, jnp.float64),), order=1, modes=["rev"])


@pytest.mark.parametrize("text", ALL)
def test_ignored_pixels_have_no_influence(text):
  logits, labels = _batch()
  value, gradient = _value_and_grad(spec.parse(text), logits, labels)
  assert not np.asarray(gradient)[labels == IGNORED].any()
  assert np.asarray(gradient)[labels != IGNORED].any(-1).mean() > 0.9
  shaken = np.where((labels == IGNORED)[..., None], 50.0, logits).astype(np.float32)
  assert float(_value_and_grad(spec.parse(text), shaken, labels)[0]) == float(value)


@pytest.mark.parametrize("text", ALL)
def test_a_pixel_of_weight_2_counts_as_two(text):
  logits, labels = _batch(ignored=0)
  logits, labels = logits[:3], labels[:3]
  weights = np.tile([1.0, 2.0], (3, 6, 4)).astype(np.float32)
  doubled = np.tile([1, 2], 4)
  value, _ = _value_and_grad(spec.parse(text), logits, labels, weights)
  expected = spec.parse(text)(logits.repeat(doubled, axis=2), labels.repeat(doubled, axis=2))
  assert float(value) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("text", ALL)
def test_nothing_to_learn_from_is_zero(text):
  logits, labels = _batch(num_classes=3)
  value, gradient = _value_and_grad(spec.parse(text), logits, np.full_like(labels, IGNORED))
  assert float(value) == 0
  assert not np.asarray(gradient).any()


def test_specs():
  assert spec.parse("dice") == Dice()
  assert spec.parse("dice", (1.0, 2.0)) == Dice((1.0, 2.0))
  assert spec.parse("cross_entropy(class_weights=(3, 1))", (1.0, 2.0)) == CrossEntropy((3, 1))
  parsed = spec.parse("0.5*focal(gamma=1) + flax_unet.losses.overlap.Tversky(alpha=0.2, beta=0.8)")
  assert parsed == base.WeightedSum(((0.5, Focal(1)), (1.0, Tversky(0.2, 0.8))))
  assert spec.parse("cross_entropy_dice") == spec.parse("cross_entropy + dice")
  logits, labels = _batch()
  got = spec.parse("cross_entropy + 0.5 * dice")(logits, labels)
  expected = CrossEntropy()(logits, labels) + 0.5 * Dice()(logits, labels)
  assert float(got) == pytest.approx(float(expected))


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("cross_entrpy", "unknown loss in config.loss 'cross_entrpy': did you mean 'cross_entropy'"),
    ("focal(gama=2)", "unknown argument of 'focal' in config.loss 'gama': did you mean 'gamma'"),
    ("focal(gamma=-1)", "config.loss: focal: gamma = -1: it must be at least 0"),
    ("cross_entropy(label_smoothing=1.5)", r"label_smoothing = 1.5: it must be in \[0, 1\)"),
    ("focal(2.0)", r"config.loss = 'focal\(2.0\)': give a loss or a sum of several"),
    ("dice +", r"config.loss = 'dice \+': give a loss"),
    ("dice - focal", "config.loss = 'dice - focal': give a loss"),
    ("json.dumps", "'json.dumps' is not a loss"),
    ("nowhere.Loss", "nowhere cannot be imported"),
  ],
)
def test_what_is_no_loss_is_refused(text, message):
  with pytest.raises(UserError, match=message):
    spec.parse(text)


@dataclasses.dataclass(frozen=True)
class Unfinished(base.Loss):
  """A loss without a value."""

  def sums(self, logits, labels, weights):
    return logits.sum()


def test_a_loss_without_all_of_its_parts_is_refused():
  with pytest.raises(UserError, match=r"config.loss: .*Unfinished: .*abstract.*value"):
    spec.parse("tests.test_losses.Unfinished")
