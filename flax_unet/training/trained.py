"""A trained model, read from the folder of its run alone, without the configuration's file."""

import dataclasses
import pathlib
from typing import Any

import ml_collections

from flax_unet import errors, files
from flax_unet.data import label_space_file, label_spaces, ops, padding
from flax_unet.data.label_space import LabelSpace
from flax_unet.models.base import Network
from flax_unet.training import checkpoint, experiment, fit, workdir

_CHANGE_NOTHING = ("model.dropout", "model.remat")  # once a network is trained


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

  model: Network
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
  config = ml_collections.ConfigDict(read_config(folder))
  label_space = read_label_space(folder)
  step, variables = load_variables(folder, which)
  model = experiment.make_model(config, label_space)
  fit.check_variables(model, variables, str(folder))
  multiple = fitting_arguments(config, label_space)["multiple"]
  return TrainedModel(model, variables, label_space, step, multiple)


def fitting_arguments(config: ml_collections.ConfigDict, label_space: LabelSpace) -> dict[str, Any]:
  """How the first evaluation makes images fit the network: arguments of `Predictor`."""
  name, eval_config = next(iter(experiment.ordered_evals(config).items()))
  chain = experiment.make_op(f"evals.{name}", eval_config.pp, label_space).ops
  resizes = [op for op in chain if isinstance(op, ops.Resize | ops.ResizeImage)]
  return {
    "resize": (resizes[-1].height, resizes[-1].width) if resizes else None,
    "multiple": padding.multiple_of(chain),
  }


def read_config(folder: pathlib.Path) -> dict[str, Any]:
  """Reads the configuration of a run, as JSON has it.

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
  """The classes that a run was trained on, whatever has become of their file.

  Raises:
    UserError: they are damaged.
  """
  path = folder / label_space_file.NAME
  if path.exists():
    return label_space_file.read(path)
  return label_spaces.get(read_config(folder)["label_space"])  # of a run that never began


def load_variables(folder: pathlib.Path, which: str) -> tuple[int, dict[str, Any]]:
  """Reads the variables of a run's checkpoint, and says of which step they are.

  Raises:
    UserError: there is no checkpoint that is intact.
  """
  checkpoints = checkpoint.Checkpoints(folder, read_only=True)
  found = checkpoints.use(which, checkpoints.restore_variables)
  checkpoints.close()
  return found


def check_same_model(config: ml_collections.ConfigDict, folder: pathlib.Path) -> None:
  """Refuses a configuration with another network or other classes than those of a run.

  Raises:
    UserError: names the first setting that differs.
  """
  keys = ("label_space", "model_name", "model")
  before, now = (
    workdir.flatten({key: content[key] for key in keys})
    for content in (read_config(folder), workdir.to_json(config))
  )
  for key in sorted(before | now):
    if before.get(key) != now.get(key) and key not in _CHANGE_NOTHING:
      raise errors.UserError(
        f"{folder} holds a run with config.{key} = {before.get(key)}, not {now.get(key)}: give the "
        "--config that it was trained with"
      )
  if config.label_space.endswith(".csv") and not pathlib.Path(config.label_space).exists():
    return  # the run has its classes
  label_space = label_spaces.get(config.label_space)
  if difference := label_space_file.difference(read_label_space(folder), label_space):
    raise errors.UserError(
      f"the classes in {config.label_space} have changed since {folder} was trained "
      f"({difference}): use those that it was trained on"
    )
