"""Shows how time and memory of the train step grow with area, width, batch and devices.

    python benchmarks/scaling.py [--turns=5]

Doubles one at a time, from a small step on, and prints how many times as long the step takes and as
much memory as XLA's account says of a device. All programs take turns, with one process for each
number of devices (cores, on a CPU), and a ratio is the median over the turns.
"""

# ruff: noqa: E402
from flax_unet import memory

memory.keep()  # before the imports below start threads

import argparse
import dataclasses
import multiprocessing
import multiprocessing.connection
import statistics
import time

import jax
import numpy as np
import optax

from flax_unet.models.unet import UNet
from flax_unet.training import losses, state, steps


@dataclasses.dataclass(frozen=True)
class Step:
  """What is varied; the batch is that of all devices."""

  height: int = 128
  width: int = 256
  channels: int = 16
  batch_size: int = 4
  devices: int = 1


_BASE = Step()
_VARIANTS = {  # and how much more work it is
  "area x 2": (Step(width=512), 2),
  "area x 4": (Step(height=256, width=512), 4),
  "batch x 2": (Step(batch_size=8), 2),
  "batch x 4": (Step(batch_size=16), 4),
  "width x 2": (Step(channels=32), 4),  # channels in times channels out
  "devices x 2": (Step(devices=2), 1),
  "devices x 2, batch x 2": (Step(devices=2, batch_size=8), 2),
}


def _serve(connection: multiprocessing.connection.Connection, variants: list[Step]) -> None:
  """Compiles the steps of one number of devices; tells their bytes, then runs what it is asked."""
  jax.config.update("jax_num_cpu_devices", variants[0].devices)
  programs = {variant: _compile(variant) for variant in variants}
  connection.send({variant: size for variant, (_, size) in programs.items()})
  while variant := connection.recv():
    start = time.perf_counter()
    programs[variant][0]()
    connection.send(time.perf_counter() - start)


def _compile(variant: Step):
  """Returns what runs a step, and the bytes that it needs on a device."""
  size = (variant.height, variant.width)
  model = UNet(19, width=variant.channels, axis_name="batch")
  train_state = state.create(
    model, optax.sgd(0.01, momentum=0.9), image_size=size, seed=0, ema=False
  )
  random = np.random.default_rng(0)
  shape = (variant.devices, variant.batch_size // variant.devices, *size)
  batch = {
    "image": random.integers(256, size=(*shape, 3), dtype=np.uint8),
    "label": random.integers(19, size=shape, dtype=np.uint8),
  }
  step = steps.map_train_step(losses.cross_entropy).lower(train_state, batch).compile()

  def run():
    nonlocal train_state
    train_state, metrics = step(train_state, batch)
    jax.block_until_ready((train_state, metrics))

  memory = step.memory_analysis()
  return run, memory.argument_size_in_bytes + memory.temp_size_in_bytes


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--turns", type=int, default=5)
  turns = parser.parse_args().turns

  variants = [_BASE, *(variant for variant, _ in _VARIANTS.values())]
  context = multiprocessing.get_context("spawn")
  connections, memory = {}, {}
  for devices in sorted({variant.devices for variant in variants}):
    connections[devices], theirs = context.Pipe()
    own = [variant for variant in variants if variant.devices == devices]
    context.Process(target=_serve, args=(theirs, own), daemon=True).start()
    memory |= connections[devices].recv()

  seconds = {variant: [] for variant in variants}
  for turn in range(turns + 1):
    for variant in variants:
      connections[variant.devices].send(variant)
      elapsed = connections[variant.devices].recv()
      if turn > 0:  # the first one warms up
        seconds[variant].append(elapsed)
  for connection in connections.values():
    connection.send(None)

  base = f"{statistics.median(seconds[_BASE]):.3f} s, {memory[_BASE] / 2**20:.0f} MiB a device"
  print(f"{_BASE}: {base}")
  print(f"{'':24s}{'work':>6s}{'time':>8s}{'memory a device':>18s}")
  for name, (variant, work) in _VARIANTS.items():
    ratio = statistics.median(a / b for a, b in zip(seconds[variant], seconds[_BASE], strict=True))
    print(f"{name:24s}{work:6d}{ratio:8.2f}{memory[variant] / memory[_BASE]:18.2f}")


if __name__ == "__main__":
  main()
