"""A trained model, read from the folder of its run alone, without the configuration's file."""

import dataclasses
import json
import pathlib
from typing import Any

import ml_collections

from flax_unet import errors
from flax_unet.data import label_spaces
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
  """

  model: UNet
  variables: dict[str, Any]
  label_space: LabelSpace
  step: int


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
  return TrainedModel(experiment.make_model(config, label_space), variables, label_space, step)
