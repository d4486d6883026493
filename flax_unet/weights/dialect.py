"""A dialect of weights maps PyTorch's tensor names to ours."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from flax_unet import terminal
from flax_unet.models import base

Path = tuple[str, ...]

# Axes of PyTorch's tensors in our order: `array.transpose(axes)` is ours.
VECTOR = (0,)
DENSE = (1, 0)  # [out, in]
CONV = (2, 3, 1, 0)  # [out, in, height, width]
TRANSPOSED = (2, 3, 0, 1)  # [in, out, height, width]

_NORM = {
  "weight": ("params", "scale"),
  "bias": ("params", "bias"),
  "running_mean": ("batch_stats", "mean"),
  "running_var": ("batch_stats", "var"),
}


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor by its name there and its path here.

  Attributes:
    name: PyTorch's.
    path: ours: collection, layers and name.
    axes: of PyTorch's tensor, in our order.
    optional: whether files may lack it.
    is_shift: whether it is the bias of a convolution in front of a batch normalisation: ours has
      none, as it only moves the mean that is subtracted again. It is taken off the running mean.
    window: height and width of the kernel that PyTorch's matrix `[out, in * height * width]` is;
      None: it is of as many axes as `axes` has.
  """

  name: str
  path: Path
  axes: tuple[int, ...] = VECTOR
  optional: bool = False
  is_shift: bool = False
  window: tuple[int, int] | None = None

  def to_ours(self, array: np.ndarray) -> np.ndarray:
    """Arranges PyTorch's array as ours.

    Raises:
      ValueError: it has another number of axes.
    """
    if self.window and array.ndim == 2 and array.shape[1] % np.prod(self.window) == 0:
      array = array.reshape(array.shape[0], -1, *self.window)
    if array.ndim != len(self.axes):
      raise ValueError(f"'{self.name}' is of shape {list(array.shape)}")
    return np.asarray(array, np.float32).transpose(self.axes)

  def to_torch(self, array: np.ndarray) -> np.ndarray:
    """Arranges our array as PyTorch's, a copy in C order."""
    return np.asarray(array, np.float32).transpose(np.argsort(self.axes)).copy()


@dataclasses.dataclass(frozen=True)
class Dialect:
  """The names of one network in one program.

  Attributes:
    name: what messages call it.
    tensors: all that files hold, except for batch counters.
    network: `config.model_name` that it belongs to; empty: it is an encoder's.
    attributes: those that the network needs to compute the same.
    widths: attributes that the program has fixed, and so files to write need.
    normalization: mean and standard deviation of its images, in units of 0..1; None: not known.
  """

  name: str
  tensors: tuple[Tensor, ...]
  network: str = ""
  attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  widths: Mapping[str, int] = dataclasses.field(default_factory=dict)
  normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = (base.MEAN, base.STDDEV)

  def match(self, names: Iterable[str]) -> tuple[int, int]:
    """How many of the names this dialect knows, and minus how many of its own are missing."""
    names = set(names)
    known = {tensor.name for tensor in self.tensors}
    missing = {tensor.name for tensor in self.tensors if not tensor.optional} - names
    return len(known & names), -len(missing)

  def variables(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Arranges a state dict as our variables.

    Args:
      state_dict: float arrays by PyTorch's names.

    Returns:
      `params` and `batch_stats`, float32.

    Raises:
      ValueError: it has other names or shapes; the message says what is missing and left over.
    """
    left = {key: value for key, value in state_dict.items() if not is_counter(key)}
    missing = [t.name for t in self.tensors if not t.optional and t.name not in left]
    known = {tensor.name for tensor in self.tensors}
    unknown = [name for name in left if name not in known]
    if missing or unknown:
      parts = [
        f"{terminal.counted(len(names), 'tensor')} {kind}, such as '{names[0]}'"
        for kind, names in (("missing", missing), ("left over", unknown))
        if names
      ]
      raise ValueError(f"nearest to {self.name}, with {' and '.join(parts)}")
    flat: dict[Path, np.ndarray] = {}
    shifts = []
    for tensor in self.tensors:
      if tensor.name in left:
        try:
          array = tensor.to_ours(np.asarray(left[tensor.name]))
        except ValueError as error:
          raise ValueError(f"not a state dict of {self.name}: {error}") from error
        if tensor.is_shift:
          shifts.append((tensor.path, array))
        else:
          flat[tensor.path] = array
    for path, shift in shifts:
      flat[path] = flat[path] - shift
    return traverse_util.unflatten_dict(flat)

  def state_dict(self, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arranges our variables as a state dict, float32, with counters of batches that are 0.

    The counters play no part in a batch normalisation with a momentum.
    """
    flat = traverse_util.flatten_dict(dict(variables))
    state_dict = {}
    for tensor in self.tensors:
      if tensor.path in flat and not tensor.is_shift:
        state_dict[tensor.name] = tensor.to_torch(flat[tensor.path])
        if tensor.name.endswith("running_var"):
          counter = tensor.name.replace("running_var", "num_batches_tracked")
          state_dict[counter] = np.zeros((), np.int64)
    return state_dict

  def check(self, model: base.Network) -> None:
    """Refuses a network whose attributes make it compute something else.

    Raises:
      ValueError: the message names the attributes.
    """
    differences = _differences(model, self.attributes)
    if differences:
      needed = ", ".join(f"{key}={value!r}" for key, value in self.attributes.items())
      raise ValueError(
        f"{type(model).__name__} with {differences} does not fit {self.name}, which has {needed}"
      )

  def check_to_write(self, model: base.Network) -> None:
    """Refuses a network that the dialect's program has no class for.

    Raises:
      ValueError: the message names the attributes.
    """
    self.check(model)
    if differences := _differences(model, self.widths):
      needed = ", ".join(f"{key}={value!r}" for key, value in self.widths.items())
      raise ValueError(f"{differences}: {self.name} only has {needed}")


def _differences(model: base.Network, attributes: Mapping[str, Any]) -> str:
  return ", ".join(
    f"{key}={getattr(model, key, None)!r}"
    for key, value in attributes.items()
    if getattr(model, key, None) != value
  )


def is_counter(name: str) -> bool:
  """Whether a tensor counts the batches that a batch normalisation has seen."""
  return name.endswith("num_batches_tracked")


def conv(name: str, *path: str, bias: bool = False) -> Iterator[Tensor]:
  """The tensors of a convolution `name` that is the layer `path`."""
  yield Tensor(f"{name}.weight", ("params", *path, "kernel"), CONV)
  if bias:
    yield Tensor(f"{name}.bias", ("params", *path, "bias"))


def batch_norm(name: str, *path: str) -> Iterator[Tensor]:
  """The tensors of a batch normalisation."""
  for theirs, (collection, ours) in _NORM.items():
    yield Tensor(f"{name}.{theirs}", (collection, *path, ours))


def conv_norm(
  conv_name: str, norm_name: str, *path: str, layers: tuple[str, str] = ("conv", "norm")
) -> Iterator[Tensor]:
  """The tensors of a convolution and the batch normalisation behind it.

  Args:
    conv_name: PyTorch's name of the convolution, which may have a bias.
    norm_name: of the normalisation.
    *path: of the block here.
    layers: names of the two in it.
  """
  yield from conv(conv_name, *path, layers[0])
  yield from batch_norm(norm_name, *path, layers[1])
  mean = ("batch_stats", *path, layers[1], "mean")
  yield Tensor(f"{conv_name}.bias", mean, VECTOR, optional=True, is_shift=True)
