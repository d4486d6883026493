"""U-Net training for semantic segmentation in JAX and Flax."""

import os

__version__ = "0.1.0"

# Before anything imports TensorFlow, which is chatty and here only reads and writes files.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # it names no file; our errors do
