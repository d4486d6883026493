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
from flax_unet.training import optimizer


def _config(**changes):
  config = ml_collections.ConfigDict(
    {
      "lr": 0.2,
      "wd": 0.1,
      "grad_clip_norm": None,
      "optax_name": "sgd",
      "optax": {"momentum": 0.9},
      "schedule": {"decay_type": "constant", "warmup_steps": 0, "power": 0.9, "end_lr": 0.0},
    }
  )
  with config.ignore_type():
    config.update_from_flattened_dict(changes)
  return config


def _rates(steps, total_steps, **changes):
  schedule = optimizer.make_schedule(_config(**changes), total_steps)
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
  tx = optimizer.make_optimizer(_config(optax_name=name, optax={}), 10)
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
  tx = optimizer.make_optimizer(config, 10)
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
  tx = optimizer.make_optimizer(config, 10)
  params = {"kernel": jnp.zeros((1, 1)), "bias": jnp.zeros(1)}
  gradient = {"kernel": jnp.array([[3.0]]), "bias": jnp.array([4.0])}  # norm 5
  updates, _ = tx.update(gradient, tx.init(params), params)
  np.testing.assert_allclose(updates["kernel"], [[-0.2 * 3 / 5]], rtol=1e-6)
  np.testing.assert_allclose(updates["bias"], [-0.2 * 4 / 5], rtol=1e-6)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"optax_name": "adam"}, "config.optax_name 'adam': did you mean 'adamw'"),
    ({"optax": {"b1": 0.9}}, r"config.optax: .*'b1'.*optax_name = 'sgd'"),
    ({"schedule.decay_type": "poly"}, "config.schedule.decay_type 'poly'"),
    ({"schedule.warmup_steps": 10}, "warmup_steps = 10: .* 10 steps"),
    ({"schedule.warmup_steps": -1}, "warmup_steps = -1:"),
    ({"lr": 0.0}, "config.lr = 0.0"),
  ],
)
def test_bad_settings_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    optimizer.make_optimizer(_config(**changes), 10)
