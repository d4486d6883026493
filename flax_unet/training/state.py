"""The training state: all that a run needs to resume, except its position in the data."""

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state

from flax_unet import devices
from flax_unet.models import base


class TrainState(train_state.TrainState):
  """Parameters, optimizer state and what goes with them.

  Attributes:
    batch_stats: the running means and variances of BatchNorm; empty without it.
    ema_params: exponential moving average of the parameters, or None.
    ema_batch_stats: the same of `batch_stats`: averaged parameters need the statistics of their
      own activations, not those of the latest parameters.
    key_data: uint32, the run's random key; the key of a step is `fold_in(key, step)`.
  """

  batch_stats: Mapping[str, Any]
  ema_params: Any
  ema_batch_stats: Any
  key_data: jax.Array

  @property
  def step_key(self) -> jax.Array:
    """The key of the next step."""
    return jax.random.fold_in(jax.random.wrap_key_data(self.key_data), self.step)

  @property
  def eval_variables(self) -> dict[str, Any]:
    """The variables to predict with: the averaged parameters if there are any."""
    if self.ema_params is None:
      return {"params": self.params, "batch_stats": self.batch_stats}
    return {"params": self.ema_params, "batch_stats": self.ema_batch_stats}


def create(
  model: base.Network,
  tx: optax.GradientTransformation,
  *,
  image_size: tuple[int, int],
  seed: int,
  ema: bool,
) -> TrainState:
  """Initialises the state, on all devices.

  Args:
    model: the network.
    tx: the optimizer.
    image_size: height and width of a training image, in pixels.
    seed: everything random in the run follows from it.
    ema: whether to keep a moving average of the parameters.
  """

  @functools.partial(jax.jit, out_shardings=devices.replicated())
  def init() -> TrainState:
    params_key, key = jax.random.split(jax.random.key(seed))
    variables = model.init(params_key, jnp.zeros((1, *image_size, model.channels)), train=False)
    batch_stats = variables.get("batch_stats", {})
    return TrainState.create(
      apply_fn=base.OnImages(model),
      params=variables["params"],
      tx=tx,
      batch_stats=batch_stats,
      ema_params=variables["params"] if ema else None,
      ema_batch_stats=batch_stats if ema else None,
      key_data=jax.random.key_data(key),
    )

  return init()


def num_params(state: TrainState) -> int:
  """The number of trained parameters."""
  return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def params_digest(state: TrainState) -> str:
  """SHA-256 of the parameters' bytes, in the order of their names."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree.leaves_with_path(state.params):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.asarray(leaf).tobytes())
  return digest.hexdigest()
