"""Trains all networks at about equal parameters on the street scenes, and prints one table.

    python -m benchmarks.networks [--folder=runs/networks] [--steps=400] [--seeds=1] [--only=unet]

Runs that are finished are not repeated. Mean IoU comes from the runs; parameters, FLOPs and memory
of a train step from the compiler; and its time from steps that take turns in one process, so that
other load on the machine affects all alike.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import numpy as np
from absl import app, flags

from configs import street_scenes
from flax_unet import base_config
from flax_unet.run import cost, parts

_FOLDER = flags.DEFINE_string("folder", "runs/networks", "Where the runs are.")
_STEPS = flags.DEFINE_integer("steps", 400, "Steps of each run.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "Runs of each network.")
_TURNS = flags.DEFINE_integer("turns", 7, "Steps to time.")
_ONLY = flags.DEFINE_list("only", None, "Some of the networks.")

# Two million parameters each, FCN most of them in fc6; but SegNet-Basic, whose levels all have the
# same width and 7x7 convolutions, 200,000: it would take twenty times as long.
NETWORKS = {
  "unet": {"width": 16},
  "unet_s5": {"width": 16},
  "attention_unet": {"width": 16},
  "ma_unet": {"width": 16},
  "segnet": {"width": 16},
  "segnet_basic": {"width": 24},
  "fcn": {"width": 20, "fc_width": 56, "border": "same"},
  "unet_resnet18": {"width": 24, "decoder_width": 6},
  "unet_resnet34": {"width": 16, "decoder_width": 8},
  "unet_vgg16": {"width": 16, "decoder_width": 8},
}


def _train(name: str, seed: int) -> pathlib.Path:
  """Runs `main.py`, which does nothing more if the run is finished."""
  folder = pathlib.Path(_FOLDER.value) / (name if seed == 0 else f"{name}_seed{seed}")
  info = folder / "run.json"
  if info.exists() and json.loads(info.read_text())["finished"]:
    return folder
  settings = [f"--config.model.{key}={value}" for key, value in NETWORKS[name].items()]
  command = [sys.executable, "main.py", f"--config=configs/street_scenes.py:model={name}"]
  command += [f"--workdir={folder}", f"--config.total_steps={_STEPS.value}"]
  subprocess.run([*command, f"--config.seed={seed}", *settings], check=True)
  return folder


def _compile(name: str) -> tuple[Callable[[], None], dict[str, float]]:
  """Compiles the train step; returns what takes one, and what the compiler tells."""
  config = street_scenes.get_config()
  base_config.set_network(config, name, **NETWORKS[name])
  built = parts.build(config)
  batch_size, size = config.input.batch_size, (128, 256)
  told = cost.StepPlan(built, size, jax.devices()).cost(batch_size)
  random = np.random.default_rng(0)
  shape = (jax.device_count(), batch_size // jax.device_count(), *size)
  batch = {
    "image": random.integers(256, size=(*shape, 3), dtype=np.uint8),
    "label": random.integers(19, size=shape, dtype=np.uint8),
  }
  state, step = built.init_state(size, config.total_steps), built.map_train_step()

  def take() -> None:
    nonlocal state
    state, metrics = step(state, batch)
    jax.block_until_ready((state, metrics))

  take()
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  facts = {"parameters": parameters, "flops": told.flops * jax.device_count(), "bytes": told.total}
  return take, facts


def _seconds(function: Callable[[], None]) -> float:
  start = time.perf_counter()
  function()
  return time.perf_counter() - start


def main(argv):
  """Runs the program; see above."""
  del argv
  names = _ONLY.value or list(NETWORKS)
  folders = {name: [_train(name, seed) for seed in range(_SEEDS.value)] for name in names}
  jax.config.update("jax_num_cpu_devices", 2)
  compiled = {name: _compile(name) for name in names}
  times = {name: [] for name in names}
  for _ in range(_TURNS.value):
    for name in names:
      times[name].append(_seconds(compiled[name][0]))
  print("| network | parameters | GFLOP per step | memory of a step | ms per step | mean IoU |")
  print("| --- | ---: | ---: | ---: | ---: | --- |")
  for name in names:
    facts = compiled[name][1]
    scores = []
    for folder in folders[name]:
      metrics = json.loads((folder / "report" / "metrics.json").read_text())
      scores.append(metrics["evals"]["val"])
    values = [score["mean_iou"] for score in scores]
    if len(values) == 1:
      low, high = scores[0]["mean_iou_interval"]
      iou = f"{values[0]:.4f} ({low:.4f} to {high:.4f})"
    else:
      spread = statistics.stdev(values)
      iou = f"{statistics.mean(values):.4f}, deviation {spread:.4f} of {len(values)} seeds"
    print(
      f"| `{name}` | {facts['parameters']:,} | {facts['flops'] / 1e9:.1f} "
      f"| {facts['bytes'] / 2**20:.0f} MiB | {1000 * statistics.median(times[name]):.0f} | {iou} |"
    )


if __name__ == "__main__":
  app.run(main)
