"""Checkpoints: the newest and the best, written in the background by orbax."""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from flax_unet.training.state import TrainState

METRIC = "mean_iou"  # what "best" means


class Checkpoints:
  """The checkpoints of a run, `<directory>/<step>/`: state, place in the data, configuration.

  A place in the data is all that its iterator needs: order and augmentations follow from the seed
  and the place. Unlike the state of worker processes it fits any number of workers and devices.
  """

  def __init__(self, directory: pathlib.Path, *, read_only: bool = False):
    policy = preservation_policy.AnyPreservationPolicy(
      [
        preservation_policy.LatestN(1),
        preservation_policy.BestN(
          get_metric_fn=lambda metrics: metrics[METRIC], n=1, keep_checkpoints_without_metrics=False
        ),
      ]
    )
    self._manager = ocp.CheckpointManager(
      directory.absolute(),
      options=ocp.CheckpointManagerOptions(
        preservation_policy=policy,
        best_fn=lambda metrics: metrics[METRIC],
        cleanup_tmp_directories=not read_only,
        create=not read_only,
        read_only=read_only,
      ),
    )

  @property
  def newest(self) -> int | None:
    """The step of the newest checkpoint, or None."""
    return self._manager.latest_step()

  @property
  def best(self) -> int | None:
    """The step of the checkpoint with the highest mean IoU, or None where none was scored."""
    return self._manager.best_step()

  def save(
    self,
    state: TrainState,
    *,
    step: int,
    examples_seen: int,
    config: dict[str, Any],
    mean_iou: float | None,
  ) -> None:
    """Copies the state and writes it in the background.

    Args:
      state: what to save.
      step: the number of steps taken.
      examples_seen: the place in the global order of examples.
      config: the configuration.
      mean_iou: the score at this step, or None where it was not evaluated.
    """
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        data=ocp.args.JsonSave({"examples_seen": examples_seen}),
        config=ocp.args.JsonSave(config),
      ),
      metrics=None if mean_iou is None else {METRIC: mean_iou},
    )

  def restore(self, step: int, state: TrainState) -> TrainState:
    """Reads a checkpoint.

    Args:
      step: which one.
      state: a state of the same structure; its values are not used.

    Returns:
      The state, on one device. The place in the data follows from its step.
    """
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    template = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), state
    )
    restored = self._manager.restore(
      step, args=ocp.args.Composite(state=ocp.args.StandardRestore(template))
    )
    return restored.state

  def close(self) -> None:
    """Waits until everything is written."""
    self._manager.close()
