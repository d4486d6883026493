"""Converts runs to PyTorch state dicts, and back."""

import pathlib
import sys

import ml_collections
from absl import logging

from flax_unet import errors
from flax_unet.data import label_space_file
from flax_unet.run import init_from, lock, parts, trained, workdir
from flax_unet.training import checkpoint
from flax_unet.weights import dialects, torch_files


def to_file(folder: pathlib.Path, which: str, output: pathlib.Path) -> None:
  """Writes the weights that a run predicts with as a state dict.

  Raises:
    UserError: there is no such run, its network has no PyTorch counterpart, or the file cannot be
      written.
  """
  torch_files.check_suffix(output)
  found = trained.load(folder, which)
  try:
    dialect = dialects.for_model(found.model)
  except ValueError as error:
    raise errors.UserError(f"{folder}: {error}") from error
  torch_files.write(output, dialect.state_dict(found.variables))
  logging.info("Wrote step %d of %s to %s, for %s", found.step, folder, output, dialect.name)


def to_run(source: str, config: ml_collections.ConfigDict, folder: pathlib.Path) -> None:
  """Creates a new run that starts from the weights of a state dict.

  Raises:
    UserError: the file cannot be read or does not fit the configuration, or the folder holds a run.
  """
  path = pathlib.Path(source).expanduser()
  torch_files.check_suffix(path)
  built = parts.build(config)
  if checkpoint.exist(folder):
    raise errors.UserError(f"{folder} holds a run already: choose a new --workdir")
  dialect, variables = dialects.read(path)
  if not dialect.network:
    raise errors.UserError(
      f"{source} holds an encoder, {dialect.name}, and no whole network: train with "
      f"--config.init_from={source}"
    )
  if dialect.network != config.model_name:
    raise errors.UserError(
      f"config.model_name = '{config.model_name}': {source} holds {dialect.name}, which is "
      f"'{dialect.network}'"
    )
  try:
    dialect.check(built.model)
  except ValueError as error:
    raise errors.UserError(f"config.model: {error}, as {source}") from error
  if dialect.normalization and dialect.normalization != (built.model.mean, built.model.stddev):
    config.model.mean, config.model.stddev = dialect.normalization
    logging.info("config.model.mean = %s, stddev = %s: those of %s", *dialect.normalization, source)
    built = parts.build(config)
  elif not dialect.normalization:
    logging.info(
      "Images are normalised by config.model.mean = %s, stddev = %s: %s does not "
      "say how it normalises",
      *(built.model.mean, built.model.stddev, source),
    )
  model = built.model
  fit = init_from.fit(variables, model)
  if misfits := dict.fromkeys(fit.dropped + fit.new + fit.adapted):
    raise errors.UserError(
      f"{source} does not fit config.model and config.label_space, which differ in "
      f"{', '.join(misfits)}"
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
  logging.info("%s is a run at step 0 with the weights of %s, %s", folder, source, dialect.name)
