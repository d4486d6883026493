"""Times the train step and the forward pass against PyTorch on the same machine.

    python benchmarks/train_step.py --width=32 --batch_size=2 --image_size=256x512 --peer=torch

Our step is the one of the training loop (`flax_unet.training.steps.train_step`), set up as in
`main.py`: like the forward pass, it is mapped over the devices that `main.py` makes of the cores.
The peer is a network with the same layers, loss and optimizer in PyTorch, in its own process, once
in NCHW layout and once with channels last; `--peer=torch-compile` adds a third, channels last and
compiled by `torch.compile`, which takes minutes and needs a C++ compiler. The fastest one counts.
The programs take turns, and the result is the median of the ratios per turn, so that other load on
the machine affects all alike.
`--model=segnet` times another network.
"""

import pathlib
import sys

from flax_unet import memory

sys.path.append(str(pathlib.Path(__file__).parents[1]))  # the package `benchmarks`

if __name__ == "__main__":  # not in the processes that this one starts
  memory.keep()  # before the imports below start threads

import functools
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from benchmarks import peer_process, torch_programs
from flax_unet.losses.pixelwise import CrossEntropy
from flax_unet.models import base, registry
from flax_unet.training import state, steps

_MODEL = flags.DEFINE_string("model", "unet", "The network, see flax_unet/models/registry.py.")
_WIDTH = flags.DEFINE_integer("width", 32, "Channels of the first block.")
_DEPTH = flags.DEFINE_integer("depth", 4, "Number of poolings.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "Images per step.")
_IMAGE_SIZE = flags.DEFINE_string("image_size", "256x512", "HEIGHTxWIDTH in pixels.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Type of the computation.")
_NORM = flags.DEFINE_enum("norm", "batch", ["batch", "none"], "Normalisation.")
_STEPS = flags.DEFINE_integer("steps", 7, "Turns to time.", lower_bound=1)
_PEER = flags.DEFINE_enum(
  "peer", None, ["torch", "torch-compile"], "What to compare with; nothing by default."
)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of a table.")

_NUM_CLASSES = 19


def _attributes() -> dict[str, Any]:
  """The network's attributes, as `torch_models.make` builds the peer."""
  width, depth = _WIDTH.value, _DEPTH.value
  own = {
    "unet": {"depth": depth, "norm": _NORM.value},
    "unet_s5": {"depth": depth},
    "attention_unet": {"depth": depth},
    "ma_unet": {"depth": depth},
    "segnet_basic": {"depth": depth},
    "fcn": {"fc_width": 64 * width, "border": "same"},
  }
  return {"width": width, **own.get(_MODEL.value, {})}


def _our_programs(image: np.ndarray, label: np.ndarray) -> tuple[dict[str, Callable], dict]:
  """Compiles our train step and forward pass; also returns compile time and FLOPs."""
  attributes = {**_attributes(), "dtype": _DTYPE.value, "axis_name": None}
  model = registry.build(_MODEL.value, attributes, _NUM_CLASSES)
  train_state = state.create(
    model.clone(axis_name="batch"),
    optax.sgd(0.01, momentum=0.9),
    image_size=image.shape[1:3],
    seed=0,
    ema=False,
  )
  variables = jax.tree.map(jnp.copy, train_state.eval_variables)  # the step's own are donated
  devices = jax.device_count()
  batch = {
    key: x.reshape(devices, -1, *x.shape[1:]) for key, x in (("image", image), ("label", label))
  }
  start = time.perf_counter()
  mapped = steps.map_train_step(CrossEntropy(), aux_weight=getattr(model, "aux_weight", 0.0))
  train_step = mapped.lower(train_state, batch).compile()
  compiled = {"compile_seconds": time.perf_counter() - start}
  # The GPU program has plain convolutions; ours has loops, whose body XLA counts only once.
  lowered = jax.jit(mapped).trace(train_state, batch).lower(lowering_platforms=("cuda",))
  compiled["flops"] = lowered.cost_analysis()["flops"] * devices

  @functools.partial(jax.pmap, in_axes=(None, 0))
  def forward(variables, image):
    return base.OnImages(model)(variables, image, train=False)

  def train():
    nonlocal train_state
    train_state, metrics = train_step(train_state, batch)
    jax.block_until_ready((train_state, metrics))

  def run_forward():
    forward(variables, batch["image"]).block_until_ready()

  return {"train": train, "forward": run_forward}, compiled


def main(argv):
  """Runs the program; see above."""
  del argv
  jax.config.update("jax_num_cpu_devices", math.gcd(os.cpu_count() or 1, _BATCH_SIZE.value))
  random = np.random.default_rng(0)
  size = [_BATCH_SIZE.value, *map(int, _IMAGE_SIZE.value.split("x"))]
  image = random.integers(256, size=(*size, 3), dtype=np.uint8)
  label = random.integers(_NUM_CLASSES, size=size, dtype=np.uint8)
  ours, result = _our_programs(image, label)
  run = {"ours": lambda name: peer_process.seconds(ours[name])}
  if _PEER.value:
    network = (_MODEL.value, _NUM_CLASSES, _WIDTH.value, _DEPTH.value, _NORM.value)
    for layout in ("NCHW", "channels last", *["compiled"] * (_PEER.value == "torch-compile")):
      run[layout] = peer_process.start(
        torch_programs.make, image, label, layout, network, _DTYPE.value
      )

  for work in ("train", "forward"):
    times = {name: [] for name in run}
    for turn in range(_STEPS.value + 1):
      for name in run:
        time.sleep(0.1)  # PyTorch's threads spin for a while before they release the cores
        seconds = run[name](work)
        if turn > 0:  # the first turn warms up
          times[name].append(seconds)
    result[f"{work}_seconds"] = statistics.median(times["ours"])
    peers = {name: statistics.median(times[name]) for name in run if name != "ours"}
    if peers:
      best = min(peers, key=peers.get)
      result[f"{work}_peer"] = f"torch {best}"
      result[f"{work}_peer_seconds"] = peers[best]
      result[f"{work}_ratio"] = statistics.median(
        ours / peer for ours, peer in zip(times["ours"], times[best], strict=True)
      )
  result["peak_flops"] = peer_process.peak_flops()
  result["peak_share"] = result["flops"] / result["train_seconds"] / result["peak_flops"]

  if _JSON.value:
    print(json.dumps(result))
  else:
    for name, value in result.items():
      print(f"{name:22s} {value if isinstance(value, str) else format(value, '.4g')}")


if __name__ == "__main__":
  app.run(main)
