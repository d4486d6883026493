"""The train step: a pure function of state and batch, mapped over devices by the loop."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from flax_unet.evaluation import inference
from flax_unet.training.state import TrainState


def train_step(
  state: TrainState,
  batch: Mapping[str, jax.Array],
  *,
  loss: Callable[..., jax.Array],
  ema_decay: float | None = None,
  axis_name: str,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """One step of training on this device's part of the global batch.

  Args:
    state: the same on all devices.
    batch: `image` uint8 `[batch, height, width, 3]`, `label` uint8 `[batch, height, width]`.
    loss: a function `(logits, labels, *, axis_name)`, one of `losses`.
    ema_decay: of the moving average of the parameters, or None.
    axis_name: the devices' axis.

  Returns:
    The next state and the metrics `loss` and `grad_norm` (global L2 norm, before clipping), the
    same on all devices.
  """
  step_key = jax.random.fold_in(state.key, state.step)
  dropout_key = jax.random.fold_in(step_key, jax.lax.axis_index(axis_name))

  def share_of_loss(params):
    logits, updates = state.apply_fn(
      {"params": params, "batch_stats": state.batch_stats},
      inference.normalize(batch["image"]),
      train=True,
      rngs={"dropout": dropout_key},
      mutable=["batch_stats"],
    )
    labels = inference.center_crop(batch["label"], logits.shape[1:3])
    return loss(logits, labels, axis_name=axis_name), updates

  (share, updates), grads = jax.value_and_grad(share_of_loss, has_aux=True)(state.params)
  loss_value, grads = jax.lax.psum((share, grads), axis_name)
  next_state = state.apply_gradients(
    grads=grads,
    # Synchronised BatchNorm has made them equal already; without BatchNorm there are none.
    batch_stats=jax.lax.pmean(updates.get("batch_stats", {}), axis_name),
  )
  if ema_decay is not None:
    # Young averages forget faster, so that the first steps' parameters do not linger.
    decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema_params = optax.incremental_update(next_state.params, state.ema_params, 1 - decay)
    next_state = next_state.replace(ema_params=ema_params)
  return next_state, {"loss": loss_value, "grad_norm": optax.tree.norm(grads)}


def map_train_step(
  loss: Callable[..., jax.Array],
  *,
  ema_decay: float | None = None,
  devices: Sequence[jax.Device] | None = None,
) -> Any:
  """Maps `train_step` over devices.

  Args:
    loss: see `train_step`.
    ema_decay: see `train_step`.
    devices: where to; None: all devices of all processes.

  Returns:
    The mapped function of a state, which it uses up, and a batch `[local_devices, batch, ...]`.
    The state lies the same on all devices and has no device axis.
  """
  axis_name = "batch"
  return jax.pmap(
    functools.partial(train_step, loss=loss, ema_decay=ema_decay, axis_name=axis_name),
    axis_name=axis_name,
    in_axes=(None, 0),
    out_axes=(None, None),
    devices=devices,
    donate_argnums=0,
  )
