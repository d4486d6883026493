"""Learning-rate schedules."""

import inspect
from collections.abc import Callable

import ml_collections
import optax

from flax_unet import errors, plugins


def make(config: ml_collections.ConfigDict, total_steps: int) -> optax.Schedule:
  """Builds the learning-rate schedule.

  Args:
    config: `lr`, the peak; `schedule.decay_type`, the name of one of the functions below, perhaps
      with arguments, such as "steps(at=(0.6, 0.9), factor=0.1)"; `schedule.warmup_steps`, the
      length of the linear warm-up from 0; `schedule.end_lr`, the rate after the last step;
      `schedule.power`, the exponent of the polynomial.
    total_steps: the length of the run, warm-up included.

  Returns:
    A function from the step to the learning rate.

  Raises:
    UserError: an unknown decay or argument, a rate that is not above 0, or a negative warm-up.
  """
  schedule = config.schedule
  if not config.lr > 0:
    raise errors.UserError(f"config.lr = {config.lr}: it must be above 0")
  warmup_steps = warmup_length(schedule.warmup_steps, total_steps)
  name, arguments = plugins.parse_call("config.schedule.decay_type", schedule.decay_type)
  decay = plugins.resolve("decay in config.schedule.decay_type", name, DECAYS)
  known = list(inspect.signature(decay).parameters)[2:]
  for key in arguments:
    if key not in known:
      raise errors.unknown(f"argument of '{name}' in config.schedule.decay_type", key, known)
  for key in ("end_lr", "power"):  # these are separate settings
    if key in known:
      arguments.setdefault(key, schedule[key])
  if decay is one_cycle and schedule.warmup_steps:
    raise errors.UserError(
      f"config.schedule.warmup_steps = {schedule.warmup_steps} with a decay of one_cycle, which "
      "has its own warm-up: use 0"
    )
  steps = total_steps - warmup_steps
  after = plugins.build(
    "config.schedule.decay_type", lambda **kwargs: decay(config.lr, steps, **kwargs), arguments
  )
  warmup = optax.linear_schedule(0.0, config.lr, max(warmup_steps, 1))
  return optax.join_schedules([warmup, after], [warmup_steps])


def warmup_length(warmup_steps: int, total_steps: int) -> int:
  """The steps of warm-up of a run: as many as are set, or a thirtieth of a run that is no longer.

  Raises:
    UserError: a negative number.
  """
  if warmup_steps < 0:
    raise errors.UserError(f"config.schedule.warmup_steps = {warmup_steps}: it must be at least 0")
  return warmup_steps if warmup_steps < total_steps else total_steps // 30


def constant(lr: float, steps: int) -> optax.Schedule:
  """A constant rate."""
  del steps
  return optax.constant_schedule(lr)


def polynomial(lr: float, steps: int, end_lr: float, power: float) -> optax.Schedule:
  """`end_lr + (lr - end_lr) * (1 - step / steps) ** power`."""
  return optax.polynomial_schedule(lr, end_lr, power, steps)


def cosine(lr: float, steps: int, end_lr: float) -> optax.Schedule:
  """Half a cosine from `lr` down to `end_lr` (Loshchilov and Hutter 2017)."""
  return optax.cosine_decay_schedule(lr, steps, alpha=end_lr / lr)


def cosine_restarts(
  lr: float, steps: int, end_lr: float, cycles: int = 4, longer: float = 1.0
) -> optax.Schedule:
  """Several half cosines, each from `lr` (SGDR, Loshchilov and Hutter 2017).

  Args:
    lr: the peak.
    steps: the length of all cycles together.
    end_lr: the rate at the end of each cycle.
    cycles: the number of cycles.
    longer: the length of each cycle relative to the one before.
  """
  if cycles < 1 or longer <= 0:
    raise ValueError(f"cosine_restarts has cycles={cycles}, longer={longer}: they must be above 0")
  lengths = [longer**index for index in range(cycles)]
  ends = [round(steps * sum(lengths[: index + 1]) / sum(lengths)) for index in range(cycles)]
  parts = [
    cosine(lr, max(1, end - start), end_lr)
    for start, end in zip([0, *ends[:-1]], ends, strict=True)
  ]
  return optax.join_schedules(parts, ends[:-1])


def steps(
  lr: float, steps: int, at: tuple[float, ...] = (0.6, 0.9), factor: float = 0.1
) -> optax.Schedule:
  """A rate that is multiplied by `factor` at given steps.

  Args:
    lr: the initial rate.
    steps: the length of the decay.
    at: when to do so, as fractions of `steps`; numbers above 1 are step numbers.
    factor: what the rate is multiplied by.
  """
  places = [round(place * steps) if place <= 1 else int(place) for place in at]
  return optax.piecewise_constant_schedule(lr, dict.fromkeys(places, factor))


def one_cycle(
  lr: float, steps: int, rise: float = 0.3, start: float = 25.0, end: float = 1e4
) -> optax.Schedule:
  """Half a cosine up to `lr` and one down (Smith and Topin 2018), as in PyTorch's `OneCycleLR`.

  Args:
    lr: the peak.
    steps: the length of the whole cycle.
    rise: the fraction of the steps before the peak.
    start: the first rate is `lr / start`.
    end: the last rate is the first rate divided by `end`.
  """
  return optax.cosine_onecycle_schedule(steps, lr, rise, start, end)


DECAYS: dict[str, Callable[..., optax.Schedule]] = {
  function.__name__: function
  for function in (constant, polynomial, cosine, cosine_restarts, steps, one_cycle)
}
