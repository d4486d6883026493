"""Times this program on the devices at hand, and PyTorch beside it: for a GPU or a TPU.

    python -m benchmarks.accelerator --json=FILE

For widths 32 and 64, in float32 and bfloat16, with crops of 512 x 1024: the train step, the forward
pass, the step of an evaluation, and the input pipeline. Each is given in milliseconds, in images a
second, and as a share of the rate of a large matrix product on the same device in the same type.
NVIDIA publishes how fast its own U-Net trains (DeepLearningExamples, TF2 UNet Medical, batches of
8); `published` compares the operations a second. The loss is cross-entropy, the optimizer SGD.

PyTorch is measured where it is installed (`--peer=none`: not), in turns with ours: mixed precision
for bfloat16, TF32 for float32, channels last, compiled. TensorFlow, tensorflow-datasets, grain and
clu may be missing; without grain, the input pipeline is left out. `--image_size=64x128 --widths=4
--batch_size=2` tries the program on a CPU.
"""

import importlib.util
import json
import os
import pathlib
import platform
import statistics
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory as well

import jax
import numpy as np
import optax
from absl import app, flags

from benchmarks import peer_process, torch_programs
from flax_unet import tables
from flax_unet.data import padding
from flax_unet.evaluation.inference import fitting, passes
from flax_unet.evaluation.metrics.confusion import confusion_matrices
from flax_unet.losses.pixelwise import CrossEntropy
from flax_unet.models import base, registry
from flax_unet.run import chips
from flax_unet.training import flops, state, steps

_JSON = flags.DEFINE_string("json", None, "Where to write the results, such as h100.json.")
_IMAGE_SIZE = flags.DEFINE_string("image_size", "512x1024", "HEIGHTxWIDTH in pixels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images on each device.", lower_bound=1)
_WIDTHS = flags.DEFINE_list("widths", ["32", "64"], "Channels of the first level.")
_DTYPES = flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "Types of the computation.")
_TURNS = flags.DEFINE_integer("turns", 7, "Turns to time.", lower_bound=1)
_PEER = flags.DEFINE_enum("peer", "torch", ["torch", "none"], "What to compare with.")

_CLASSES = 19
# Images a second of 572 x 572 pixels, of about 0.90 TFLOP each, on one GPU with mixed precision.
_PUBLISHED = {"A100": 119.0 * 0.90e12, "V100": 59.6 * 0.90e12}


def _our_programs(
  width: int, dtype: str, image: np.ndarray, label: np.ndarray
) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
  """Compiles our programs for one device; also returns their operations."""
  device = jax.local_devices()[0]
  attributes = {"width": width, "dtype": dtype, "axis_name": "batch"}
  model = registry.build("unet", attributes, _CLASSES)
  size = image.shape[1:3]
  train_state = state.create(
    model, optax.sgd(0.01, momentum=0.9), image_size=size, seed=0, ema=False
  )
  train_state = jax.device_put(train_state, device)
  variables = jax.tree.map(lambda x: x.copy(), train_state.eval_variables)  # the step donates its
  batch = jax.device_put({"image": image[None], "label": label[None]}, device)
  step = steps.map_train_step(CrossEntropy(), devices=[device])
  counted = flops.count(step, train_state, batch, 1)
  images, labels = batch["image"][0], batch["label"][0]

  @jax.jit
  def forward(variables, images):
    return base.OnImages(model)(variables, images, train=False)

  @jax.jit
  def evaluate(variables, images, labels):
    scores = fitting.class_scores(model, variables, images, size, passes.WHOLE, padding.MULTIPLE)
    return confusion_matrices(labels, fitting.classes(scores, size), _CLASSES)

  def train() -> None:
    nonlocal train_state
    train_state, metrics = step(train_state, batch)
    jax.block_until_ready((train_state, metrics))

  programs = {
    "train": train,
    "forward": lambda: forward(variables, images).block_until_ready(),
    "evaluate": lambda: evaluate(variables, images, labels).block_until_ready(),
  }
  lowered = forward.trace(variables, images).lower(lowering_platforms=("cuda",))
  return programs, {"train": counted, "forward": lowered.cost_analysis()["flops"]}


def _time(runs: dict[str, Callable[[], float]]) -> dict[str, float | str]:
  """Runs programs in turns, and returns the median seconds, or why one does not run."""
  times: dict[str, list[float]] = {name: [] for name in runs}
  failed: dict[str, str] = {}
  for turn in range(_TURNS.value + 2):
    for name, run in runs.items():
      if name in failed:
        continue
      try:
        seconds = run()
      except (jax.errors.JaxRuntimeError, EOFError, OSError) as error:
        failed[name] = (str(error).splitlines() or ["the process died"])[0][:200]
        continue
      if turn > 1:  # the first turns compile and warm up
        times[name].append(seconds)
  return {**{n: statistics.median(t) for n, t in times.items() if n not in failed}, **failed}


def _rows(width: int, dtype: str) -> Iterator[dict[str, Any]]:
  """Measures the programs of a network in a type."""
  height, breadth = map(int, _IMAGE_SIZE.value.split("x"))
  random = np.random.default_rng(0)
  shape = (_BATCH_SIZE.value, height, breadth)
  image = random.integers(256, size=(*shape, 3), dtype=np.uint8)
  label = random.integers(_CLASSES, size=shape, dtype=np.uint8)
  is_cpu = jax.default_backend() == "cpu"
  peak = peer_process.peak_flops(1024 if is_cpu else 8192, dtype)
  ours, counted = _our_programs(width, dtype, image, label)
  peers = {}
  if _PEER.value == "torch" and importlib.util.find_spec("torch"):
    network = ("unet", _CLASSES, width, 4, "batch")
    peers = {
      f"torch, {mode}": peer_process.start(torch_programs.make, image, label, mode, network, dtype)
      for mode in torch_programs.MODES
    }
  for work in ("train", "forward", "evaluate"):
    runs = {"ours": lambda work=work: peer_process.seconds(ours[work])}
    if work != "evaluate":
      runs |= {name: lambda run=run, work=work: run(work) for name, run in peers.items()}
    for name, seconds in _time(runs).items():
      row = {"program": work, "of": name, "width": width, "dtype": dtype}
      if isinstance(seconds, str):
        yield {**row, "failed": seconds}
        continue
      row |= {"ms": 1e3 * seconds, "images_per_second": _BATCH_SIZE.value / seconds}
      if work in counted:
        rate = counted[work] / seconds
        row |= {"tflops": rate / 1e12, "share_of_peak": rate / peak}
        if work == "train":
          row["published"] = {gpu: rate / published for gpu, published in _PUBLISHED.items()}
      yield row


def _input() -> dict[str, Any] | None:
  """The rate of the input pipeline with the ops of the Cityscapes recipe; None without grain."""
  if not importlib.util.find_spec("grain"):
    return None
  from flax_unet.data import label_spaces, op_spec, pipeline

  height, breadth = map(int, _IMAGE_SIZE.value.split("x"))
  random = np.random.default_rng(0)
  example = {
    "image": random.integers(256, size=(2 * height, 2 * breadth, 3), dtype=np.uint8),
    "label": random.integers(_CLASSES, size=(2 * height, 2 * breadth), dtype=np.uint8),
    "id": "drawn",
  }
  spec = f"label_map|random_scale(0.5, 2.0)|random_crop({height}, {breadth})|flip_lr|photometric"
  op = op_spec.parse(spec, label_spaces.get(f"{_CLASSES}_classes"))
  size = _BATCH_SIZE.value * jax.local_device_count()
  batches = pipeline.train_batches([example] * 64, op, batch_size=size, seed=0, workers=0)
  next(batches)
  seconds = statistics.median(peer_process.seconds(lambda: next(batches)) for _ in range(5))
  batches.close()
  return {"program": "input, without decoding", "of": "ours", "images_per_second": size / seconds}


def main(_) -> None:
  """Runs the program; see above."""
  device = jax.local_devices()[0]
  chip = chips.find(device)
  about = {
    "device": device.device_kind,
    "peak_of_the_data_sheet": chip.flops if chip else None,
    "jax": jax.__version__,
    "python": platform.python_version(),
    "cores": os.cpu_count(),
    "image_size": _IMAGE_SIZE.value,
    "batch_size": _BATCH_SIZE.value,
  }
  rows = []
  for width in map(int, _WIDTHS.value):
    for dtype in _DTYPES.value:
      for row in _rows(width, dtype):
        rows.append(row)
        print(row, flush=True)
        if _JSON.value:  # at once: a later measurement may fail
          pathlib.Path(_JSON.value).write_text(json.dumps({**about, "rows": rows}, indent=2))
  if found := _input():
    rows.append(found)
  if _JSON.value:
    pathlib.Path(_JSON.value).write_text(json.dumps({**about, "rows": rows}, indent=2))
  print(f"\n{about}\n\n{_table(rows)}")


def _table(rows: list[dict[str, Any]]) -> str:
  """The results as a Markdown table."""
  header = ("program", "of", "width", "type", "ms", "images/s", "TFLOP/s", "share of peak")
  keys = ("program", "of", "width", "dtype", "ms", "images_per_second", "tflops", "share_of_peak")

  def cell(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

  return tables.markdown_table(header, [[cell(row.get(key)) for key in keys] for row in rows])


if __name__ == "__main__":
  app.run(main)
