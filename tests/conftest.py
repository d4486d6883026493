"""What all tests share: four devices on this machine's CPU, strict JAX, one compilation cache."""

import os
import pathlib
import tempfile

# Before jax is imported: the number of devices is fixed when its backend starts.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update(
  "jax_compilation_cache_dir", str(pathlib.Path(tempfile.gettempdir()) / "flax_unet_test_cache")
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="session")
def cityscapes_zips() -> pathlib.Path:
  """The folder with (a sample of) the official Cityscapes archives; skips where there is none."""
  folder = os.environ.get("CITYSCAPES_ZIPS")
  if not folder:
    pytest.skip("CITYSCAPES_ZIPS does not name a folder with the Cityscapes archives")
  return pathlib.Path(folder)
