"""U-Net training for semantic segmentation in JAX and Flax.

    import flax_unet

    found = flax_unet.load("runs/street_scenes")
    labels = found.predict(image)  # uint8 [height, width, 3] to uint8 [height, width]

`load`, `train`, `evaluate` and `score` are told in `flax_unet/api.py`, and in `docs/python.md` with
examples. They are imported when they are first used, and `load` and `score` without TensorFlow.
"""

import os
from typing import Any

__version__ = "0.1.0"
__all__ = ["Model", "UserError", "evaluate", "load", "score", "train"]

# Before anything imports TensorFlow, which is chatty and here only reads and writes files.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # it names no file; our errors do


def __getattr__(name: str) -> Any:
  """Imports what is used; see the module's docstring."""
  if name not in __all__:
    raise AttributeError(f"module 'flax_unet' has no attribute '{name}'")
  if name == "UserError":
    from flax_unet.errors import UserError

    return UserError
  from flax_unet import api

  return getattr(api, name)
