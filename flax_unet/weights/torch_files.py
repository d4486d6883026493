"""Reads and writes PyTorch weights: `.pth`, `.pt` and `.safetensors`.

PyTorch and safetensors are only needed here, so they are imported when a file is opened.
"""

import importlib
import pathlib
from collections.abc import Mapping
from types import ModuleType

import numpy as np

from flax_unet import errors, files

SUFFIXES = (".pth", ".pt", ".safetensors")


def check_suffix(path: pathlib.Path) -> None:
  """Refuses a name that does not indicate the format.

  Raises:
    UserError: it ends with none of `SUFFIXES`.
  """
  if path.suffix not in SUFFIXES:
    raise errors.UserError(f"{path}: a weights file must end with {', '.join(SUFFIXES)}")


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads a state dict: float32 arrays by name. No code in the file is executed.

  Raises:
    UserError: the file is missing, damaged or not a state dict, or its package is not installed.
  """
  check_suffix(path)
  if not path.is_file():
    raise errors.UserError(f"{path}: there is no such file")
  library = _import(path)
  try:
    if path.suffix == ".safetensors":
      state_dict = library.load_file(path)
    else:
      state_dict = library.load(path, map_location="cpu", weights_only=True)
      state_dict = {
        name: value.float().numpy()
        for name, value in state_dict.items()
        if isinstance(value, library.Tensor)  # training programs may add their settings
      }
  except Exception as error:  # may have many types, from zipfile's to pickle's
    raise errors.UserError(
      f"{path}: cannot be read as a state dict ({_first_sentence(error)}); save one with "
      "torch.save(model.state_dict(), FILE)"
    ) from error
  return {name: np.asarray(array, np.float32) for name, array in state_dict.items()}


def write(path: pathlib.Path, state_dict: Mapping[str, np.ndarray]) -> None:
  """Writes a state dict atomically.

  Raises:
    UserError: the file cannot be written, or its package is not installed.
  """
  check_suffix(path)
  library = _import(path)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
      if path.suffix == ".safetensors":
        library.save_file(dict(state_dict), temporary)
      else:
        tensors = {name: library.from_numpy(array) for name, array in state_dict.items()}
        library.save(tensors, temporary)
  except OSError as error:
    raise errors.UserError(f"{path}: cannot be written ({error.strerror})") from error


def _import(path: pathlib.Path) -> ModuleType:
  """Imports the package that reads and writes a file of this name."""
  name = "safetensors.numpy" if path.suffix == ".safetensors" else "torch"
  try:
    return importlib.import_module(name)
  except ImportError as error:
    package = name.partition(".")[0]
    raise errors.UserError(
      f"{path}: {path.suffix} files need the package {package}, which is not installed: "
      "pip install 'flax_unet[convert]'"
    ) from error


def _first_sentence(error: Exception) -> str:
  lines = str(error).splitlines() or [type(error).__name__]
  return lines[0].split(". ")[0].rstrip(".")
