import hashlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_unet.models import base
from flax_unet.training import state


class _Net(base.Network):
  """A convolution and a normalisation: 27 * 2 + 2 + 2 parameters."""

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Conv(2, (3, 3), use_bias=False)(images)
    return nn.BatchNorm(use_running_average=not train)(x)


def _create(seed=0, ema=False, tx=None):
  return state.create(_Net(2), tx or optax.sgd(0.1), image_size=(4, 4), seed=seed, ema=ema)


def _flip_bit(x, bit):
  """A copy of a float32 array with one bit of its last element flipped."""
  bits = np.array(x).reshape(-1).view(np.uint32)
  bits[-1] ^= np.uint32(1 << bit)
  return jnp.array(bits.view(np.float32).reshape(x.shape))


def test_everything_follows_from_the_seed():
  first, again, other = _create(seed=7), _create(seed=7), _create(seed=8)
  assert first.step == 0
  assert state.num_params(first) == 58
  assert state.params_digest(first) == state.params_digest(again)
  np.testing.assert_array_equal(first.key_data, again.key_data)
  assert state.params_digest(first) != state.params_digest(other)
  assert (first.key_data != other.key_data).any()


def test_training_does_not_reuse_the_key_of_initialisation():
  params_key = jax.random.split(jax.random.key(7))[0]
  params = _Net(2).init(params_key, jnp.zeros((1, 4, 4, 3)), train=False)["params"]
  np.testing.assert_allclose(
    _create(seed=7).params["Conv_0"]["kernel"], params["Conv_0"]["kernel"], rtol=1e-6
  )
  keys = [jax.random.key_data(key) for key in (params_key, jax.random.key(7))]
  assert len({key.tobytes() for key in (*keys, _create(seed=7).key_data)}) == 3


def test_the_key_of_a_step_follows_from_the_number_of_steps():
  train_state = _create(seed=7)
  key = jax.random.wrap_key_data(train_state.key_data)
  for step in (0, 3):
    got = train_state.replace(step=step).step_key
    expected = jax.random.fold_in(key, step)
    np.testing.assert_array_equal(jax.random.key_data(got), jax.random.key_data(expected))


@pytest.mark.parametrize("bit", [0, 31])
@pytest.mark.parametrize("name", [("Conv_0", "kernel"), ("BatchNorm_0", "scale")])
def test_digest_changes_with_one_bit(name, bit):
  module, leaf = name
  before = _create()
  params = {**before.params, module: dict(before.params[module])}
  params[module][leaf] = _flip_bit(params[module][leaf], bit)
  assert state.params_digest(before.replace(params=params)) != state.params_digest(before)


def test_digest_is_over_parameters_alone_and_their_names():
  before = _create()
  assert state.params_digest(before) == state.params_digest(_create(ema=True, tx=optax.adam(0.1)))
  renamed = {"Other_0": before.params["Conv_0"], "BatchNorm_0": before.params["BatchNorm_0"]}
  assert state.params_digest(before.replace(params=renamed)) != state.params_digest(before)
  one = before.replace(params={"w": jnp.array([1.0, 2.0])})
  content = b"['w']" + np.array([1.0, 2.0], "<f4").tobytes()
  assert state.params_digest(one) == hashlib.sha256(content).hexdigest()


def test_predictions_take_the_average_where_there_is_one():
  plain, averaged = _create(), _create(ema=True)
  assert plain.ema_params is None
  assert plain.eval_variables["params"] is plain.params
  averaged = averaged.replace(params=jax.tree.map(jnp.zeros_like, averaged.params))
  jax.tree.map(np.testing.assert_array_equal, averaged.eval_variables["params"], dict(plain.params))
  assert averaged.eval_variables["batch_stats"] is averaged.ema_batch_stats
