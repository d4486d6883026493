import functools
import math

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
import torch

from flax_unet.models.unet import UNet
from flax_unet.training import optimizer, schedules


def _config(**changes):
  config = ml_collections.ConfigDict(
    {
      "lr": 0.2,
      "wd": 0.1,
      "grad_clip_norm": None,
      "optax_name": "sgd",
      "optax": {"momentum": 0.9},
      "wd_on": "kernels",
      "lr_mult": (),
      "schedule": {"decay_type": "constant", "warmup_steps": 0, "power": 0.9, "end_lr": 0.0},
    }
  )
  with config.ignore_type():
    config.update_from_flattened_dict(changes)
  return config


def _rates(steps, total_steps, **changes):
  schedule = schedules.make(_config(**changes), total_steps)
  return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize("end_lr", [0.0, 0.05])
def test_polynomial_decay_follows_its_formula(end_lr):
  steps = np.array([0, 1, 50, 99, 100])
  got = _rates(steps, 100, **{"schedule.decay_type": "polynomial", "schedule.end_lr": end_lr})
  expected = (0.2 - end_lr) * (1 - steps / 100) ** 0.9 + end_lr
  np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("end_lr", [0.0, 0.05])
def test_cosine_decay_follows_its_formula(end_lr):
  steps = np.array([0, 25, 50, 99, 100])
  got = _rates(steps, 100, **{"schedule.decay_type": "cosine", "schedule.end_lr": end_lr})
  expected = (0.2 - end_lr) * (1 + np.cos(math.pi * steps / 100)) / 2 + end_lr
  np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


def test_cosine_restarts_by_hand():
  spec = {"schedule.decay_type": "cosine_restarts(cycles=2, longer=3)"}  # of 25 and 75 steps
  got = _rates([0, 24, 25, 62.5, 99.999], 100, **spec)
  falls = [(1 + math.cos(math.pi * share)) / 2 for share in (0, 24 / 25, 0, 1 / 2, 1)]
  np.testing.assert_allclose(got, 0.2 * np.array(falls), rtol=1e-5, atol=1e-6)


def test_steps_by_hand():
  spec = {"schedule.decay_type": "steps(at=(0.5, 80), factor=0.1)"}
  assert _rates([0, 49, 51, 79, 81], 100, **spec) == pytest.approx([0.2, 0.2, 0.02, 0.02, 0.002])


def test_one_cycle_equals_torch():
  peer_parameter = torch.nn.Parameter(torch.zeros(()))
  peer_optimizer = torch.optim.SGD([peer_parameter], lr=0.2)
  peer = torch.optim.lr_scheduler.OneCycleLR(peer_optimizer, 0.2, total_steps=101)
  expected = []
  for _ in range(100):
    expected.append(peer.get_last_lr()[0])
    peer_optimizer.step()
    peer.step()
  got = _rates(range(100), 100, **{"schedule.decay_type": "one_cycle"})
  np.testing.assert_allclose(got, expected, atol=0.006)  # torch's peak is one step earlier


@pytest.mark.parametrize(
  "name",
  [
    "adabelief",
    "adafactor",
    "adagrad",
    "adam",
    "lamb",
    "lars",
    "lion",
    "nadamw",
    "novograd",
    "radam",
  ],
)
def test_optimizers_of_optax_take_a_step(name):
  params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
  tx = optimizer.make(_config(optax_name=name, optax={}), 10)
  with jax.numpy_rank_promotion("allow"):  # because some of them need it
    updates, _ = tx.update(jax.tree.map(jnp.cos, params), tx.init(params), params)
  assert all(np.abs(leaf).min() > 0 for leaf in jax.tree.leaves(updates))


def test_building_blocks_are_no_optimizers():
  known = optimizer.optimizers()
  assert {"adamw", "sgd", "rprop", "lion"} <= known.keys()
  assert not [name for name in known if name.startswith(("_", "scale_by_"))]


def test_rates_by_parameter_and_freezing():
  mult = (("b/.*", 0.0), (".*/kernel", 0.1))
  params = {key: {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)} for key in "abc"}
  gradient = jax.tree.map(jnp.cos, params)
  gradient["b"]["bias"] = jnp.full(3, jnp.nan)  # frozen, so it does not matter
  steps = {}
  for name, changes in (("plain", {}), ("mult", {"lr_mult": mult})):
    tx = optimizer.make(_config(optax_name="adamw", optax={}, **changes), 10)
    steps[name], _ = tx.update(gradient, tx.init(params), params)
  np.testing.assert_allclose(steps["mult"]["a"]["kernel"], 0.1 * steps["plain"]["a"]["kernel"])
  np.testing.assert_array_equal(steps["mult"]["a"]["bias"], steps["plain"]["a"]["bias"])
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(steps["mult"]["b"]))
  with pytest.raises(
    ValueError, match=r"'d.*' matches no parameter; there are a/bias, .., c/kernel"
  ):
    optimizer.Multipliers((("d.*", 0.0),)).check(params)


def test_frozen_parameters_do_not_count_in_the_norm():
  changes = {"grad_clip_norm": 1.0, "wd": 0.0, "lr_mult": (("bias", 0.0),)}
  tx = optimizer.make(_config(optax={}, **changes), 10)
  params = {"kernel": jnp.zeros((1, 1)), "bias": jnp.zeros(1)}
  gradient = {"kernel": jnp.array([[0.5]]), "bias": jnp.array([400.0])}
  updates, _ = tx.update(gradient, tx.init(params), params)
  np.testing.assert_allclose(updates["kernel"], [[-0.2 * 0.5]], rtol=1e-6)


def test_weight_decay_may_act_on_all():
  params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
  for name in ("sgd", "adamw", "rmsprop"):
    tx = optimizer.make(_config(optax_name=name, optax={}, wd_on="all"), 10)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    assert (updates["bias"] < 0).all(), name


def test_constant_rate_stays():
  assert _rates([0, 50, 99], 100) == pytest.approx([0.2, 0.2, 0.2])


@pytest.mark.parametrize("decay_type", ["constant", "polynomial", "cosine"])
def test_warm_up_is_linear_and_shifts_the_decay(decay_type):
  changes = {"schedule.decay_type": decay_type}
  warm = {**changes, "schedule.warmup_steps": 10}
  assert _rates([0, 1, 5, 9], 110, **warm) == pytest.approx([0, 0.02, 0.1, 0.18])
  steps = np.array([0, 40, 99])
  assert _rates(steps + 10, 110, **warm) == pytest.approx(_rates(steps, 100, **changes))


def test_only_kernels_decay():
  model = UNet(num_classes=2, width=2, depth=1)
  init = functools.partial(model.init, train=False)
  variables = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
  mask = jax.tree.leaves_with_path(optimizer.decayed(variables["params"]))
  assert {(path[-1].key, is_decayed) for path, is_decayed in mask} == {
    ("kernel", True),
    ("bias", False),
    ("scale", False),
  }


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_without_gradient_kernels_shrink_and_biases_stay(name):
  tx = optimizer.make(_config(optax_name=name, optax={}), 10)
  params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
  updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
  params = optax.apply_updates(params, updates)
  np.testing.assert_allclose(params["kernel"], 1 - 0.2 * 0.1, rtol=1e-6)
  np.testing.assert_array_equal(params["bias"], 1)


@pytest.mark.parametrize("clip", [None, 1.5])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_three_steps_equal_torch(name, clip):
  rng = np.random.default_rng(0)
  start = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
  gradients = [{key: rng.normal(size=x.shape) for key, x in start.items()} for _ in range(3)]

  arguments = {"sgd": {"momentum": 0.9}, "adamw": {"b1": 0.8, "b2": 0.99}}[name]
  config = _config(optax_name=name, optax=arguments, grad_clip_norm=clip)
  tx = optimizer.make(config, 10)
  params = jax.tree.map(jnp.float32, start)
  state = tx.init(params)
  for gradient in gradients:
    updates, state = tx.update(jax.tree.map(jnp.float32, gradient), state, params)
    params = optax.apply_updates(params, updates)

  peers = {key: torch.nn.Parameter(torch.tensor(x)) for key, x in start.items()}
  groups = [
    {"params": [peers["kernel"]], "weight_decay": 0.1},
    {"params": [peers["bias"]], "weight_decay": 0.0},
  ]
  if name == "sgd":
    peer = torch.optim.SGD(groups, lr=0.2, momentum=0.9)
  else:
    peer = torch.optim.AdamW(groups, lr=0.2, betas=(0.8, 0.99))
  for gradient in gradients:
    for key, parameter in peers.items():
      parameter.grad = torch.tensor(gradient[key])
    if clip is not None:
      torch.nn.utils.clip_grad_norm_(peers.values(), clip)
    peer.step()

  for key, parameter in peers.items():
    np.testing.assert_allclose(params[key], parameter.detach(), rtol=2e-6, atol=2e-6)


def test_clipping_is_by_the_norm_over_all_parameters():
  config = _config(optax={}, grad_clip_norm=1.0, wd=0.0)
  tx = optimizer.make(config, 10)
  params = {"kernel": jnp.zeros((1, 1)), "bias": jnp.zeros(1)}
  gradient = {"kernel": jnp.array([[3.0]]), "bias": jnp.array([4.0])}  # norm 5
  updates, _ = tx.update(gradient, tx.init(params), params)
  np.testing.assert_allclose(updates["kernel"], [[-0.2 * 3 / 5]], rtol=1e-6)
  np.testing.assert_allclose(updates["bias"], [-0.2 * 4 / 5], rtol=1e-6)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"optax_name": "adamx"}, "config.optax_name 'adamx': did you mean 'adamax'"),
    ({"optax_name": "lbfgs"}, "unknown optimizer in config.optax_name 'lbfgs'"),
    ({"optax": {"b1": 0.9}}, "unknown argument of 'sgd' in config.optax 'b1'"),
    ({"wd_on": "none"}, "unknown choice in config.wd_on 'none': choose from all, kernels"),
    ({"lr_mult": (("a",),)}, "config.lr_mult = .*: give patterns and factors, such as"),
    ({"lr_mult": (("(", 1.0),)}, r"config.lr_mult: '\(' is not a valid pattern"),
    ({"lr_mult": (("a", -1.0),)}, "config.lr_mult: the factor -1.0 must be at least 0"),
    ({"schedule.decay_type": "steps(fctor=1)"}, "argument of 'steps' in .*'fctor': did you mean"),
    ({"schedule.decay_type": "steps("}, r"config.schedule.decay_type = 'steps\(': give a name"),
    (
      {"schedule.decay_type": "one_cycle", "schedule.warmup_steps": 2},
      "warmup_steps = 2 with a decay of one_cycle, which has its own warm-up: use 0",
    ),
    ({"schedule.decay_type": "poly"}, "config.schedule.decay_type 'poly'"),
    ({"schedule.warmup_steps": -1}, "warmup_steps = -1: it must be at least 0"),
    ({"lr": 0.0}, "config.lr = 0.0"),
  ],
)
def test_bad_settings_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    optimizer.make(_config(**changes), 10)


def test_a_warm_up_as_long_as_the_run_is_shortened():
  lengths = [schedules.warmup_length(50, steps) for steps in (20, 50, 51, 1500)]
  assert lengths == [0, 1, 50, 50]
