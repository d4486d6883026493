"""Converts runs to PyTorch state dicts, and back."""

import pathlib
import sys

import ml_collections
from absl import logging

from flax_unet import errors
from flax_unet.data import label_space_file
from flax_unet.models import base
from flax_unet.run import init_from, lock, parts, trained, workdir
from flax_unet.training import checkpoint
from flax_unet.weights import milesial, torch_files


def to_file(folder: pathlib.Path, which: str, output: pathlib.Path) -> None:
  """Writes the weights that a run predicts with as a state dict.

  Raises:
    UserError: there is no such run, its network has no PyTorch counterpart, or the file cannot be
      written.
  """
  torch_files.check_suffix(output)
  found = trained.load(folder, which)
  _check(found.model, str(folder))
  torch_files.write(output, milesial.to_torch(found.variables))
  logging.info("Wrote step %d of %s to %s", found.step, folder, output)


def to_run(source: str, config: ml_collections.ConfigDict, folder: pathlib.Path) -> None:
  """Creates a new run that starts from the weights of a state dict.

  Raises:
    UserError: the file cannot be read or does not fit the configuration, or the folder holds a run.
  """
  built = parts.build(config)
  model = built.model
  _check(model, "config.model")
  if checkpoint.exist(folder):
    raise errors.UserError(f"{folder} holds a run already: choose a new --workdir")
  fit = init_from.fit(init_from.read(source), model)
  if fit.dropped or fit.new:
    raise errors.UserError(
      f"{source} does not fit config.model and config.label_space, which differ in "
      f"{', '.join(dict.fromkeys(fit.dropped + fit.new))}"
    )
  side = model.geometry.covering_size(1)
  start = built.init_state((side, side), config.total_steps or sys.maxsize)
  with lock.hold(folder):
    if checkpoint.exist(folder):
      raise errors.UserError(f"{folder} holds a run already: choose a new --workdir")
    workdir.write_config(folder, config)
    label_space_file.write(folder / label_space_file.NAME, built.label_space)
    checkpoints = checkpoint.Checkpoints(folder)
    checkpoints.save(
      init_from.put(fit.variables, start),
      0,
      place={
        "examples_seen": 0,
        "skipped": [],
        "unwritten_metrics": [],
        "config": workdir.to_json(config),
      },
    )
    checkpoints.close()
  logging.info("%s is a run at step 0 with the weights of %s", folder, source)


def _check(model: base.Network, where: str) -> None:
  """Refuses a network that the state dict's layout cannot represent."""
  try:
    milesial.check(model)
  except ValueError as error:
    raise errors.UserError(f"{where}: {error}") from error
