"""Reads a trained model from its run folder alone, without the configuration file."""

import dataclasses
import pathlib
from typing import Any

import ml_collections

from flax_unet import config_flag, errors, files, nested
from flax_unet.data import label_space_file, label_spaces
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.inference import passes
from flax_unet.models.base import Network
from flax_unet.run import parts, workdir
from flax_unet.training import checkpoint
from flax_unet.weights import fit

# Without effect on a trained network.
_CHANGE_NOTHING = ("images.view", "model.dropout", "model.remat")


@dataclasses.dataclass(frozen=True)
class TrainedModel:
  """The network of a run, with its trained weights.

  Attributes:
    model: the network.
    variables: its parameters (their moving average if there is one) and BatchNorm statistics, as
      NumPy arrays.
    label_space: names and colours of its classes.
    step: the number of steps it was trained for.
    options: how the run's first evaluation predicts.
    multiple: that evaluation mirrors images up to a multiple of this many pixels.
    resize: height and width to which that evaluation resizes images, or None.
  """

  model: Network
  variables: dict[str, Any]
  label_space: LabelSpace
  step: int
  options: passes.Options
  multiple: int
  resize: tuple[int, int] | None


def load(
  folder: pathlib.Path, which: str = "newest", config: ml_collections.ConfigDict | None = None
) -> TrainedModel:
  """Reads a checkpoint of a run; all programs load models through this function.

  Args:
    folder: the run folder.
    which: "newest" or "best".
    config: the run's configuration, perhaps with other evaluations; None: the one in the folder.

  Raises:
    UserError: the folder holds no run or no checkpoint, or the configuration is of another model.
  """
  if config is None:
    config = config_of(folder)
  else:
    check_same_model(config, folder)
  label_space = read_label_space(folder)
  model = parts.make_model(config, label_space)
  first = parts.make_eval(config, parts.ordered_evals(config)[0], model, label_space)
  step, variables = load_variables(folder, which)
  fit.check_variables(model, variables, str(folder))
  return TrainedModel(
    model, variables, label_space, step, first.options, first.multiple, first.resize
  )


def config_of(folder: pathlib.Path) -> ml_collections.ConfigDict:
  """Reads the configuration of a run; see `read_config`."""
  return config_flag.complete(config_flag.from_json(read_config(folder)))


def read_config(folder: pathlib.Path) -> dict[str, Any]:
  """Reads the configuration of a run as plain JSON.

  Raises:
    UserError: the folder holds no run, or its configuration is damaged or of another version.
  """
  path = folder / workdir.CONFIG
  if not path.exists():
    raise errors.UserError(f"{folder} holds no run: train first, or name it with --workdir")
  content = files.read_json(path)
  for key in ("label_space", "model_name", "model", "evals"):
    if key not in content:
      raise errors.UserError(f"{path}: has no '{key}', so it is of another version of flax_unet")
  return content


def read_label_space(folder: pathlib.Path) -> LabelSpace:
  """The classes that a run was trained on, even if their original file has changed or is gone.

  Raises:
    UserError: the run's copy is damaged.
  """
  path = folder / label_space_file.NAME
  if path.exists():
    return label_space_file.read(path)
  return label_spaces.get(read_config(folder)["label_space"])  # the run never began


def load_variables(folder: pathlib.Path, which: str) -> tuple[int, dict[str, Any]]:
  """Reads the variables of a run's checkpoint; returns its step and the variables.

  Raises:
    UserError: there is no intact checkpoint.
  """
  checkpoints = checkpoint.Checkpoints(folder, read_only=True)
  found = checkpoints.use(which, checkpoints.restore_variables)
  checkpoints.close()
  return found


def check_same_model(config: ml_collections.ConfigDict, folder: pathlib.Path) -> None:
  """Refuses a configuration whose network or classes differ from those of a run.

  Raises:
    UserError: the message names the first setting that differs.
  """
  keys = ("label_space", "model_name", "model", "images")
  before, now = (
    nested.flatten({key: content[key] for key in keys})
    for content in (workdir.to_json(config_of(folder)), workdir.to_json(config))
  )
  for key in sorted(before | now):
    if before.get(key) != now.get(key) and key not in _CHANGE_NOTHING:
      raise errors.UserError(
        f"{folder} holds a run with config.{key} = {before.get(key)}, not {now.get(key)}: give the "
        "--config that it was trained with"
      )
  if config.label_space.endswith(".csv") and not pathlib.Path(config.label_space).exists():
    return  # the run folder has a copy of its classes
  label_space = label_spaces.get(config.label_space)
  if difference := label_space_file.difference(read_label_space(folder), label_space):
    raise errors.UserError(
      f"the classes in {config.label_space} have changed since {folder} was trained "
      f"({difference}): use those that it was trained on"
    )
