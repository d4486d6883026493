"""A trained model, read from the folder of its run alone, without the configuration's file."""

import dataclasses
import json
import pathlib
from typing import Any

import flax
import ml_collections

from flax_unet import errors
from flax_unet.data import label_spaces, ops, padding
from flax_unet.data.label_space import LabelSpace
from flax_unet.models.unet import UNet
from flax_unet.training import checkpoint, experiment


@dataclasses.dataclass(frozen=True)
class TrainedModel:
  """The network of a run, and what it has learnt.

  Attributes:
    model: the network.
    variables: its parameters (where there are such, their moving average) and statistics, as NumPy
      arrays.
    label_space: names and colours of its classes.
    step: the number of steps it was trained for.
    multiple: up to a multiple of how many pixels its first evaluation mirrors images.
  """

  model: UNet
  variables: dict[str, Any]
  label_space: LabelSpace
  step: int
  multiple: int


def load(folder: pathlib.Path, which: str) -> TrainedModel:
  """Reads a checkpoint of a run.

  Args:
    folder: the run's folder.
    which: "newest" or "best".

  Raises:
    UserError: the folder holds no run, or no checkpoint.
  """
  try:
    content = json.loads((folder / "config.json").read_text())
  except FileNotFoundError:
    raise errors.UserError(f"{folder} holds no run: name one with --workdir") from None
  config = ml_collections.ConfigDict(content)
  label_space = label_spaces.get(config.label_space)
  checkpoints = checkpoint.Checkpoints(folder, read_only=True)
  step = checkpoints.choose(which)
  variables = checkpoints.restore_variables(step)
  checkpoints.close()
  return TrainedModel(
    experiment.make_model(config, label_space),
    variables,
    label_space,
    step,
    fitting_arguments(config, label_space)["multiple"],
  )


def fitting_arguments(config: ml_collections.ConfigDict, label_space: LabelSpace) -> dict[str, Any]:
  """How the first evaluation makes images fit the network: arguments of `Predictor`."""
  name, eval_config = next(iter(config.evals.items()))
  chain = experiment.make_op(f"evals.{name}", eval_config.pp, label_space).ops
  resizes = [op for op in chain if isinstance(op, ops.Resize | ops.ResizeImage)]
  return {
    "resize": (resizes[-1].height, resizes[-1].width) if resizes else None,
    "multiple": padding.multiple_of(chain),
  }


def check_same_model(config: ml_collections.ConfigDict, folder: pathlib.Path) -> None:
  """Refuses a configuration whose model or state differs from that of the run in the folder.

  Raises:
    UserError: there is no run, or the message names the first key that differs.
  """
  try:
    before = json.loads((folder / "config.json").read_text())
  except FileNotFoundError:
    raise errors.UserError(
      f"{folder} holds no run: train first, or name it with --workdir"
    ) from None
  now = json.loads(config.to_json_best_effort())
  keys = ("label_space", "model_name", "model", "optax_name", "grad_clip_norm", "ema_decay")
  before, now = (
    flax.traverse_util.flatten_dict({key: content.get(key) for key in keys}, sep=".")
    for content in (before, now)
  )
  for key in sorted({*before, *now}, key=lambda key: keys.index(key.split(".")[0])):
    if before.get(key) != now.get(key):
      raise errors.UserError(
        f"{folder} holds a run with config.{key} = {before.get(key)}, not {now.get(key)}: give the "
        "--config that it was trained with"
      )
