"""Checks whether the length of a run may change after it has begun."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flax_unet import errors
from flax_unet.run.experiment import Experiment
from flax_unet.training import schedules

LENGTH = ("total_steps", "total_epochs")


def check(
  folder: pathlib.Path, run: Experiment, changes: Sequence[Mapping[str, Any]], step: int
) -> None:
  """Refuses a new length that would have given the steps already taken other learning rates.

  Args:
    folder: the run folder.
    run: the experiment with its new length.
    changes: the settings that have changed, with `key` and `from`.
    step: the number of steps taken so far.

  Raises:
    UserError: the message says what to do instead.
  """
  before = {change["key"]: change["from"] for change in changes if change["key"] in LENGTH}
  if not before or not step:
    return
  if run.total_steps < step:
    raise errors.UserError(
      f"config.total_steps = {run.total_steps}: {folder} has taken {step} steps already"
    )
  old_length = before.get("total_steps", run.config.total_steps)
  if old_length is None:
    old_length = run.steps_of(before.get("total_epochs", run.config.total_epochs))
  taken = jnp.arange(step)
  old, new = (
    np.asarray(jax.vmap(schedules.make(run.config, length))(taken))
    for length in (old_length, run.total_steps)
  )
  if not np.array_equal(old, new):
    raise errors.UserError(
      f"{folder} holds a run of {old_length} steps whose learning rate depends on that length "
      f"(config.schedule.decay_type = '{run.config.schedule.decay_type}'), so it cannot become one "
      f"of {run.total_steps}. Start a new run from its weights with --config.init_from={folder} "
      "--workdir=DIR"
    )
