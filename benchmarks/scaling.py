"""Shows how the cost of a train step grows: each row changes one thing in the first row.

    python -m benchmarks.scaling --width=16 --batch_size=2 --image_size=128x256

The rows take turns, and times are medians over turns; operations and memory are the compiler's
figures, over all devices. Doubling the images, the pixels, or the devices with their images doubles
the work, and should at most double the time. A network of twice the width has four times the
parameters and, except in its first and last layer, four times the operations. A second table shows
how scoring grows with the classes, on random labels of 1024 x 2048.
"""

from flax_unet import memory

if __name__ == "__main__":
  memory.keep()  # before the imports below start threads

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np
from absl import app, flags

from benchmarks import peer_process
from configs import street_scenes
from flax_unet.data import label_spaces
from flax_unet.evaluation.metrics import audit, bootstrap, segmentation
from flax_unet.evaluation.metrics.confusion import confusion_matrices
from flax_unet.run import parts, processes
from flax_unet.training import flops
from flax_unet.training.state import num_params

_WIDTH = flags.DEFINE_integer("width", 16, "Channels of the first block.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "Images per step, divisible by two devices.")
_IMAGE_SIZE = flags.DEFINE_string("image_size", "128x256", "HEIGHTxWIDTH in pixels.")
_TURNS = flags.DEFINE_integer("turns", 7, "Turns to time.", lower_bound=1)


_SCORED_SIZE, _SCORED_IMAGES = (1024, 2048), 500


@dataclasses.dataclass(frozen=True)
class _Work:
  """A row of the table."""

  name: str
  width: int
  batch_size: int
  image_size: tuple[int, int]
  devices: int = 1
  classes: int = 20


def _rows() -> list[_Work]:
  height, width = map(int, _IMAGE_SIZE.value.split("x"))
  first = _Work("one device", _WIDTH.value, _BATCH_SIZE.value, (height, width))
  return [
    first,
    dataclasses.replace(first, name="images x 2", batch_size=2 * first.batch_size),
    dataclasses.replace(first, name="pixels x 2", image_size=(2 * height, width)),
    dataclasses.replace(first, name="pixels x 4", image_size=(2 * height, 2 * width)),
    dataclasses.replace(first, name="width x 2", width=2 * first.width),
    dataclasses.replace(first, name="classes / 10", classes=2),
    dataclasses.replace(first, name="classes x 10", classes=200),
    dataclasses.replace(first, name="devices x 2", devices=2),
    dataclasses.replace(
      first, name="devices and images x 2", devices=2, batch_size=2 * first.batch_size
    ),
  ]


def _compile(work: _Work) -> tuple[Callable[[], None], dict[str, float]]:
  """Returns a function that runs a step, and the compiler's figures for it."""
  config = street_scenes.get_config(f"width={work.width}")
  config.label_space, config.class_weights = f"{work.classes}_classes", None
  built = parts.build(config, work.devices)
  # Moved to the host, because it is on all devices.
  state = jax.device_get(built.init_state(work.image_size, config.total_steps))
  random = np.random.default_rng(0)
  image_format = built.image_format
  shapes = flops.batch_shapes(work.batch_size, work.image_size, work.devices, image_format)
  batch = {
    key: random.integers(built.model.num_classes, size=leaf.shape, dtype=np.uint8)
    for key, leaf in shapes.items()
  }
  devices = jax.devices()[: work.devices]
  step = built.map_train_step(devices).lower(state, batch).compile()
  per_device = work.batch_size // work.devices
  one = built.map_train_step(devices[:1])
  part = flops.batch_shapes(per_device, work.image_size, 1, image_format)
  told = {
    "parameters": num_params(state),
    "flops": flops.count(one, state, part, config.accumulate_steps) * work.devices,
    "bytes": step.memory_analysis().temp_size_in_bytes * work.devices,
  }

  def run():
    nonlocal state
    state, _ = jax.block_until_ready(step(state, batch))

  return run, told


def main(argv):
  """Runs the program; see above."""
  del argv
  jax.config.update("jax_num_cpu_devices", 2)
  processes.keep_compiled_programs()
  programs = {work: _compile(work) for work in _rows()}
  seconds = {work: [] for work in programs}
  for turn in range(_TURNS.value + 1):
    for work, (run, _) in programs.items():
      start = time.perf_counter()
      run()
      if turn > 0:  # the first turn warms up
        seconds[work].append(time.perf_counter() - start)

  first = next(iter(programs))
  print("| row | seconds | time | FLOPs | temporaries | parameters |")
  print("| --- | ---: | ---: | ---: | ---: | ---: |")
  for work, (_, told) in programs.items():
    ratio = statistics.median(x / y for x, y in zip(seconds[work], seconds[first], strict=True))
    growth = [told[key] / programs[first][1][key] for key in ("flops", "bytes", "parameters")]
    columns = " | ".join(f"x {x:.2f}" for x in [ratio, *growth])
    print(f"| {work.name} | {statistics.median(seconds[work]):.3f} | {columns} |")
  _show_scoring()


def _show_scoring() -> None:
  """Shows how scoring grows with the number of classes."""
  print("\n| classes | count an image | audit it | score 500 images | their counts |")
  print("| ---: | ---: | ---: | ---: | ---: |")
  for classes in (2, 20, 200):
    *seconds, size = _time_scoring(classes)
    columns = " | ".join(f"{value:.3f} s" for value in seconds)
    print(f"| {classes} | {columns} | {size / 2**20:.1f} MiB |")


def _time_scoring(classes: int) -> tuple[float, float, float, int]:
  """Seconds to count an image, to audit it, and to score a split; bytes of the split's counts."""
  random = np.random.default_rng(0)
  label, prediction = random.integers(classes, size=(2, *_SCORED_SIZE), dtype=np.uint8)
  jitted = jax.jit(functools.partial(confusion_matrices, num_classes=classes))

  def count() -> np.ndarray:
    return np.asarray(jitted(label[None], prediction[None]))

  confusions = count().astype(np.int64).repeat(_SCORED_IMAGES, axis=0)
  label_space = label_spaces.get(f"{classes}_classes")

  def score() -> None:
    segmentation.scores(confusions.sum(axis=0), label_space)
    bootstrap.mean_iou_interval(confusions)
    audit.definitions(confusions)

  return (
    _median_seconds(count),
    _median_seconds(lambda: audit.extra_counts(label, prediction, classes)),
    _median_seconds(score),
    confusions.nbytes,
  )


def _median_seconds(function: Callable[[], object]) -> float:
  return statistics.median(peer_process.seconds(function) for _ in range(_TURNS.value))


if __name__ == "__main__":
  app.run(main)
