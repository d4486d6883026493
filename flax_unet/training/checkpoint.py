"""Checkpoints: the newest two and the best, written in the background, checked before use."""

import contextlib
import pathlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental.multihost_utils import sync_global_devices

from flax_unet import devices, errors
from flax_unet.training import checkpoint_scores, checksums
from flax_unet.training.checkpoint_policy import Keep
from flax_unet.training.checkpoint_scores import CheckpointScores
from flax_unet.training.state import TrainState

# Orbax rewrites its own metadata when it renames the finished checkpoint.
_WRITTEN_LATER = (checkpoint_scores.NAME, "_CHECKPOINT_METADATA")
_DELETED = ".deleted"
_GRACE_SECONDS = 20  # for a save in progress when training fails

T = TypeVar("T")


class Checkpoints:
  """The checkpoints of a run, `<folder>/checkpoints/<step>/`: state, place in the data, scores.

  Attributes:
    scores: the scores of the checkpoints, and which is the best.

  The place in the data is all that the data iterator needs: order and augmentations follow from the
  seed and the place. Unlike the state of worker processes, it fits any number of workers and
  devices.

  A checkpoint gets its name once it is completely on disk, with the checksums of its files. Its
  scores are added after it has been evaluated.

  The owner of a run sets damaged checkpoints aside when it opens them. Readers change nothing: they
  skip damaged checkpoints, and those that the owner deletes in the meantime.
  """

  def __init__(self, folder: pathlib.Path, *, read_only: bool = False):
    """Opens the checkpoints of the run in `folder`.

    Raises:
      UserError: all checkpoints are damaged.
    """
    self._directory = folder.absolute() / "checkpoints"
    self._damaged = folder.absolute() / "damaged_checkpoints"
    self.scores = CheckpointScores(self._directory)
    self._saving: int | None = None
    self._read_only = read_only
    self._failed = False
    if not read_only:
      if jax.process_index() == 0:
        self._set_damaged_aside()
        self._empty_bin()
      sync_global_devices("checkpoints checked")
    self._manager = ocp.CheckpointManager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=Keep(self._kept),
        todelete_subdir=None if read_only else _DELETED,  # for readers it vanishes at once
        cleanup_tmp_directories=not read_only,
        create=not read_only,
        read_only=read_only,
        async_options=ocp.options.AsyncOptions(post_finalization_callback=self._add_checksums),
      ),
    )
    if not read_only and self.newest is None and self._damaged.exists():
      raise errors.UserError(
        f"no checkpoint is left in {self._directory}; the damaged ones are in {self._damaged}: to "
        f"start over, delete that folder and run the command again"
      )

  @property
  def newest(self) -> int | None:
    """The step of the newest checkpoint, or None."""
    return max(self._steps(), default=None)

  def _steps(self) -> list[int]:
    return checkpoint_scores.steps(self._directory)

  def _kept(self, steps: Iterable[int]) -> set[int]:
    """The newest two, in case the newest is damaged, and the best."""
    return {*sorted(steps)[-2:], *self.scores.from_best()[:1]}

  def use(self, which: str, read: Callable[[int], T]) -> tuple[int, T]:
    """Reads the newest or the best intact checkpoint.

    Args:
      which: "newest" or "best".
      read: a function that reads the checkpoint of a step.

    Returns:
      The step, and what was read.

    Raises:
      UserError: there is no such checkpoint.
    """
    told = set()
    while True:
      newest_first = sorted(self._steps(), reverse=True)
      ranked = self.scores.from_best() if which == "best" else newest_first
      if which == "best" and newest_first and not ranked:
        raise errors.UserError(
          f"{self._directory} holds no checkpoint that was evaluated: use --checkpoint=newest"
        )
      step = next((step for step in ranked if step not in told), None)
      if step is None:
        reason = "no intact checkpoint" if told else "no checkpoint: train first"
        raise errors.UserError(f"{self._directory} holds {reason}")
      checkpoint = self._directory / str(step)
      try:
        return step, read(step)
      except Exception:
        damage = checksums.damage(checkpoint)  # or its run has deleted it in the meantime
        if not damage:
          raise
      told.add(step)
      if checkpoint.exists():
        logging.warning("Checkpoint %s is damaged (%s): skipped", checkpoint, damage)

  def save(self, state: TrainState, step: int, *, place: dict[str, Any]) -> None:
    """Copies the state and writes it in the background.

    Args:
      state: what to save.
      step: the number of steps taken.
      place: where the run is in its data and its log, as plain JSON.

    Raises:
      UserError: this checkpoint or the previous one could not be written.
    """
    self.wait_until_finished()
    self._empty_bin()
    with self._explain_failure():
      self._saving = step
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(devices.to_global(state)), data=ocp.args.JsonSave(place)
        ),
      )

  def restore(self, step: int, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
    """Reads a checkpoint.

    Args:
      step: the step of the checkpoint.
      state: a state of the same structure; its values are not used.

    Returns:
      The state, on all devices, and the place in the data.

    Raises:
      UserError: the checkpoint is of another network, optimizer or version.
    """
    template = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=devices.replicated()), state
    )
    try:
      restored = self._manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(template), data=ocp.args.JsonRestore()
        ),
      )
    except (KeyError, TypeError, ValueError) as error:
      reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
      raise errors.UserError(
        f"{self._directory / str(step)}: does not fit this configuration and version of flax_unet "
        f"({reason}): use the ones it was written with"
      ) from error
    return restored.state, restored.data

  def restore_variables(self, step: int) -> dict[str, Any]:
    """Reads the variables to predict with, whatever the structure of the rest of the state.

    Args:
      step: the step of the checkpoint.

    Returns:
      `TrainState.eval_variables`, as NumPy arrays.

    Raises:
      UserError: the checkpoint is damaged.
    """
    if damage := checksums.damage(self._directory / str(step)):
      raise errors.UserError(f"{self._directory / str(step)} is damaged ({damage})")
    folder = self._directory / str(step) / "state"
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      saved = checkpointer.metadata(folder).item_metadata.tree
      names = ("params", "batch_stats")  # or their averages; earlier versions only had params'
      params, batch_stats = (x if saved.get(f"ema_{x}") is None else f"ema_{x}" for x in names)
      template = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=devices.replicated()),
        {params: saved[params], batch_stats: saved[batch_stats]},
      )
      restored = checkpointer.restore(
        folder,
        args=ocp.args.PyTreeRestore(
          template,
          restore_args=ocp.checkpoint_utils.construct_restore_args(template),
          partial_restore=True,
        ),
      )
    restored = jax.tree.map(np.asarray, restored)
    return {"params": restored[params], "batch_stats": restored[batch_stats]}

  def wait_until_finished(self) -> None:
    """Waits until everything is written.

    Raises:
      UserError: the last checkpoint could not be written.
    """
    with self._explain_failure():
      self._manager.wait_until_finished()

  @contextlib.contextmanager
  def finishing(self) -> Iterator[None]:
    """Closes the checkpoints when the block ends.

    If the block fails, a save in progress gets some seconds to finish, unless the save itself
    failed: orbax may then have left threads that wait for each other forever.
    """
    try:
      yield
    except BaseException:
      if not self._failed:
        waiting = threading.Thread(target=self._manager.wait_until_finished, daemon=True)
        waiting.start()
        waiting.join(_GRACE_SECONDS)
      raise
    self.close()

  def close(self) -> None:
    """Waits until everything is written, then closes; raises what `wait_until_finished` does."""
    self.wait_until_finished()
    self._manager.close()
    if not self._read_only and jax.process_index() == 0:
      for step in self._steps():  # scores written after the last save may have changed the best
        if step not in self._kept(self._steps()):
          shutil.rmtree(self._directory / _DELETED, ignore_errors=True)
          (self._directory / str(step)).rename(self._directory / _DELETED)
      self._empty_bin()

  @contextlib.contextmanager
  def _explain_failure(self) -> Iterator[None]:
    try:
      yield
    except Exception as error:  # tensorstore and orbax raise various types for a full disk
      self._failed = True
      # From a long error chain, pick the system's message, such as "No space left on device".
      system = re.search(r": ([A-Z][a-z ]+) \[.*os_error_code", str(error), re.DOTALL)
      reason = system[1] if system else str(error).splitlines()[0]
      raise errors.UserError(
        f"the checkpoint of step {self._saving} could not be written to {self._directory} "
        f"({reason}). Earlier checkpoints are intact: free some space, and the same command "
        "resumes"
      ) from error

  def _add_checksums(self) -> None:
    """Adds checksums to a checkpoint that is written but not yet renamed."""
    if jax.process_index() == 0:
      (folder,) = self._directory.glob(f"{self._saving}.orbax-checkpoint-tmp*")
      checksums.write(folder, exclude=_WRITTEN_LATER)

  def _empty_bin(self) -> None:
    """Deletes the checkpoints that were moved out of the readers' way."""
    if jax.process_index() == 0:
      shutil.rmtree(self._directory / _DELETED, ignore_errors=True)

  def _set_damaged_aside(self) -> None:
    for checkpoint in self._directory.glob("[0-9]*"):
      if not checkpoint.name.isdigit():
        continue  # unfinished; orbax removes it
      if damage := checksums.damage(checkpoint):
        self._damaged.mkdir(exist_ok=True)
        aside = self._damaged / f"{checkpoint.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        checkpoint.rename(aside)
        logging.warning("Checkpoint %s is damaged (%s): moved to %s", checkpoint, damage, aside)


def exist(folder: pathlib.Path) -> bool:
  """Whether the run in `folder` has checkpoints, damaged or not; looks at names only."""
  saved = any(path.name.isdigit() for path in (folder / "checkpoints").glob("*"))
  return saved or (folder / "damaged_checkpoints").exists()
