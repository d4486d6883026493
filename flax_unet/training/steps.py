"""The train step: a pure function of state and batch, mapped over devices by the loop."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from flax_unet.models.base import center_crop
from flax_unet.training import losses
from flax_unet.training.state import TrainState


def train_step(
  state: TrainState,
  batch: Mapping[str, jax.Array],
  *,
  loss: Callable[..., jax.Array],
  class_weights: jax.Array | None = None,
  accumulate_steps: int = 1,
  ema_decay: float | None = None,
  skip_nonfinite: bool = False,
  num_processes: int = 1,
  axis_name: str,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """One step of training on this device's part of the global batch.

  Args:
    state: the same on all devices. Its network finds the pictures' places in the global batch in
      the collection `batch`, see `UNet.dropout`.
    batch: `image` uint8 `[batch, height, width, 3]`, `label` uint8 `[batch, height, width]`.
    loss: a function `(logits, labels, *, class_weights, axis_name)`, one of `losses`.
    class_weights: float `[classes]`, or None.
    accumulate_steps: into how many parts the batch is cut, to be worked on one after the other. The
      cross-entropy and its gradient are those of the whole batch; BatchNorm takes its statistics
      over a part (of all devices), Dice its sums.
    ema_decay: of the moving average of the parameters, or None.
    skip_nonfinite: whether a step whose loss or gradient is not finite changes nothing but the
      number of steps.
    num_processes: how many processes the devices belong to.
    axis_name: the devices' axis.

  Returns:
    The next state and the metrics `loss` and `grad_norm` (global L2 norm, before clipping), the
    same on all devices.
  """
  places = _places(len(batch["image"]), num_processes, axis_name)

  def share_of_loss(params, batch_stats, images, labels, places):
    logits, updates = state.apply_fn(
      {"params": params, "batch_stats": batch_stats, "batch": {"places": places}},
      images,
      train=True,
      rngs={"dropout": state.step_key},  # the same everywhere: places tell pictures apart
      mutable=["batch_stats"],
    )
    labels = center_crop(labels, logits.shape[1:3])
    share = loss(logits, labels, class_weights=class_weights, axis_name=axis_name)
    weight = jax.lax.psum(losses.pixel_weights(labels, class_weights).sum(), axis_name)
    return share, (updates.get("batch_stats", {}), weight)

  gradient = functools.partial(jax.value_and_grad(share_of_loss, has_aux=True), state.params)
  if accumulate_steps == 1:
    (share, (batch_stats, _)), grads = gradient(
      state.batch_stats, batch["image"], batch["label"], places
    )
  else:
    share, batch_stats, grads = _accumulate(
      gradient, state, batch["image"], batch["label"], places, accumulate_steps
    )
  loss_value, grads = jax.lax.psum((share, grads), axis_name)
  next_state = state.apply_gradients(
    grads=grads,
    # Synchronised BatchNorm has made them equal already; without BatchNorm there are none.
    batch_stats=jax.lax.pmean(batch_stats, axis_name),
  )
  if ema_decay is not None:
    # Young averages forget faster, so that the first steps' parameters do not linger.
    decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema_params = optax.incremental_update(next_state.params, state.ema_params, 1 - decay)
    next_state = next_state.replace(ema_params=ema_params)
  metrics = {"loss": loss_value, "grad_norm": optax.tree.norm(grads)}
  if skip_nonfinite:
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])
    next_state = jax.tree.map(functools.partial(jnp.where, finite), next_state, state)
    next_state = next_state.replace(step=state.step + 1)
  return next_state, metrics


def _places(num_pictures: int, num_processes: int, axis_name: str) -> jax.Array:
  """The places in the global batch of this device's pictures, int `[num_pictures]`.

  `pmap` has the devices of one process next to each other, and of N processes each takes every Nth
  picture of the global batch (see `pipeline.train_batches`).
  """
  devices_a_process = jax.lax.axis_size(axis_name) // num_processes
  process, device = jnp.divmod(jax.lax.axis_index(axis_name), devices_a_process)
  return (device * num_pictures + jnp.arange(num_pictures)) * num_processes + process


def _accumulate(
  gradient: Callable[..., Any],
  state: TrainState,
  images: jax.Array,
  labels: jax.Array,
  places: jax.Array,
  num_parts: int,
) -> tuple[jax.Array, Any, Any]:
  """Takes loss and gradient of a batch in parts, one after the other, to need less memory.

  The loss of a part is a mean over its pixels, so the loss of the batch is their mean weighted by
  the pixels' weights. Each part updates the running statistics of BatchNorm.

  Returns:
    This device's share of the loss, the statistics, and the share's gradient.
  """

  def step(carry, part):
    batch_stats, sums = carry
    (share, (batch_stats, weight)), grads = gradient(batch_stats, *part)
    sums = jax.tree.map(lambda total, x: total + weight * x, sums, (share, grads, 1.0))
    return (batch_stats, sums), None

  parts = [
    x.reshape(num_parts, x.shape[0] // num_parts, *x.shape[1:]) for x in (images, labels, places)
  ]
  sums = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, state.params), jnp.zeros(()))
  (batch_stats, sums), _ = jax.lax.scan(step, (state.batch_stats, sums), parts)
  share, grads, weight = sums
  scale = 1 / jnp.where(weight > 0, weight, 1)
  return share * scale, batch_stats, jax.tree.map(lambda x: x * scale, grads)


def map_train_step(
  loss: Callable[..., jax.Array],
  *,
  devices: Sequence[jax.Device] | None = None,
  **options: Any,
) -> Any:
  """Maps `train_step` over devices.

  Args:
    loss: see `train_step`.
    devices: where to; None: all devices of all processes.
    **options: of `train_step`.

  Returns:
    The mapped function of a state, which it uses up, and a batch `[local_devices, batch, ...]`.
    The state lies the same on all devices and has no device axis.
  """
  axis_name = "batch"
  num_processes = len({device.process_index for device in devices or jax.devices()})
  return jax.pmap(
    functools.partial(
      train_step, loss=loss, num_processes=num_processes, axis_name=axis_name, **options
    ),
    axis_name=axis_name,
    in_axes=(None, 0),
    out_axes=(None, None),
    devices=devices,
    donate_argnums=0,
  )
