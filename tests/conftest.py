"""Shared by all tests: four devices on this machine's CPU, strict JAX, a compilation cache."""

import functools
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

# Before jax is imported, and for the processes that tests start: the number of devices is fixed
# when the backend starts.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
  "--xla_force_host_platform_device_count=4"
  " --xla_backend_optimization_level=1"  # compiles tiny networks ten times as fast
)
# One per pytest-xdist process: jax does not write its files atomically.
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(
  tempfile.gettempdir(), "flax_unet_test_cache", os.environ.get("PYTEST_XDIST_WORKER", "")
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from absl import flags

from configs import street_scenes
from flax_unet.data import label_spaces
from flax_unet.models.unet import UNet
from flax_unet.run import parts, workdir
from flax_unet.street_scenes import StreetScenes
from flax_unet.training import checkpoint, optimizer, state
from flax_unet.training.checkpoint_scores import DecisiveScore

jax.config.update("jax_numpy_rank_promotion", "raise")
flags.FLAGS.mark_as_parsed()  # grain parses its own flags before it starts workers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """The slowest tests run first, so that no process has to wait for another at the end."""
  items.sort(key=lambda item: item.path.parent.name != "faults")


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs():
  """Frees what a module has compiled; that of all modules together takes 6 GiB."""
  yield
  jax.clear_caches()


@pytest.fixture(scope="session")
def cityscapes_zips() -> pathlib.Path:
  """The folder with (a sample of) the official Cityscapes archives; skips the test without one."""
  folder = os.environ.get("CITYSCAPES_ZIPS")
  if not folder:
    pytest.skip("CITYSCAPES_ZIPS does not name a folder with the Cityscapes archives")
  return pathlib.Path(folder)


@pytest.fixture(scope="session")
def pixelwise_unet() -> Callable[..., tuple[UNet, dict[str, Any], np.ndarray]]:
  """Makes a U-Net whose logits are a linear function of the normalised pixel, and that function.

  Its 3x3 convolutions only use the central pixel, and nothing comes up from below the first
  skip, so at every pixel `logits = normalize(image) @ kernel`, whatever the padding and the size.
  """

  def make(num_classes: int = 7, **attributes: Any) -> tuple[UNet, dict[str, Any], np.ndarray]:
    model = UNet(num_classes, width=3, norm="none", **attributes)
    side = model.geometry.covering_size(1)
    shapes = jax.eval_shape(
      functools.partial(model.init, train=False), jax.random.key(0), jnp.zeros((1, side, side, 3))
    )
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes["params"])
    for block in ("encoder_0", "decoder_0"):
      for conv in ("conv_1", "conv_2"):
        params[block][conv]["kernel"][1, 1, :3] = np.eye(3)
    params["encoder_0"]["conv_1"]["bias"] += 3  # pixels are above -3: no ReLU clips them
    kernel = np.random.default_rng(0).normal(size=(3, num_classes)).astype(np.float32)
    params["logits"]["kernel"][0, 0] = kernel
    params["logits"]["bias"][:] = -3 * kernel.sum(0)
    return model, {"params": params}, kernel

  return make


@pytest.fixture(scope="session")
def street_scenes_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A `data_dir` with `street_scenes/tiny` prepared: 16 + 7 + 4 images of 64 x 128."""
  folder = tmp_path_factory.mktemp("street_scenes")
  StreetScenes(config="tiny", data_dir=folder, file_format="array_record").download_and_prepare()
  return folder


@pytest.fixture(scope="session")
def tiny_config(street_scenes_dir: pathlib.Path) -> Callable[..., ml_collections.ConfigDict]:
  """Makes the configuration of thirty steps of a tiny network, in crops of 32 x 64 pixels."""

  def make(**changes: Any) -> ml_collections.ConfigDict:
    config = street_scenes.get_config("runlocal")
    config.update_from_flattened_dict(
      {
        "total_steps": 30,
        "input.data.data_dir": str(street_scenes_dir),
        "input.pp": "label_map|random_crop(32, 64)|flip_lr|photometric",
        "input.batch_size": 4,
        "model.width": 4,
        "model.depth": 2,
        "ema_decay": 0.9,
        "evals.val.batch_size": 4,
        "evals.val.log_steps": 15,
        "evals.val.num_pictures": 1,
        "log_training_steps": 5,
        "ckpt_steps": 17,
        **changes,
      }
    )
    return config

  return make


@pytest.fixture(scope="session")
def make_run() -> Callable[..., state.TrainState]:
  """Makes a folder that looks like a run of ten steps; returns what its checkpoint holds.

  If the configuration averages the parameters, the averages differ from the parameters.
  """

  def make(folder: pathlib.Path, config: ml_collections.ConfigDict) -> state.TrainState:
    workdir.write_config(folder, config)
    made = state.create(
      parts.make_model(config, label_spaces.get(config.label_space)),
      optimizer.make(config, 10),
      image_size=(18, 18),
      seed=3,
      ema=config.ema_decay is not None,
    )
    if made.ema_params is not None:
      averages = jax.tree.map(lambda x: x + 0.5, (made.params, made.batch_stats))
      made = made.replace(ema_params=averages[0], ema_batch_stats=averages[1])
    checkpoints = checkpoint.Checkpoints(folder)
    checkpoints.save(made, 10, place={})
    checkpoints.wait_until_finished()
    checkpoints.scores.write(10, {"val": "digest"}, DecisiveScore("digest", 0.5))
    checkpoints.close()
    return made

  return make
