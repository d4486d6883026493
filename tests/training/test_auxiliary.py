"""Auxiliary logits: their loss counts as mmsegmentation counts it, and only in training."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_unet.losses import spec
from flax_unet.models import base
from flax_unet.models.unet import UNet
from flax_unet.models.unet_s5 import UNetS5
from flax_unet.training import state, steps

torch = pytest.importorskip("torch")

MODEL = UNetS5(3, width=4, depth=2, aux_weight=0.4, head_dropout=0.0, axis_name="batch")


def _batch(devices):
  rng = np.random.default_rng(0)
  image = rng.integers(256, size=(4, 16, 24, 3), dtype=np.uint8)
  label = rng.integers(3, size=(4, 16, 24), dtype=np.uint8)
  label[:, :5] = 255
  label[3, 7:] = 255
  return {
    name: x.reshape(devices, 4 // devices, *x.shape[1:])
    for name, x in {"image": image, "label": label}.items()
  }


@functools.cache
def _after_a_step(loss, devices=1):
  train_state = state.create(MODEL, optax.sgd(0.1), image_size=(16, 24), seed=0, ema=False)
  if devices == 1:
    train_state = jax.device_put(train_state, jax.devices()[0])
  step = steps.map_train_step(
    spec.parse(loss),
    aux_weight=MODEL.aux_weight,
    devices=jax.devices()[:devices],
  )
  after, metrics = step(train_state, _batch(devices))
  return jax.device_get((after.params, metrics["loss"]))


def test_the_loss_is_that_of_both_heads_as_in_mmsegmentation():
  variables = state.create(MODEL, optax.sgd(0.1), image_size=(16, 24), seed=0, ema=False)
  batch = {name: x[0] for name, x in _batch(1).items()}
  model = MODEL.clone(axis_name=None)
  logits, updates = model.apply(
    {"params": variables.params, "batch_stats": variables.batch_stats},
    base.normalize(batch["image"], model),
    train=True,
    mutable=["batch_stats", "auxiliary"],
  )
  (auxiliary,) = jax.tree.leaves(updates["auxiliary"])
  assert auxiliary.shape == (4, 8, 12, 3)
  label = torch.tensor(batch["label"], dtype=torch.long)

  def theirs(logits):  # resize(..., align_corners=False), then `avg_non_ignore=False`
    logits = torch.tensor(np.array(logits)).permute(0, 3, 1, 2)
    logits = torch.nn.functional.interpolate(logits, label.shape[1:], mode="bilinear")
    losses = torch.nn.functional.cross_entropy(logits, label, ignore_index=255, reduction="none")
    return losses.mean()

  expected = theirs(logits) + 0.4 * theirs(auxiliary)
  _, loss = _after_a_step("cross_entropy(over_all_pixels=True)")
  np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy(over_all_pixels=True)", "cross_entropy_dice"])
def test_four_devices_give_what_one_gives(loss):
  expected, expected_loss = _after_a_step(loss)
  params, value = _after_a_step(loss, devices=4)
  np.testing.assert_allclose(value, expected_loss, rtol=1e-5)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=2e-5), params, expected)


class _TwoOutputs(base.Network):
  """Logits and auxiliary ones at half the resolution, without batch statistics."""

  aux_weight: float = 0.4

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Conv(4, (3, 3))(images)
    if train or self.is_initializing():
      auxiliary = nn.Conv(self.num_classes, (1, 1), name="auxiliary")(
        nn.avg_pool(x, (2, 2), (2, 2))
      )
      if train:
        self.sow("auxiliary", "logits", auxiliary)
    return nn.Conv(self.num_classes, (1, 1))(x)


@pytest.mark.parametrize("loss", ["cross_entropy", "dice"])
def test_parts_give_the_gradient_of_the_whole_batch(loss):
  model, found = _TwoOutputs(3), []
  for accumulate_steps in (1, 2):
    train_state = state.create(model, optax.sgd(1.0), image_size=(16, 24), seed=0, ema=False)
    step = steps.map_train_step(
      spec.parse(loss),
      aux_weight=model.aux_weight,
      accumulate_steps=accumulate_steps,
      devices=jax.devices()[:1],
    )
    after, _ = step(jax.device_put(train_state, jax.devices()[0]), _batch(1))
    found.append(jax.device_get(after.params))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-6), *found)


def test_the_auxiliary_head_costs_nothing_outside_of_training():
  def flops(model):
    variables = base.variable_shapes(model, (16, 24))
    images = jax.ShapeDtypeStruct((1, 16, 24, 3), jnp.float32)
    run = jax.jit(functools.partial(model.apply, train=False))
    return run.lower(variables, images).compile().cost_analysis()["flops"]

  assert flops(MODEL) == flops(MODEL.clone(aux_weight=0.0))


def test_deep_supervision_adds_the_losses_of_the_coarser_levels():
  plain = UNet(3, width=2, depth=3)
  model = plain.clone(aux_weight=0.5)
  train_state = state.create(model, optax.sgd(0.1), image_size=(16, 24), seed=0, ema=False)
  batch = {name: x[0] for name, x in _batch(1).items()}
  variables = {"params": train_state.params, "batch_stats": train_state.batch_stats}
  images = base.normalize(batch["image"], model)
  logits, updates = model.apply(variables, images, train=True, mutable=["batch_stats", "auxiliary"])
  auxiliary = jax.tree.leaves(updates["auxiliary"])
  assert [x.shape[1:3] for x in auxiliary] == [(4, 6), (8, 12)]
  loss = spec.parse("cross_entropy")
  expected = loss(logits, batch["label"])
  for x in auxiliary:
    enlarged = jax.image.resize(x, logits.shape, "bilinear")
    expected += 0.5 * loss(enlarged, batch["label"])
  # Outside of training the heads change nothing.
  params = {name: x for name, x in train_state.params.items() if "auxiliary" not in name}
  np.testing.assert_array_equal(
    plain.apply({**variables, "params": params}, images, train=False),
    model.apply(variables, images, train=False),
  )
  one_device = jax.device_put(train_state, jax.devices()[0])
  step = steps.map_train_step(loss, aux_weight=0.5, devices=jax.devices()[:1])
  _, metrics = step(one_device, _batch(1))
  np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
