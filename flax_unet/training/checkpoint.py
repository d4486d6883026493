"""Checkpoints: the newest two and the best, written in the background, checked before use."""

import contextlib
import hashlib
import json
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental.multihost_utils import sync_global_devices
from orbax.checkpoint.checkpoint_managers import preservation_policy

from flax_unet import devices, errors, files
from flax_unet.training.state import TrainState

_METRIC = "mean_iou"  # what "best" means
_CHECKSUMS = "checksums.json"


class Checkpoints:
  """The checkpoints of a run, `<folder>/checkpoints/<step>/`: state, place in the data, settings.

  A place in the data is all that its iterator needs: order and augmentations follow from the seed
  and the place. Unlike the state of worker processes it fits any number of workers and devices.

  A checkpoint appears under its name when all of it is on disk, with the checksums of its files.
  Those whose files have changed since are set aside when the folder is opened.
  """

  def __init__(self, folder: pathlib.Path, *, read_only: bool = False):
    """Opens the checkpoints of the run in `folder`.

    Raises:
      UserError: all checkpoints are damaged.
    """
    self._directory = folder.absolute() / "checkpoints"
    self._damaged = folder.absolute() / "damaged_checkpoints"
    self._saving: int | None = None
    if jax.process_index() == 0:
      self._set_damaged_aside()
    sync_global_devices("checkpoints checked")
    self._manager = ocp.CheckpointManager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=preservation_policy.AnyPreservationPolicy(
          [
            preservation_policy.LatestN(2),  # the newest may turn out to be damaged
            preservation_policy.BestN(
              get_metric_fn=lambda metrics: metrics[_METRIC],
              n=1,
              keep_checkpoints_without_metrics=False,
            ),
          ]
        ),
        best_fn=lambda metrics: metrics[_METRIC],
        cleanup_tmp_directories=not read_only,
        create=not read_only,
        read_only=read_only,
        async_options=ocp.options.AsyncOptions(post_finalization_callback=self._add_checksums),
      ),
    )
    if self.newest is None and self._damaged.exists():
      raise errors.UserError(
        f"no checkpoint in {self._directory} is left, the damaged ones are in {self._damaged}: to "
        f"start over, delete that folder and run the command again"
      )

  @property
  def newest(self) -> int | None:
    """The step of the newest checkpoint, or None."""
    return self._manager.latest_step()

  @property
  def best(self) -> int | None:
    """The step of the checkpoint with the highest mean IoU, or None where none was scored."""
    return self._manager.best_step()

  def choose(self, which: str) -> int:
    """The step of the "newest" or the "best" checkpoint.

    Raises:
      UserError: there is none.
    """
    step = self.best if which == "best" else self.newest
    if step is None:
      raise errors.UserError(f"{self._directory} holds no checkpoint: train first")
    return step

  def save(
    self,
    state: TrainState,
    step: int,
    *,
    place: dict[str, Any],
    config: dict[str, Any],
    mean_iou: float | None,
  ) -> None:
    """Copies the state and writes it in the background.

    Args:
      state: what to save.
      step: the number of steps taken.
      place: where the run is in its data and its log, as JSON has it.
      config: the configuration.
      mean_iou: the score at this step, or None where it was not evaluated.

    Raises:
      UserError: this checkpoint, or the one before, could not be written.
    """
    self.wait_until_finished()
    with self._explain_failure():
      self._saving = step
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(devices.to_global(state)), data=ocp.args.JsonSave(place)
        ),
        metrics=None if mean_iou is None else {_METRIC: mean_iou},
      )

  def restore(self, step: int, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
    """Reads a checkpoint.

    Args:
      step: which one.
      state: a state of the same structure; its values are not used.

    Returns:
      The state, on all devices, and the place in the data.
    """
    template = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=devices.replicated()), state
    )
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardRestore(template), data=ocp.args.JsonRestore()
      ),
    )
    return restored.state, restored.data

  def restore_variables(self, step: int) -> dict[str, Any]:
    """Reads what to predict with, whatever the rest of the state is made of.

    Args:
      step: which checkpoint.

    Returns:
      `TrainState.eval_variables`, as NumPy arrays.
    """
    folder = self._directory / str(step) / "state"
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      saved = checkpointer.metadata(folder).item_metadata.tree
      params = "params" if saved["ema_params"] is None else "ema_params"
      template = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=devices.replicated()),
        {params: saved[params], "batch_stats": saved["batch_stats"]},
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
    return {"params": restored[params], "batch_stats": restored["batch_stats"]}

  def wait_until_finished(self) -> None:
    """Waits until everything is written.

    Raises:
      UserError: the last checkpoint could not be written.
    """
    with self._explain_failure():
      self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits until everything is written, and ends; raises what `wait_until_finished` does."""
    self.wait_until_finished()
    self._manager.close()

  @contextlib.contextmanager
  def _explain_failure(self) -> Iterator[None]:
    try:
      yield
    except Exception as error:  # tensorstore and orbax raise various types for a full disk
      # Of a long chain, what the system said, such as "No space left on device".
      system = re.search(r": ([A-Z][a-z ]+) \[.*os_error_code", str(error), re.DOTALL)
      reason = system[1] if system else str(error).splitlines()[0]
      raise errors.UserError(
        f"the checkpoint of step {self._saving} could not be written to {self._directory} "
        f"({reason}). What was saved before is intact: make room, and the same command goes on"
      ) from error

  def _add_checksums(self) -> None:
    """Completes a checkpoint that is written but does not have its name yet."""
    if jax.process_index() == 0:
      (folder,) = self._directory.glob(f"{self._saving}.orbax-checkpoint-tmp*")
      files.write_json(folder / _CHECKSUMS, _checksums(folder))

  def _set_damaged_aside(self) -> None:
    for checkpoint in self._directory.glob("[0-9]*"):
      if not checkpoint.name.isdigit():
        continue  # not finished; orbax removes it
      if damage := _damage(checkpoint):
        self._damaged.mkdir(exist_ok=True)
        aside = self._damaged / f"{checkpoint.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        checkpoint.rename(aside)
        logging.warning("Checkpoint %s is damaged (%s): moved to %s", checkpoint, damage, aside)


def exist(folder: pathlib.Path) -> bool:
  """Tells whether the run in `folder` has checkpoints to go on from; looks at names only."""
  return any(path.name.isdigit() for path in (folder / "checkpoints").glob("*"))


def _checksums(folder: pathlib.Path) -> dict[str, str]:
  """sha256 of the files in a checkpoint, by their path in it."""
  checksums = {}
  for path in sorted(folder.rglob("*")):
    # Orbax writes its own metadata again when it gives the checkpoint its name.
    if path.is_file() and path.name not in (_CHECKSUMS, "_CHECKPOINT_METADATA"):
      with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
      checksums[str(path.relative_to(folder))] = digest.hexdigest()
  return checksums


def _damage(checkpoint: pathlib.Path) -> str | None:
  """Says what is wrong with a checkpoint's files, or None."""
  try:
    expected = json.loads((checkpoint / _CHECKSUMS).read_bytes())
    found = _checksums(checkpoint)
  except (OSError, ValueError) as error:
    return str(error)
  for name, checksum in expected.items():  # orbax adds a file or two later
    if name not in found:
      return f"{name} is missing"
    if checksum != found[name]:
      return f"{name} has changed"
  return None
