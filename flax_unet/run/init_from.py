"""Weights to start a run from: `config.init_from`."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging
from flax import traverse_util

from flax_unet import devices, errors
from flax_unet.models import base
from flax_unet.run import trained
from flax_unet.training import checkpoint
from flax_unet.training.state import TrainState
from flax_unet.weights import dialects, torch_files

_Flat = dict[tuple[str, ...], Any]  # keys: (collection, *layer, name)


@dataclasses.dataclass(frozen=True)
class Fit:
  """The part of some weights that fits a network.

  Attributes:
    variables: the weights that fit, `params` and `batch_stats`.
    dropped: the layers that the network does not have, or has in another shape.
    foreign: those of them that it does not have.
    new: the layers of the network without matching weights.
    adapted: the first convolution, if it had another number of input channels.
  """

  variables: dict[str, Any]
  dropped: tuple[str, ...]
  new: tuple[str, ...]
  adapted: tuple[str, ...] = ()
  foreign: tuple[str, ...] = ()


def read(where: str) -> dict[str, Any]:
  """Reads weights.

  Args:
    where: a run folder, whose newest checkpoint is read; a checkpoint, `<run>/checkpoints/<step>`;
      or a `.pth`, `.pt` or `.safetensors` file in one of the dialects in
      `weights`.

  Returns:
    `params` (their moving average if the run has one) and `batch_stats`, as NumPy arrays.

  Raises:
    UserError: it does not exist or cannot be read.
  """
  path = pathlib.Path(where).expanduser()
  if path.suffix in torch_files.SUFFIXES:
    dialect, variables = dialects.read(path)
    logging.info("%s: weights of %s", where, dialect.name)
    return variables
  is_checkpoint = path.parent.name == "checkpoints" and path.name.isdigit()
  folder = path.parents[1] if is_checkpoint else path
  if not (path if is_checkpoint else path / "checkpoints").is_dir():
    raise errors.UserError(
      f"{where}: is neither a run, nor one of its checkpoints (<run>/checkpoints/<step>), nor a "
      f"file that ends with {', '.join(torch_files.SUFFIXES)}"
    )
  if not is_checkpoint:
    return trained.load_variables(folder, "newest")[1]
  checkpoints = checkpoint.Checkpoints(folder, read_only=True)
  variables = checkpoints.restore_variables(int(path.name))
  checkpoints.close()
  return variables


def fit(variables: Mapping[str, Any], model: base.Network) -> Fit:
  """Picks the layers of the given weights that a network has too.

  A layer is taken only if all of its shared arrays agree in shape: a bias without its kernel, or
  statistics without their scale, would be useless. A first convolution with another number of input
  channels is adapted: its kernel is averaged over the inputs, repeated, and scaled to keep its
  sums.

  Args:
    variables: `params` and `batch_stats` of another network.
    model: the network.
  """
  given, wanted = _flatten(variables), _flatten(base.variable_shapes(model))
  adapted = [
    path
    for path, leaf in wanted.items()
    if path in given and _is_first(given[path].shape, leaf.shape, model.channels)
  ]
  for path in adapted:
    kernel = given[path]
    mean = kernel.mean(axis=2, keepdims=True) * (kernel.shape[2] / model.channels)
    given[path] = mean.repeat(model.channels, axis=2)
  shared = given.keys() & wanted.keys()
  misfits = {path[1:-1] for path in shared if given[path].shape != wanted[path].shape}
  taken = {path: given[path] for path in given if path in shared and path[1:-1] not in misfits}
  return Fit(
    traverse_util.unflatten_dict(taken),
    dropped=_layers(path for path in given if path not in taken),
    new=_layers(path for path in wanted if path not in taken),
    adapted=_layers(adapted),
    foreign=_layers(path for path in given if path not in wanted),
  )


def _is_first(given: tuple[int, ...], wanted: tuple[int, ...], channels: int) -> bool:
  """Whether these are the shapes of a first convolution for images of other channels."""
  same = len(given) == len(wanted) == 4 and given[:2] == wanted[:2] and given[3] == wanted[3]
  return same and wanted[2] == channels != given[2]


def _flatten(variables: Mapping[str, Any]) -> _Flat:
  return traverse_util.flatten_dict(dict(variables))


def _layers(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
  """The layers that the arrays belong to, without duplicates."""
  return tuple(dict.fromkeys("/".join(path[1:-1]) for path in paths))


def initial(where: str, model: base.Network) -> dict[str, Any]:
  """Reads the weights of `config.init_from` that fit the network, and logs which do not.

  Args:
    where: see `read`.
    model: the network.

  Raises:
    UserError: the weights cannot be read, or none of them fit.
  """
  try:
    variables = read(where)
  except errors.UserError as error:
    raise errors.UserError(f"config.init_from = {error}") from error
  found = fit(variables, model)
  if not found.variables:
    raise errors.UserError(
      f"config.init_from = {where}: none of its weights fit config.model; set --config.model_name "
      "and config.model.width to those that it was trained with"
    )
  words = [f"Starting from {where}: took {len(_flatten(found.variables))} arrays"]
  if found.adapted:
    words.append(f"adapted to {model.channels} channels: {', '.join(found.adapted)}")
  if found.dropped:
    words.append(f"dropped because they do not fit: {', '.join(found.dropped)}")
  if found.new:
    words.append(f"initialised randomly: {', '.join(found.new)}")
  logging.info("%s", "; ".join(words))
  taken = {path[1] for path in _flatten(found.variables)}
  if deeper := [name for name in found.foreign if name.partition("/")[0] in taken]:
    logging.warning(
      "%s has layers that %s does not, such as %s: its weights are of a deeper network",
      where,
      type(model).__name__,
      deeper[0],
    )
  return found.variables


def put(variables: Mapping[str, Any], state: TrainState) -> TrainState:
  """Puts fitting weights into a state, on all devices; the moving average starts from them too."""

  def replace(collection: str, tree: Any) -> Any:
    new = traverse_util.flatten_dict(variables.get(collection, {}))
    return traverse_util.unflatten_dict(traverse_util.flatten_dict(tree) | _copy(new))

  # The averages get copies of their own: the train step donates its state, and no buffer may be
  # donated twice.
  prefixes = [""] if state.ema_params is None else ["", "ema_"]
  names = {f"{prefix}{name}": name for prefix in prefixes for name in ("params", "batch_stats")}
  return state.replace(**{key: replace(name, getattr(state, key)) for key, name in names.items()})


def _copy(tree: Any) -> Any:
  """Copies arrays to all devices."""
  copy = functools.partial(jax.tree.map, jnp.copy)
  return jax.jit(copy, out_shardings=devices.replicated())(tree)
