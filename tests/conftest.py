"""What all tests share: four devices on this machine's CPU, strict JAX, one compilation cache."""

import os
import pathlib
import tempfile

# Before jax is imported, and for the processes that tests start: the number of devices is fixed
# when the backend starts.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(
  tempfile.gettempdir(), "flax_unet_test_cache"
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import jax
import pytest
from absl import flags

jax.config.update("jax_numpy_rank_promotion", "raise")
flags.FLAGS.mark_as_parsed()  # grain reads its own before it starts workers


@pytest.fixture(scope="session")
def cityscapes_zips() -> pathlib.Path:
  """The folder with (a sample of) the official Cityscapes archives; skips where there is none."""
  folder = os.environ.get("CITYSCAPES_ZIPS")
  if not folder:
    pytest.skip("CITYSCAPES_ZIPS does not name a folder with the Cityscapes archives")
  return pathlib.Path(folder)
