"""The train step: a pure function of state and batch, mapped over devices by the loop."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from flax_unet.losses.base import Loss, pixel_weights, ratio
from flax_unet.models.base import center_crop
from flax_unet.models.upsampling import upsample_bilinear
from flax_unet.training.state import TrainState


def train_step(
  state: TrainState,
  batch: Mapping[str, jax.Array],
  *,
  loss: Loss,
  aux_weight: float = 0.0,
  accumulate_steps: int = 1,
  ema_decay: float | None = None,
  skip_nonfinite: bool = False,
  keep_frozen: Callable[[Any, Any], Any] = lambda new, _: new,
  num_processes: int = 1,
  axis_name: str,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """One step of training on this device's part of the global batch.

  Args:
    state: the same on all devices. The network gets the images' positions in the global batch
      through the collection `batch`; dropout depends on them.
    batch: `image` uint8 `[batch, height, width, channels]`, `label` uint8 `[batch, height, width]`,
      and optionally `weights` float `[batch, height, width]`, the pixels' weights in the loss.
    loss: the loss, computed over the whole global batch.
    aux_weight: weight of the loss of the auxiliary logits (see `models.base.Network`), relative to
      the main logits.
    accumulate_steps: how many parts to split the batch into, which are processed one after the
      other. Loss and gradient are those of the whole batch; BatchNorm takes its statistics over
      one part (on all devices).
    ema_decay: decay of the moving average of parameters and statistics, or None.
    skip_nonfinite: whether a step whose loss or gradient is not finite changes nothing except the
      step number.
    keep_frozen: takes the new and the old statistics of BatchNorm, and returns the old ones for
      frozen layers, the new ones for others.
    num_processes: how many processes the devices belong to.
    axis_name: name of the devices' axis.

  Returns:
    The next state and the metrics `loss` and `grad_norm` (global L2 norm, before clipping), the
    same on all devices.
  """
  part = _Part(
    batch["image"],
    batch["label"],
    pixel_weights(batch["label"], batch.get("weights")),
    _places(len(batch["image"]), num_processes, axis_name),
  )
  take = _whole if accumulate_steps == 1 else functools.partial(_in_parts, accumulate_steps)
  loss_value, grads, batch_stats = take(state, part, _AllOutputs(loss, aux_weight), axis_name)
  next_state = state.apply_gradients(
    grads=grads,
    # Synchronised BatchNorm has already made them equal; without BatchNorm there are none.
    batch_stats=keep_frozen(jax.lax.pmean(batch_stats, axis_name), state.batch_stats),
  )
  if ema_decay is not None:
    # A smaller decay at first, so that the initial parameters fade quickly.
    decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema_params, ema_batch_stats = optax.incremental_update(
      (next_state.params, next_state.batch_stats),
      (state.ema_params, state.ema_batch_stats),
      1 - decay,
    )
    next_state = next_state.replace(ema_params=ema_params, ema_batch_stats=ema_batch_stats)
  metrics = {"loss": loss_value, "grad_norm": optax.tree.norm(grads)}
  if skip_nonfinite:
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])
    next_state = jax.tree.map(functools.partial(jnp.where, finite), next_state, state)
    next_state = next_state.replace(step=state.step + 1)
  return next_state, metrics


@dataclasses.dataclass(frozen=True)
class _AllOutputs:
  """The loss of a network's main logits, and of its auxiliary ones where it has any."""

  loss: Loss
  aux_weight: float

  def sums(self, logits: Sequence[jax.Array], labels: jax.Array, weights: jax.Array) -> list[Any]:
    """The sums of each output, see `Loss.sums`; the main one is the first."""
    return [self.loss.sums(x, labels, weights) for x in logits]

  def value(self, sums: Sequence[Any]) -> jax.Array:
    """The loss, see `Loss.value`."""
    main, *auxiliary = map(self.loss.value, sums)
    return main + self.aux_weight * sum(auxiliary) if auxiliary else main

  def mean_slopes(self, num_outputs: int) -> list[Any]:
    """The derivative of a mean with respect to its sums, without the division by the weight."""
    factors = (1.0, *(self.aux_weight,) * (num_outputs - 1))
    return [{"sum": jnp.array(factor), "weight": jnp.zeros(())} for factor in factors]


class _Part(NamedTuple):
  """A part of a batch."""

  images: jax.Array
  labels: jax.Array
  weights: jax.Array
  places: jax.Array


def _forward(
  state: TrainState, params: Any, batch_stats: Any, part: _Part
) -> tuple[tuple[list[jax.Array], jax.Array, jax.Array], Any]:
  """What a loss is computed from, logits, labels and weights; and the statistics of BatchNorm.

  There are the main logits and, enlarged to their size, the auxiliary ones.
  """
  logits, updates = state.apply_fn(
    {"params": params, "batch_stats": batch_stats, "batch": {"places": part.places}},
    part.images,
    train=True,
    rngs={"dropout": state.step_key},  # the same everywhere: places distinguish the images
    mutable=["batch_stats", "auxiliary"],
  )
  size = logits.shape[1:3]
  labels, weights = (center_crop(x, size) for x in (part.labels, part.weights))
  outputs = [logits]
  for auxiliary in jax.tree.leaves(updates.get("auxiliary", {})):
    enlarged = upsample_bilinear(auxiliary, -(-size[0] // auxiliary.shape[1]))
    outputs.append(center_crop(enlarged, size))
  return (outputs, labels, weights), updates.get("batch_stats", {})


def _whole(
  state: TrainState, part: _Part, outputs: _AllOutputs, axis_name: str
) -> tuple[jax.Array, Any, Any]:
  """The loss of the global batch, its gradient, and the statistics of BatchNorm."""
  gathers = outputs.loss.gathers

  def sums_of(params):
    inputs, batch_stats = _forward(state, params, state.batch_stats, part)
    if gathers:
      inputs = jax.lax.all_gather(inputs, axis_name, tiled=True)
    return outputs.sums(*inputs), batch_stats

  sums, gradient_of, batch_stats = jax.vjp(sums_of, state.params, has_aux=True)
  total = sums if gathers else jax.lax.psum(sums, axis_name)
  value, slopes = jax.value_and_grad(outputs.value)(total)
  if gathers:  # every device has all sums, so a logit gets its gradient once per device
    slopes = jax.tree.map(lambda x: x / jax.lax.axis_size(axis_name), slopes)
  (grads,) = gradient_of(slopes)
  return value, jax.lax.psum(grads, axis_name), batch_stats


def _in_parts(
  num_parts: int, state: TrainState, whole: _Part, outputs: _AllOutputs, axis_name: str
) -> tuple[jax.Array, Any, Any]:
  """Like `_whole`, but processes the batch in parts to save memory.

  By the chain rule, the gradient of the loss is the sum over its `sums` of their gradients times
  the derivative of the loss with respect to each. For a mean these derivatives are known in advance
  up to a common factor; otherwise a first pass adds up the sums. Each part updates the running
  statistics of BatchNorm.
  """
  parts = jax.tree.map(lambda x: x.reshape(num_parts, x.shape[0] // num_parts, *x.shape[1:]), whole)

  def add_sums(total, part):
    inputs, _ = _forward(state, state.params, state.batch_stats, part)
    return jax.tree.map(jnp.add, total, outputs.sums(*inputs)), None

  shapes = jax.eval_shape(
    lambda part: outputs.sums(*_forward(state, state.params, state.batch_stats, part)[0]),
    jax.tree.map(lambda x: x[0], parts),
  )
  nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  if outputs.loss.is_mean:
    slopes = outputs.mean_slopes(len(nothing))
  else:
    total, _ = jax.lax.scan(add_sums, nothing, parts)
    slopes = jax.grad(outputs.value)(jax.lax.psum(total, axis_name))

  def add_gradient(carry, part):
    batch_stats, total, gradient = carry

    def weighted_sums(params):
      inputs, new_stats = _forward(state, params, batch_stats, part)
      sums = outputs.sums(*inputs)
      products = jax.tree.map(lambda x, slope: (x * slope).sum(), sums, slopes)
      return sum(jax.tree.leaves(products)), (sums, new_stats)

    grads, (sums, batch_stats) = jax.grad(weighted_sums, has_aux=True)(state.params)
    return (batch_stats, *jax.tree.map(jnp.add, (total, gradient), (sums, grads))), None

  start = (state.batch_stats, nothing, jax.tree.map(jnp.zeros_like, state.params))
  (batch_stats, total, gradient), _ = jax.lax.scan(add_gradient, start, parts)
  total, gradient = jax.lax.psum((total, gradient), axis_name)
  if outputs.loss.is_mean:  # all outputs have the same weights, those of the labels
    gradient = jax.tree.map(lambda x: ratio(x, total[0]["weight"]), gradient)
  return outputs.value(total), gradient, batch_stats


def _places(num_pictures: int, num_processes: int, axis_name: str) -> jax.Array:
  """The positions of this device's images in the global batch, int `[num_pictures]`.

  `pmap` puts the devices of one process next to each other, and each of N processes takes every Nth
  image of the global batch (see `pipeline.train_batches`).
  """
  devices_a_process = jax.lax.axis_size(axis_name) // num_processes
  process, device = jnp.divmod(jax.lax.axis_index(axis_name), devices_a_process)
  return (device * num_pictures + jnp.arange(num_pictures)) * num_processes + process


def map_train_step(
  loss: Loss,
  *,
  devices: Sequence[jax.Device] | None = None,
  **options: Any,
) -> Any:
  """Maps `train_step` over devices.

  Args:
    loss: see `train_step`.
    devices: the devices to use; None: all devices of all processes.
    **options: other arguments of `train_step`.

  Returns:
    The mapped function of a state, which is donated, and a batch `[local_devices, batch, ...]`. The
    state is replicated on all devices and has no device axis.
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
