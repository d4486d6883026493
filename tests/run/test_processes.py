import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, jax
from configs import street_scenes
from flax_unet.run import processes
os.cpu_count = lambda: 8
config = street_scenes.get_config()
sizes = map(int, sys.argv[1:])
config.input.batch_size, config.evals.val.batch_size, config.accumulate_steps = sizes
processes.divide_cores(config)
print(jax.device_count())
"""


@pytest.mark.parametrize(
  ("batch_sizes", "flags", "devices"),
  [
    ((16, 8, 1), "", 8),
    ((6, 4, 1), "", 2),
    ((8, 8, 4), "", 2),  # each part of the batch has two images
    ((1, 4, 1), "", 1),
    ((0, 4, 1), "", 1),  # refused later
    ((16, 8, 1), "--xla_force_host_platform_device_count=3", 3),
  ],
)
def test_cores_are_devices_as_far_as_the_batches_allow(batch_sizes, flags, devices):
  result = subprocess.run(
    [sys.executable, "-c", PROGRAM, *map(str, batch_sizes)],
    env=os.environ | {"XLA_FLAGS": flags},
    capture_output=True,
    text=True,
    check=True,
  )
  assert int(result.stdout) == devices
