"""The optimizer and its learning-rate schedule, from the configuration."""

import jax
import ml_collections
import optax

from flax_unet import errors


def make_schedule(config: ml_collections.ConfigDict, total_steps: int) -> optax.Schedule:
  """Builds the learning rate as a function of the step.

  Args:
    config: `lr`, the peak; `schedule.decay_type`, one of "constant", "polynomial" and "cosine";
      `schedule.warmup_steps` of linear warm-up from 0; `schedule.end_lr`, the rate after the last
      step; `schedule.power` of the polynomial.
    total_steps: the length of the run, warm-up included.

  Returns:
    A function from the step to the learning rate.

  Raises:
    UserError: an unknown decay, a rate that is not above 0, or a warm-up that takes the whole run.
  """
  peak, schedule = config.lr, config.schedule
  if not peak > 0:
    raise errors.UserError(f"config.lr = {peak}: it must be above 0")
  if not 0 <= schedule.warmup_steps < total_steps:
    raise errors.UserError(
      f"config.schedule.warmup_steps = {schedule.warmup_steps}: it must be at least 0 and below "
      f"the run's {total_steps} steps"
    )
  decay_steps = total_steps - schedule.warmup_steps
  match schedule.decay_type:
    case "constant":
      decay = optax.constant_schedule(peak)
    case "polynomial":
      decay = optax.polynomial_schedule(peak, schedule.end_lr, schedule.power, decay_steps)
    case "cosine":
      decay = optax.cosine_decay_schedule(peak, decay_steps, alpha=schedule.end_lr / peak)
    case unknown:
      choices = ["constant", "polynomial", "cosine"]
      raise errors.unknown("decay in config.schedule.decay_type", unknown, choices)
  warmup = optax.linear_schedule(0.0, peak, max(schedule.warmup_steps, 1))
  return optax.join_schedules([warmup, decay], [schedule.warmup_steps])


def decayed(params: optax.Params) -> optax.Params:
  """A mask over parameters: True for kernels, False for biases and normalisation's scales."""
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def make_optimizer(
  config: ml_collections.ConfigDict, total_steps: int
) -> optax.GradientTransformation:
  """Builds the optimizer.

  Args:
    config: `optax_name`, "sgd" (weight decay is part of the gradient, as in PyTorch) or "adamw"
      (weight decay decoupled); `optax`, its arguments; `wd`; `grad_clip_norm`, the largest global
      norm of the gradient, or None; and what `make_schedule` reads.
    total_steps: the length of the run.

  Raises:
    UserError: an unknown optimizer, or an argument that it does not take.
  """
  schedule = make_schedule(config, total_steps)
  # Without clipping, an identity: the state has the same form, so a run may change this setting.
  norm = config.grad_clip_norm
  clip = optax.identity() if norm is None else optax.clip_by_global_norm(norm)
  try:
    match config.optax_name:
      case "sgd":
        rule = [
          optax.add_decayed_weights(config.wd, mask=decayed),
          optax.sgd(schedule, **config.optax),
        ]
      case "adamw":
        rule = [optax.adamw(schedule, weight_decay=config.wd, mask=decayed, **config.optax)]
      case unknown:
        raise errors.unknown("optimizer in config.optax_name", unknown, ["sgd", "adamw"])
  except TypeError as error:
    raise errors.UserError(
      f"config.optax: {error}; config.optax_name = '{config.optax_name}'"
    ) from error
  return optax.chain(clip, *rule)
