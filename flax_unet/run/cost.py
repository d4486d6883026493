"""The cost of a train step according to the compiler, without running it and without data."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from flax_unet import errors
from flax_unet.run import chips
from flax_unet.run.chips import Chip
from flax_unet.run.parts import Parts
from flax_unet.training import flops


class DoesNotFitError(errors.UserError):
  """The compiler cannot fit the program into a device's memory."""


@dataclasses.dataclass(frozen=True)
class Cost:
  """What one device needs for one step.

  Attributes:
    flops: floating-point operations, see `training.flops`; NaN with several processes.
    traffic: bytes that kernels read and write; too low on CPUs, whose kernels contain loops.
    arguments: bytes of state and batch in their memory layout. The next state overwrites the old.
    temporaries: bytes that live during the step only: activations and gradients.
    total: bytes of both, of the outputs that do not overwrite an argument, and of the program.
  """

  flops: float
  traffic: float
  arguments: int
  temporaries: int
  total: int

  def seconds_at_peak(self, chip: Chip) -> dict[str, float]:
    """Seconds for operations and traffic at peak rate: the larger one bounds the step from below.

    Williams, Waterman and Patterson (2009), "Roofline".
    """
    return {"FLOPs": self.flops / chip.flops, "memory traffic": self.traffic / chip.bandwidth}


@dataclasses.dataclass(frozen=True)
class StepPlan:
  """The train step of a configuration, for devices that need not be present.

  Attributes:
    parts: the parts of the configuration.
    image_size: height and width of a training image, in pixels.
    devices: the devices of all processes.
  """

  parts: Parts
  image_size: tuple[int, int]
  devices: Sequence[jax.Device]

  @functools.cached_property
  def state(self) -> Any:
    """The shapes of the training state."""
    # The number of steps per epoch is unknown without the data; it only changes constants.
    config = self.parts.config
    total_steps = config.total_steps or config.schedule.warmup_steps + 1
    return jax.eval_shape(lambda: self.parts.init_state(self.image_size, total_steps))

  def cost(self, batch_size: int) -> Cost:
    """Compiles the step.

    Args:
      batch_size: images over all devices.

    Raises:
      DoesNotFitError: according to the compiler it does not fit into the devices' memory.
    """
    inputs = (self.state, self.batch(batch_size))
    if is_alone := jax.process_count() == 1:
      lowered = self.parts.map_train_step(self.devices).lower(*inputs)
    else:  # there, pmap takes no shapes
      zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), inputs)
      lowered = self.parts.map_train_step(self.devices).lower(*zeros)
    try:
      compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
      if "RESOURCE_EXHAUSTED" not in str(error):
        raise
      reason = str(error).splitlines()[0].removeprefix("RESOURCE_EXHAUSTED: ")
      raise DoesNotFitError(reason) from error
    memory = compiled.memory_analysis()
    accumulate_steps = self.parts.config.accumulate_steps
    step = self.parts.map_train_step(jax.local_devices()[:1])
    batch = self.batch(batch_size // len(self.devices), num_devices=1)
    return Cost(
      flops=flops.count(step, self.state, batch, accumulate_steps) if is_alone else math.nan,
      # Accumulation is a loop, and XLA counts its body once.
      traffic=compiled.cost_analysis()["bytes accessed"] * accumulate_steps,
      arguments=memory.argument_size_in_bytes,
      temporaries=memory.temp_size_in_bytes,
      total=memory.argument_size_in_bytes
      + memory.output_size_in_bytes
      - memory.alias_size_in_bytes
      + memory.temp_size_in_bytes
      + memory.generated_code_size_in_bytes,
    )

  def export(self, platform: str, batch_size: int) -> jax.export.Exported:
    """Lowers the step for a platform that need not be present, "cuda" or "tpu".

    Fails if the platform does not support an operation. No kernels are chosen, so this says nothing
    about memory or speed.
    """
    step = jax.jit(self.parts.map_train_step(self.devices))
    return jax.export.export(step, platforms=[platform])(self.state, self.batch(batch_size))

  def batch(
    self, batch_size: int, num_devices: int | None = None
  ) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of a batch of images, on all devices or so many."""
    return flops.batch_shapes(
      batch_size, self.image_size, num_devices or len(self.devices), self.parts.image_format
    )


def device_memory(device: jax.Device) -> int:
  """The bytes of memory of a device; the devices on a CPU share its memory."""
  if chip := chips.find(device):
    return chip.memory
  if device.platform == "cpu":
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // jax.local_device_count()
  return device.memory_stats()["bytes_limit"]


def largest_batch(bytes_needed: Callable[[int], int | None], limit: int, start: int) -> int:
  """Finds the largest batch that fits, with few calls, since each one compiles.

  Memory grows almost linearly with the batch size. While sizes fit, the next one to try is where
  the line through the last two meets the limit; after one that does not fit, search by bisection.

  Args:
    bytes_needed: maps a batch size to bytes; None if the compiler gives up.
    limit: available bytes.
    start: the first size to try.

  Returns:
    A size that fits and whose successor does not; 0 if 1 does not fit.
  """
  fits, too_large, number = [(0, 0)], None, start
  while too_large is None or too_large - fits[-1][0] > 1:
    needed = bytes_needed(number)
    largest = fits[-1][0]
    if needed is None or needed > limit:
      too_large = number
      number = (largest + too_large) // 2
    else:
      fits.append((number, needed))
      highest = 8 * number if too_large is None else too_large - 1
      number = max(number + 1, min(_extrapolate(*fits[-2:], limit), highest))
  return fits[-1][0]


def _extrapolate(first: tuple[int, int], second: tuple[int, int], limit: int) -> int:
  """Where the line through two points (batch size, bytes) meets the limit, rounded down."""
  (size_1, bytes_1), (size_2, bytes_2) = first, second
  if size_1 == 0:  # the state alone takes memory too, so the first line is too steep
    return 2 * size_2
  growth = max(bytes_2 - bytes_1, 1)
  return size_2 + (limit - bytes_2) * (size_2 - size_1) // growth
