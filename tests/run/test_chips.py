import importlib.util
import subprocess
import sys

import jax
import pytest

from flax_unet.errors import UserError
from flax_unet.run import chips

_DEVICES = """
import jax
from flax_unet.run import chips
jax.config.update("jax_platforms", "cpu")
for name in ("v4:2x2x1", "v5e:1x1", "v5e:2x4", "v5p:2x2x1", "v6e:4x4"):
  devices = chips.topology_devices(name)
  print(name, len(devices), chips.find(devices[0]).name)
"""


def test_an_unknown_topology_is_refused_with_those_there_are():
  message = r"unknown TPU topology 'v5e:2x5': did you mean 'v5e:2x\d'\? choose from v4:2x2x1, "
  with pytest.raises(UserError, match=message):
    chips.topology_devices("v5e:2x5")


def test_without_libtpu_says_how_to_install_it(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(UserError, match=r"libtpu, which is not installed: pip install -e '.\[tpu\]'"):
    chips.topology_devices("v5e:2x4")


def test_a_cpu_is_no_chip():
  assert chips.find(jax.devices()[0]) is None


def test_a_chip_is_one_device():
  pytest.importorskip("libtpu")
  # In a separate process: libtpu writes to file descriptors, and stays loaded.
  result = subprocess.run(
    [sys.executable, "-c", _DEVICES], capture_output=True, text=True, check=True
  )
  assert result.stdout.splitlines() == [
    "v4:2x2x1 4 v4",
    "v5e:1x1 1 v5e",
    "v5e:2x4 8 v5e",
    "v5p:2x2x1 4 v5p",
    "v6e:4x4 16 v6e",
  ]
