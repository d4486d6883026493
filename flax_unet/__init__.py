"""U-Net training for semantic segmentation in JAX and Flax.

    import flax_unet

    found = flax_unet.load("runs/street_scenes")
    labels = found.predict(image)  # uint8 [height, width, 3] to uint8 [height, width]

`flax_unet/api.py` documents `load`, `train`, `evaluate`, `history` and `score`; `docs/python.md`
has examples. They are imported on first use, all but `train` and `evaluate` without TensorFlow.
"""

import os
from typing import Any

__all__ = ["Model", "UserError", "evaluate", "history", "load", "score", "train"]

# Set before anything imports TensorFlow, which logs a lot and here only reads and writes files.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # its messages name no file; our errors do


def __getattr__(name: str) -> Any:
  """Imports a name on first use; see the module's docstring."""
  if name == "__version__":  # of the installed package, from the last tag of the repository
    from importlib import metadata

    return metadata.version("flax_unet")
  if name not in __all__:
    raise AttributeError(f"module 'flax_unet' has no attribute '{name}'")
  if name == "UserError":
    from flax_unet.errors import UserError

    return UserError
  from flax_unet import terminal

  terminal.quiet_libraries()  # first, as libraries log while they are imported
  from flax_unet import api

  return getattr(api, name)
