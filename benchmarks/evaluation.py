"""Times an evaluation against PyTorch: the same network, weights and images, counted as others do.

    python -m benchmarks.evaluation --width=16 --image_size=1024x2048 --images=4

Ours is what a run does between two training steps (`flax_unet.evaluation.evaluation`), with and
without the audit of other definitions. The peers decode, predict, enlarge the logits and take the
best class as mmsegmentation does, then count once as its `IoUMetric` and once as torchmetrics'
`MulticlassConfusionMatrix`, both on the host. All take turns; the results are the medians of the
ratios per turn. The stages are timed one by one, and their confusion matrices are compared.
"""

import pathlib
import statistics
import sys
import tempfile

from flax_unet import memory

if __name__ == "__main__":  # not in the processes that this one starts
  memory.keep()  # before the imports below start threads

import functools
import math
import os
import pickle
from collections.abc import Callable, Mapping, Sequence

import cv2
import jax
import numpy as np
from absl import app, flags

from benchmarks import peer_process
from flax_unet import base_config
from flax_unet.data import datasets, images, label_spaces, op_spec
from flax_unet.evaluation.evaluation import Evaluation
from flax_unet.evaluation.inference import fitting, passes
from flax_unet.evaluation.metrics import audit
from flax_unet.evaluation.metrics.confusion import confusion_matrices
from flax_unet.models import base, registry

_WIDTH = flags.DEFINE_integer("width", 16, "Channels of the first level.")
_IMAGE_SIZE = flags.DEFINE_string("image_size", "1024x2048", "HEIGHTxWIDTH in pixels.")
_IMAGES = flags.DEFINE_integer("images", 4, "Images to evaluate in each turn.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "Images at once.", lower_bound=1)
_TURNS = flags.DEFINE_integer("turns", 5, "Turns to time.", lower_bound=1)

_CLASSES, _DEPTH = 19, 4


def _draw(folder: pathlib.Path, size: Sequence[int]) -> None:
  """Draws images that compress about as well as photographs, and labels of large areas."""
  random = np.random.default_rng(0)
  height, width = size
  for name in ("images", "labels"):
    (folder / name).mkdir()
  for number in range(_IMAGES.value):
    coarse = random.integers(256, size=(height // 16, width // 16, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    image = (image + random.integers(-4, 5, image.shape)).clip(0, 255).astype(np.uint8)
    label = random.integers(_CLASSES, size=(height // 64, width // 64), dtype=np.uint8)
    label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(folder / f"images/{number}.png"), image)
    cv2.imwrite(str(folder / f"labels/{number}.png"), label)


def _our_programs(
  folder: pathlib.Path, variables: Mapping, size: tuple[int, int]
) -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]:
  """Returns whole evaluations, and the stages of one image."""
  label_space = label_spaces.get(f"{_CLASSES}_classes")
  model = registry.build("unet", {"width": _WIDTH.value, "depth": _DEPTH}, _CLASSES)
  data = base_config.folder_data(str(folder / "images"), str(folder / "labels"))
  data.folders.validation = "."
  data.folders.train = "."
  source = datasets.open_dataset(data, label_space).split("validation")
  op = op_spec.parse("label_map|pad_to_multiple(128)", label_space)
  evaluation = Evaluation(source, op, model, label_space, batch_size=_BATCH_SIZE.value)
  whole = {
    "ours": lambda: evaluation(variables).confusions.sum(0),
    "ours, audit": lambda: evaluation(variables, audit_predictions=True).confusions.sum(0),
  }

  # Programs that end earlier and earlier: a stage is the difference of two.
  @jax.jit
  def forward(image):
    return base.OnImages(model)(variables, image, train=False)

  @jax.jit
  def resized(image):
    scores = fitting.class_scores(model, variables, image, size, passes.WHOLE, 128)
    return fitting.classes(scores, size)

  @jax.jit
  def counted(image, label):
    return confusion_matrices(label, resized(image), _CLASSES)

  example = source[0]
  image, label = images.decoded(example["image"])[None], example["label"][None]
  prediction = np.asarray(resized(image))[0]
  stages = {
    "decode": lambda: images.decoded(source[0]["image"]),
    "forward": lambda: forward(image).block_until_ready(),
    "and resize, classes": lambda: resized(image).block_until_ready(),
    "and count": lambda: counted(image, label).block_until_ready(),
    "audit": lambda: audit.extra_counts(label[0], prediction, _CLASSES),
  }
  return whole, stages


def _torch_programs(
  folder: pathlib.Path, width: int, layout: str
) -> dict[str, Callable[[], object]]:
  """The peers, in PyTorch; each returns its confusion matrix or its areas."""
  import torch
  from torch.nn import functional

  from benchmarks import torch_unet

  torch.manual_seed(0)
  layout = torch.contiguous_format if layout == "NCHW" else torch.channels_last
  model = torch_unet.TorchUNet(3, _CLASSES, width, _DEPTH, "batch").eval()
  (folder / "weights.pickle").write_bytes(
    pickle.dumps((torch_unet.flax_params(model), torch_unet.flax_batch_stats(model)))
  )
  model = model.to(memory_format=layout)
  mean, stddev = (torch.tensor(x).reshape(3, 1, 1) for x in (base.MEAN, base.STDDEV))
  names = sorted(path.name for path in (folder / "images").iterdir())

  def pairs():
    for name in names:
      pixels = cv2.imread(str(folder / "images" / name), cv2.IMREAD_COLOR_RGB)
      label = cv2.imread(str(folder / "labels" / name), cv2.IMREAD_UNCHANGED)
      image = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous(memory_format=layout)
      logits = model((image.float() / 255 - mean) / stddev)
      logits = functional.interpolate(logits, label.shape, mode="bilinear", align_corners=False)
      yield logits.argmax(1)[0], torch.from_numpy(label)

  def areas(values):
    return torch.histc(values.float(), bins=_CLASSES, min=0, max=_CLASSES - 1)

  @torch.inference_mode()
  def mmsegmentation():
    totals = torch.zeros(3, _CLASSES, dtype=torch.float64)
    for prediction, label in pairs():
      valid = label != 255
      prediction, label = prediction[valid], label[valid]
      hit = prediction[prediction == label]
      totals += torch.stack([areas(values) for values in (hit, prediction, label)])
    return totals.numpy()

  @torch.inference_mode()
  def torchmetrics():
    confusion = torch.zeros(_CLASSES, _CLASSES, dtype=torch.long)
    for prediction, label in pairs():
      valid = label != 255
      places = label[valid].long() * _CLASSES + prediction[valid]
      counts = torch.bincount(places, minlength=_CLASSES**2)
      confusion += counts.reshape(_CLASSES, _CLASSES)
    return confusion.numpy()

  return {"mmsegmentation": mmsegmentation, "torchmetrics": torchmetrics}


def main(_) -> None:
  """Runs the program; see above."""
  jax.config.update("jax_num_cpu_devices", math.gcd(os.cpu_count() or 1, _BATCH_SIZE.value))
  size = tuple(map(int, _IMAGE_SIZE.value.split("x")))
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    _draw(folder, size)
    peers = {
      f"{layout}, {count}": functools.partial(run, count)
      for layout in ("NCHW", "channels last")
      for run in [peer_process.start(_torch_programs, folder, _WIDTH.value, layout)]
      for count in ("mmsegmentation", "torchmetrics")
    }
    for run in peers.values():
      run()  # warms up, and writes the weights
    params, batch_stats = pickle.loads((folder / "weights.pickle").read_bytes())
    variables = {"params": params, "batch_stats": batch_stats}
    whole, stages = _our_programs(folder, variables, size)
    ours = {
      name: functools.partial(peer_process.seconds, program) for name, program in whole.items()
    }
    theirs = _torch_programs(folder, _WIDTH.value, "NCHW")["torchmetrics"]()
    agreement = 1 - np.abs(whole["ours"]() - theirs).sum() / 2 / theirs.sum()
    print(f"pixels counted alike   {agreement:.4%}")
    times = _alternate({**ours, **peers})
    best = min(peers, key=lambda name: statistics.median(times[name]))
    for name, seconds in times.items():
      print(f"{name:30s} {statistics.median(seconds) / _IMAGES.value:.3f} s an image")
    for name in ours:
      ratios = [a / b for a, b in zip(times[name], times[best], strict=True)]
      print(f"{name} / {best:20s} {statistics.median(ratios):.2f}")
    print("\none image on one device, by stage")
    programs = {
      name: functools.partial(peer_process.seconds, program) for name, program in stages.items()
    }
    for name, seconds in _alternate(programs).items():
      print(f"{name:30s} {statistics.median(seconds):.3f} s")
  sys.stdout.flush()


def _alternate(programs: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
  """Runs programs in turns, and returns their seconds; the first turn warms up."""
  times = {name: [] for name in programs}
  for turn in range(_TURNS.value + 1):
    for name, run in programs.items():
      seconds = run()
      if turn:
        times[name].append(seconds)
  return times


if __name__ == "__main__":
  app.run(main)
