"""A pickle reader for `torch.load` that executes nothing: it reads tensors, not other objects.

Published checkpoints often hold objects of the training program besides the weights, and PyTorch's
`weights_only=True` refuses such files as a whole. Here, anything that is not a tensor becomes a
`Placeholder`, and its class is not imported.

    torch.load(path, pickle_module=safe_pickle, weights_only=False)
"""

import collections
import pickle
from typing import Any, BinaryIO

# What a tensor is pickled as, and plain containers.
_ALLOWED = {
  ("collections", "OrderedDict"): collections.OrderedDict,
  **{
    ("torch._utils", name): name
    for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
  },
  **{
    ("torch", name): name
    for name in ("Size", "device", "float16", "bfloat16", "float32", "float64", "int64", "int32")
  },
}


class Placeholder(dict):
  """Stands for an object of a class that is not read; takes whatever a pickle does to it."""

  def __new__(cls, *_: Any, **__: Any) -> "Placeholder":
    """Ignores all arguments."""
    return super().__new__(cls)

  def __init__(self, *_: Any, **__: Any):
    """Ignores all arguments."""
    super().__init__()

  def __call__(self, *_: Any, **__: Any) -> "Placeholder":
    """Ignores all arguments."""
    return self

  def __setstate__(self, state: Any) -> None:
    """Ignores the state."""

  def __setitem__(self, key: Any, value: Any) -> None:
    """Ignores the item."""

  def append(self, item: Any) -> None:
    """Ignores the item."""

  def extend(self, items: Any) -> None:
    """Ignores the items."""

  def add(self, item: Any) -> None:
    """Ignores the item."""


class Unpickler(pickle.Unpickler):
  """Reads tensors, plain containers, and placeholders."""

  def find_class(self, module: str, name: str) -> Any:
    """Returns what rebuilds a tensor, or a placeholder; imports nothing else."""
    if (module, name) not in _ALLOWED:
      return Placeholder
    found = _ALLOWED[module, name]
    return super().find_class(module, name) if isinstance(found, str) else found


def load(file: BinaryIO, **options: Any) -> Any:
  """As `pickle.load`."""
  return Unpickler(file, **options).load()
