"""TPU chips: their specifications, and how to compile for them without having one.

The numbers are from Google's documentation (2026-11): https://cloud.google.com/tpu/docs/v4,
`/v5e`, `/v5p-training` and `/v6e`.
"""

import dataclasses
import importlib.util
import os

import jax
from jax.experimental import topologies

from flax_unet import errors

_TORUS_2D = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_TORUS_3D = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8")


@dataclasses.dataclass(frozen=True)
class Chip:
  """A kind of chip; jax sees each chip as one device.

  Attributes:
    name: the name it is rented under.
    device_kind: its name in jax.
    memory: HBM in bytes. The compiler reserves about 2 % of it for the system.
    flops: peak rate of bfloat16 matrix products, in FLOP/s. Convolutions of float32 arrays run at
      the same rate, because jax rounds their inputs to bfloat16 on TPUs by default.
    bandwidth: HBM bandwidth in bytes per second.
    shapes: available topologies, as the number of chips in each direction.
    mode: how libtpu turns the chip into one device.
  """

  name: str
  device_kind: str
  memory: int
  flops: float
  bandwidth: float
  shapes: tuple[str, ...]
  mode: str = "default"


CHIPS = (
  Chip("v4", "TPU v4", 32 * 2**30, 275e12, 1200e9, _TORUS_3D, mode="megacore"),  # two cores as one
  Chip("v5e", "TPU v5 lite", 16 * 2**30, 197e12, 819e9, _TORUS_2D),
  Chip("v5p", "TPU v5", 95 * 2**30, 459e12, 2765e9, _TORUS_3D),
  Chip("v6e", "TPU v6 lite", 32 * 2**30, 918e12, 1638e9, _TORUS_2D),
)


def find(device: jax.Device) -> Chip | None:
  """The chip of a device, or None if it is not in `CHIPS`."""
  return next((chip for chip in CHIPS if chip.device_kind == device.device_kind), None)


def topology_devices(name: str) -> list[jax.Device]:
  """The devices of a TPU topology, to compile programs for; the hardware need not be present.

  Args:
    name: kind and number of chips, for example "v5e:2x4".

  Raises:
    UserError: there is no such topology, or libtpu, which contains the compiler, is not installed.
  """
  known = {f"{chip.name}:{shape}": chip for chip in CHIPS for shape in chip.shapes}
  if name not in known:
    raise errors.unknown("TPU topology", name, known)
  if importlib.util.find_spec("libtpu") is None:
    raise errors.UserError(
      "compiling for TPUs needs libtpu, which is not installed: pip install -e '.[tpu]'"
    )
  # Without these, libtpu queries Google Cloud for the machine type and refuses a second process.
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
  os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-1")
  os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
  os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
  options = {"chips_per_host_bounds": (1, 1, 1)} if name.endswith(":1x1") else {}
  topology = topologies.get_topology_desc(name, "tpu", chip_config_name=known[name].mode, **options)
  return topology.devices
