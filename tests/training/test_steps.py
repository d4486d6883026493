import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_unet.losses import spec
from flax_unet.losses.base import Loss
from flax_unet.losses.ohem import OHEM
from flax_unet.losses.pixelwise import CrossEntropy
from flax_unet.models import base
from flax_unet.models.unet import UNet
from flax_unet.training import optimizer, state, steps

EMA_DECAY = 0.15
RGB = base.Network(num_classes=1)  # with the usual mean and deviation


# One of each, because every new model or optimizer compiles a new step.
MODELS = {
  dtype: UNet(num_classes=3, width=4, depth=1, dtype=dtype, axis_name="batch")
  for dtype in (jnp.float32, jnp.bfloat16)
}
TX = optax.sgd(0.1, momentum=0.9)


def _unet_state(devices=1, dtype=jnp.float32):
  train_state = state.create(MODELS[dtype], TX, image_size=(8, 8), seed=0, ema=True)
  return train_state if devices == 4 else jax.device_put(train_state, jax.devices()[0])


@functools.cache
def _unet_step(devices=1):
  loss = spec.parse("cross_entropy_dice")
  return steps.map_train_step(loss, ema_decay=EMA_DECAY, devices=jax.devices()[:devices])


@dataclasses.dataclass(frozen=True)
class Total(Loss):
  """The sum of all logits, times a factor; optionally not finite if a label is 7."""

  factor: float = 1.0
  bad: float = 1.0

  def sums(self, logits, labels, weights):
    return self.factor * logits.sum() * jnp.where((labels == 7).any(), self.bad, 1.0)

  def value(self, sums):
    return sums


def _state_of(apply_fn, params, tx, seed=0):
  """A state whose model is the plain function `apply_fn`."""
  return state.TrainState.create(
    apply_fn=lambda variables, images, **options: apply_fn(
      variables, base.normalize(images, RGB), **options
    ),
    params=params,
    tx=tx,
    batch_stats={},
    ema_params=None,
    ema_batch_stats=None,
    key_data=jax.random.key_data(jax.random.key(seed)),
  )


def _batches(num=1, devices=1):
  """Global batches split over devices, with different numbers of ignored pixels."""
  rng = np.random.default_rng(0)
  for _ in range(num):
    image = rng.integers(0, 256, (8, 8, 8, 3), np.uint8)
    label = (image.sum(-1) // 256).astype(np.uint8)  # something to learn: dark, medium and bright
    share = np.linspace(0, 0.9, 8).reshape(-1, 1, 1)
    label[rng.random(label.shape) < share] = 255
    yield {
      key: x.reshape(devices, 8 // devices, *x.shape[1:])
      for key, x in {"image": image, "label": label}.items()
    }


def _trees(state):
  return {"params": state.params, "stats": state.batch_stats, "optimizer": state.opt_state}


def _assert_close(got, expected, tolerance):
  """Asserts that no leaf differs by more than `tolerance` of its norm."""

  def check(path, got, expected):
    difference = np.linalg.norm(np.asarray(got) - np.asarray(expected))
    assert difference <= tolerance * np.linalg.norm(expected), jax.tree_util.keystr(path)

  jax.tree.map_with_path(check, got, expected)


def test_four_devices_give_what_one_gives():
  one, four = _unet_state(), _unet_state(devices=4)
  for batch, split in zip(_batches(3), _batches(3, devices=4), strict=True):
    one, metrics = _unet_step()(one, batch)
    four, split_metrics = _unet_step(devices=4)(four, split)
    _assert_close(split_metrics, metrics, 1e-5)
  assert int(one.step) == int(four.step) == 3
  _assert_close(_trees(four), _trees(one), 1e-5)
  assert one.batch_stats["encoder_0"]["norm_1"]["mean"].any()


def test_all_devices_hold_the_same():
  # With `out_axes=None`, an output that was not reduced would differ silently between devices.
  outputs = _unet_state(devices=4), None
  for batch in _batches(3, devices=4):
    outputs = _unet_step(devices=4)(outputs[0], batch)
  outputs = _trees(outputs[0]), outputs[0].ema_params, outputs[0].ema_batch_stats, outputs[1]
  for path, leaf in jax.tree.leaves_with_path(outputs):
    shards = [np.asarray(shard.data) for shard in leaf.addressable_shards]
    assert len(shards) == 4
    for shard in shards:
      np.testing.assert_array_equal(shard, shards[0], err_msg=jax.tree_util.keystr(path))


def test_moving_average_follows_its_formula():
  train_state = _unet_state()
  expected = jax.tree.map(np.array, (train_state.params, train_state.batch_stats))
  # The decay is smaller at first: 1/10 in the first step; 2/11 and 3/12 would exceed the decay.
  for decay, batch in zip((1 / 10, EMA_DECAY, EMA_DECAY), _batches(3), strict=True):
    train_state, _ = _unet_step()(train_state, batch)
    expected = jax.tree.map(
      lambda average, x, decay=decay: decay * average + (1 - decay) * np.asarray(x),
      expected,
      (train_state.params, train_state.batch_stats),
    )
  _assert_close((train_state.ema_params, train_state.ema_batch_stats), expected, 1e-6)


def test_bfloat16_computes_narrow_and_keeps_float32():
  (batch,) = _batches()
  _, exact = _unet_step()(_unet_state(), batch)
  train_state, metrics = _unet_step()(_unet_state(dtype=jnp.bfloat16), batch)
  difference = abs(float(metrics["loss"]) / float(exact["loss"]) - 1)
  assert 1e-6 < difference < 0.02
  leaves = jax.tree.leaves((_trees(train_state), metrics))
  assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}


def test_learns_one_batch_by_heart():
  (batch,) = _batches()
  train_state, history = _unet_state(), []
  for _ in range(60):
    train_state, metrics = _unet_step()(train_state, batch)
    history.append(float(metrics["loss"]))
  assert history[0] > 1.0
  assert history[-1] < 0.2 * history[0]


def _step_with_dropout(devices, accumulate_steps=1, seed=0, num=2):
  """The parameters after some steps of a network without BatchNorm, with a dropout of one half."""
  model = UNet(num_classes=3, width=4, depth=1, norm="none", dropout=0.5, axis_name="batch")
  step = steps.map_train_step(
    CrossEntropy(), devices=jax.devices()[:devices], accumulate_steps=accumulate_steps
  )
  train_state = state.create(model, TX, image_size=(8, 8), seed=0, ema=False)
  train_state = train_state.replace(key_data=jax.random.key_data(jax.random.key(seed)))
  if devices == 1:
    train_state = jax.device_put(train_state, jax.devices()[0])
  for batch in _batches(num, devices=devices):
    train_state, _ = step(train_state, batch)
  return jax.device_get(train_state.params)


@pytest.mark.parametrize(("devices", "accumulate_steps"), [(4, 1), (1, 2)])
def test_devices_and_parts_drop_what_one_device_drops(devices, accumulate_steps):
  expected = _step_with_dropout(1)
  _assert_close(_step_with_dropout(devices, accumulate_steps), expected, 1e-5)
  other = _step_with_dropout(1, seed=1)["logits"]["kernel"]
  assert np.abs(other - expected["logits"]["kernel"]).max() > 1e-3


def test_the_mask_follows_from_step_and_place():
  # Each image has one parameter, whose gradient is the place that the network received.
  def tell(variables, images, *, rngs, **kwargs):
    places = variables["batch"]["places"]
    drawn = jax.random.uniform(rngs["dropout"])
    return (variables["params"]["w"][places] * (places + drawn)).reshape(-1, 1, 1, 1), {}

  train_step = steps.map_train_step(Total())
  train_state = _state_of(tell, {"w": jnp.zeros(8)}, optax.sgd(1.0))
  for step, batch in enumerate(_batches(2, devices=4)):
    before = np.array(train_state.params["w"])
    train_state, _ = train_step(train_state, batch)
    drawn = float(jax.random.uniform(jax.random.fold_in(jax.random.key(0), step)))
    np.testing.assert_allclose(before - train_state.params["w"], np.arange(8) + drawn, rtol=1e-6)


@pytest.mark.parametrize("num_processes", [1, 2])
def test_places_are_those_in_the_global_batch(num_processes):
  def places(_):
    return steps._places(2, num_processes, "batch")

  found = jax.pmap(places, axis_name="batch")(np.zeros(4))
  # As in the pipeline: images go to the processes in turn, and each share to the devices.
  shares = [np.arange(8)[process::num_processes] for process in range(num_processes)]
  np.testing.assert_array_equal(found, np.concatenate(shares).reshape(4, 2))


def test_in_float64_two_devices_give_the_gradient_of_one():
  with jax.enable_x64(True):
    model = UNet(num_classes=3, width=4, depth=1, dtype=jnp.float64, axis_name="batch")
    after = []
    for devices in (1, 2):
      created = state.create(model, optax.sgd(1.0), image_size=(8, 8), seed=0, ema=False)
      wide = jax.tree.map(lambda x: np.asarray(x, np.float64), created.params)
      train_state = _state_of(model.apply, wide, optax.sgd(1.0))
      stats = jax.tree.map(lambda x: np.asarray(x, np.float64), created.batch_stats)
      train_state = train_state.replace(batch_stats=stats)
      step = steps.map_train_step(CrossEntropy(), devices=jax.devices()[:devices])
      (batch,) = _batches(devices=devices)
      train_state, _ = step(train_state, batch)
      after.append(jax.tree.map(lambda x, y: np.asarray(x) - y, train_state.params, wide))
    _assert_close(after[1], after[0], 3e-14)
    assert jax.tree.leaves(after[0])[0].dtype == np.float64


def test_grad_norm_is_that_before_clipping():
  def linear(variables, images, **kwargs):
    return (variables["params"]["w"] * jnp.array([3.0, 4.0])).reshape(1, 1, 1, 2), {}

  tx = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))
  train_step = steps.map_train_step(Total(1 / 4))
  (batch,) = _batches(devices=4)
  after, metrics = train_step(_state_of(linear, {"w": jnp.zeros(2)}, tx), batch)
  assert float(metrics["grad_norm"]) == pytest.approx(5)
  np.testing.assert_allclose(after.params["w"], [-0.6, -0.8], rtol=1e-6)


def test_unpadded_network_learns_from_the_middle():
  def middle(variables, images, **kwargs):
    return images[:, 2:6, 2:6] * variables["params"]["w"], {}

  train_step = steps.map_train_step(CrossEntropy(), devices=jax.devices()[:1])
  (batch,) = _batches()
  expected = CrossEntropy()(
    jnp.zeros((8, 4, 4, 3)) + base.normalize(batch["image"][0, :, 2:6, 2:6], RGB),
    batch["label"][0, :, 2:6, 2:6],
  )
  train_state = _state_of(middle, {"w": jnp.ones(())}, optax.sgd(1.0))
  _, metrics = train_step(train_state, batch)
  assert float(metrics["loss"]) == pytest.approx(float(expected))


def _pixelwise(variables, images, **kwargs):
  return images @ variables["params"]["w"], {}


def _after_a_step(loss, devices, accumulate_steps=1, weights=None):
  """Parameters and metrics after a step in which later images have more ignored pixels."""
  train_step = steps.map_train_step(
    loss, devices=jax.devices()[:devices], accumulate_steps=accumulate_steps
  )
  (batch,) = _batches(devices=devices)
  if weights is not None:
    batch["weights"] = weights.reshape(batch["label"].shape)
  train_state = _state_of(_pixelwise, {"w": jnp.eye(3)}, optax.sgd(1.0))
  train_state, metrics = train_step(train_state, batch)
  return jax.device_get((train_state.params, metrics))


@pytest.mark.parametrize(
  "loss",
  [
    "cross_entropy",
    "cross_entropy(class_weights=(0.5, 1.0, 3.0))",
    "cross_entropy(label_smoothing=0.2) + 0.5 * dice(class_weights=(0.5, 1.0, 3.0))",
    "tversky",
    "focal",
    "lovasz",
  ],
)
def test_devices_and_parts_give_the_gradient_of_the_whole(loss):
  loss = spec.parse(loss)
  expected = _after_a_step(loss, 1)
  assert expected[1]["grad_norm"] > 0.01
  for devices, parts in ((4, 1), (1, 2), (4, 2)):
    _assert_close(_after_a_step(loss, devices, parts), expected, 2e-6)


def test_a_loss_may_gather_the_whole_batch():
  loss = OHEM(threshold=0.3, min_kept=5)
  expected = _after_a_step(loss, 1)
  assert abs(expected[1]["loss"] - _after_a_step(CrossEntropy(), 1)[1]["loss"]) > 0.1
  _assert_close(_after_a_step(loss, 4), expected, 1e-6)


def test_what_is_frozen_stays_to_the_bit():
  frozen = optimizer.Multipliers((("encoder_0/.*", 0.0), ("bottleneck/.*", 0.1)))
  tx = optax.chain(frozen.zero_frozen(), TX, frozen.scale())
  train_state = state.create(MODELS[jnp.float32], tx, image_size=(8, 8), seed=0, ema=False)
  before = jax.device_get(_trees(train_state))
  train_step = steps.map_train_step(CrossEntropy(), keep_frozen=frozen.keep_frozen)
  for batch in _batches(2, devices=4):
    train_state, _ = train_step(train_state, batch)
  same = jax.tree.map(
    lambda x, y: bool((x == y).all()), before, jax.device_get(_trees(train_state))
  )
  found = {}
  for path, equal in jax.tree.leaves_with_path(same):
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    if name.startswith(("params", "stats")):
      found.setdefault("encoder_0" in name, set()).add(equal)
  assert found == {True: {True}, False: {False}}


def test_pixels_may_have_weights():
  weights = np.random.default_rng(0).uniform(0, 2, (8, 8, 8)).astype(np.float32)
  expected = _after_a_step(CrossEntropy(), 1, weights=weights)
  assert abs(expected[1]["loss"] - _after_a_step(CrossEntropy(), 1)[1]["loss"]) > 1e-4
  _assert_close(_after_a_step(CrossEntropy(), 4, 2, weights), expected, 1e-6)


@pytest.mark.parametrize("skip_nonfinite", [False, True])
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_step_that_is_not_finite_changes_nothing_if_it_is_to_be_skipped(bad, skip_nonfinite):
  def linear(variables, images, **kwargs):
    return variables["params"]["w"].reshape(1, 1, 1, 1) * images.mean(), {}

  train_step = steps.map_train_step(Total(bad=bad), skip_nonfinite=skip_nonfinite)
  (batch,) = _batches(devices=4)
  train_state, _ = train_step(_state_of(linear, {"w": jnp.ones(1)}, TX), batch)
  before = jax.tree.map(np.array, _trees(train_state))
  batch["label"][2] = 7  # on one device
  train_state, metrics = train_step(train_state, batch)
  assert not np.isfinite(metrics["loss"])
  assert int(train_state.step) == 2
  unchanged = jax.tree.map(lambda x, y: bool((x == y).all()), before, _trees(train_state))
  assert all(jax.tree.leaves(unchanged)) == skip_nonfinite
