"""PyTorch's files of weights: `.pth`, `.pt` and `.safetensors`.

Only this module needs PyTorch and safetensors, so they are imported when a file is opened.
"""

import hashlib
import importlib
import pathlib
import re
import zipfile
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from absl import logging

from flax_unet import errors, files
from flax_unet.weights import safe_pickle

SUFFIXES = (".pth", ".pt", ".safetensors")
# Where training programs have the weights among other things, in the order of preference.
_KEYS = ("state_dict", "model_state_dict", "model", "net", "module", "weights")


def check_suffix(path: pathlib.Path) -> None:
  """Refuses a name that does not tell the format.

  Raises:
    UserError: it ends with none of `SUFFIXES`.
  """
  if path.suffix not in SUFFIXES:
    raise errors.UserError(f"{path}: a file of weights must end with {', '.join(SUFFIXES)}")


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads a state dict: float32 arrays by name. Nothing in the file is executed.

  A checkpoint of a training program may hold it under one of the usual keys, such as `state_dict`.
  A name such as `resnet34-b627a593.pth` ends with the beginning of the file's SHA-256, which is
  compared.

  Raises:
    UserError: the file is missing or damaged, no state dict, or its package is not installed.
  """
  check_suffix(path)
  if not path.is_file():
    raise errors.UserError(f"{path}: there is no such file")
  library = _import(path)
  try:
    if path.suffix == ".safetensors":
      state_dict = library.load_file(path)
    else:
      state_dict = _load_pickle(path, library)
  except errors.UserError:
    raise
  except Exception as error:  # of a dozen types, from a zip's to those of pickle
    raise errors.UserError(
      f"{path}: cannot be read as a state dict ({_first_sentence(error)}); write one with "
      "torch.save(model.state_dict(), FILE)"
    ) from error
  _check_hash(path)
  arrays = {name: np.asarray(array, np.float32) for name, array in state_dict.items()}
  for name, array in arrays.items():
    if not np.isfinite(array).all():
      raise errors.UserError(
        f"{path}: tensor '{name}' has values that are not finite: its training diverged"
      )
  return arrays


def _load_pickle(path: pathlib.Path, torch: ModuleType) -> dict[str, np.ndarray]:
  if zipfile.is_zipfile(path):
    with zipfile.ZipFile(path) as archive:
      if any(name.endswith("constants.pkl") for name in archive.namelist()):
        raise ValueError("it is a TorchScript program")
      if damaged := archive.testzip():  # PyTorch does not compare the checksums
        raise ValueError(f"its part {damaged} is damaged")
  content = torch.load(path, map_location="cpu", pickle_module=safe_pickle, weights_only=False)
  state_dict = _find_state_dict(content, torch)
  return {
    name: value.detach().float().numpy()
    for name, value in state_dict.items()
    if isinstance(name, str) and isinstance(value, torch.Tensor)
  }


def _find_state_dict(content: Any, torch: ModuleType) -> Mapping[str, Any]:
  """The mapping that holds the tensors: the content, or what lies under a usual key."""
  if not isinstance(content, dict) or isinstance(content, safe_pickle.Placeholder):
    raise ValueError(f"it holds a {type(content).__name__}, not a dictionary of tensors")
  if any(isinstance(value, torch.Tensor) for value in content.values()):
    return content
  for key in _KEYS:
    if isinstance(content.get(key), safe_pickle.Placeholder):
      continue
    if isinstance(content.get(key), dict):
      return _find_state_dict(content[key], torch)
  keys = ", ".join(map(str, list(content)[:5]))
  raise ValueError(
    f"it holds no tensors, nor a state dict under a usual key, but {keys or 'nothing'}"
  )


def sha256(path: pathlib.Path) -> str:
  """The SHA-256 of a file, in hexadecimal."""
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hash(path: pathlib.Path) -> None:
  """Compares a file with the beginning of its SHA-256 in its name, where there is one.

  Raises:
    UserError: they differ.
  """
  named = re.search(r"-([0-9a-f]{8})$", path.stem)
  if not named:
    return
  digest = sha256(path)
  if digest.startswith(named[1]):
    logging.info("%s: its SHA-256 begins with %s, as its name says", path, named[1])
  elif named[1].isdecimal():  # a date, perhaps
    logging.warning("%s: its SHA-256 begins with %s, not as its name ends", path, digest[:8])
  else:
    raise errors.UserError(
      f"{path}: its SHA-256 begins with {digest[:8]}, but its name says {named[1]}: the file is "
      "damaged or another one; fetch it again, or rename it"
    )


def write(path: pathlib.Path, state_dict: Mapping[str, np.ndarray]) -> None:
  """Writes a state dict, all or nothing.

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
  """Imports what reads and writes a file of this name."""
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
