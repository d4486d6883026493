"""Times training with checkpoints against training without.

    python -m benchmarks.checkpoints --config=configs/street_scenes.py [--every=50] [--pairs=5]

Alternates two kinds of blocks of steps in one process: one starts with a save, which runs in the
background during the steps and is waited for at the end; the other saves nothing. Prints the median
ratio of their times, and how long a save blocks the loop. The step is that of the training loop, on
random images; the checkpoint holds everything that a real one does.
"""

import pathlib
import statistics
import tempfile
import time

import jax
import numpy as np
from absl import flags

from flax_unet import config_flag, errors, terminal
from flax_unet.run import parts
from flax_unet.training import checkpoint, flops

_CONFIG = config_flag.define()
_EVERY = flags.DEFINE_integer("every", 50, "Steps per block.", lower_bound=1)
_PAIRS = flags.DEFINE_integer("pairs", 5, "Pairs of blocks to time.", lower_bound=1)
_IMAGE_SIZE = flags.DEFINE_string("image_size", "128x256", "HEIGHTxWIDTH in pixels.")


def main(_) -> None:
  """Runs the program; see above."""
  config = _CONFIG.value
  built = parts.build(config)
  height, width = map(int, _IMAGE_SIZE.value.split("x"))
  state = built.init_state((height, width), total_steps=10**6)
  shapes = flops.batch_shapes(
    config.input.batch_size, (height, width), jax.device_count(), built.image_format
  )
  random = np.random.default_rng(0)
  batch = {
    key: random.integers(built.model.num_classes, size=shape.shape, dtype=shape.dtype)
    for key, shape in shapes.items()
  }
  train_step = built.map_train_step()
  state, _ = train_step(state, batch)

  times = {True: [], False: []}
  blocked = []
  with tempfile.TemporaryDirectory() as folder:
    checkpoints = checkpoint.Checkpoints(pathlib.Path(folder))
    for block in range(2 * _PAIRS.value + 2):
      saves = block % 2 == 0
      jax.block_until_ready(state)
      start = time.perf_counter()
      if saves:
        checkpoints.save(state, block, place={})
        blocked.append(time.perf_counter() - start)
      for _ in range(_EVERY.value):
        state, metrics = train_step(state, batch)
        jax.block_until_ready(metrics)
      if saves:
        checkpoints.wait_until_finished()
      times[saves].append(time.perf_counter() - start)
    checkpoints.close()

  with_saves, without = times[True][1:], times[False][1:]  # the first blocks warm up
  step = statistics.median(without) / _EVERY.value
  ratio = statistics.median(a / b for a, b in zip(with_saves, without, strict=True))
  blocking = statistics.median(blocked[1:])
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  print(f"checkpoint             {size / 2**20:.1f} MiB")
  print(f"step                   {step:.4g} s")
  print(f"a save blocks for      {blocking:.4g} s, {blocking / step:.2g} steps")
  print(f"with / without saves   {ratio:.4f}")


if __name__ == "__main__":
  flags.mark_flag_as_required("config")
  terminal.set_up()
  errors.run(main)
