"""Compares the peak memory of processes with PyTorch's, and watches that of a long run.

    python -m benchmarks.memory [--width=16] [--side=8192] [--steps=5000]

Each program runs in a process of its own, whose largest resident size counts, libraries included:
ten train steps; one evaluated image of 1024 x 2048; one predicted image of 8192 x 8192, in tiles of
512 x 1024 that overlap by 128 pixels (in PyTorch as in mmsegmentation, which keeps the summed
logits of all tiles). At the end, `main.py` takes 5,000 tiny steps; its memory after 500 of them is
compared with that at the end.
"""

import argparse
import functools
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

from flax_unet import memory

if __name__ == "__main__":
  memory.keep()  # as `main.py` does, before the imports below start threads

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
_CLASSES, _TILE, _OVERLAP = 19, (512, 1024), 128


def _image(height: int, width: int) -> np.ndarray:
  return np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)


def _our_model(width: int):
  from flax_unet.models import base, registry

  model = registry.build("unet", {"width": width, "axis_name": "batch"}, _CLASSES)
  import jax

  shapes = base.variable_shapes(model)
  return model, jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)


def _our_training(width: int, side: int) -> None:
  del side
  import jax
  import optax

  from flax_unet.losses.pixelwise import CrossEntropy
  from flax_unet.training import state, steps

  model, _ = _our_model(width)
  image = _image(512, 512).reshape(1, 2, 256, 512, 3)
  batch = {"image": image, "label": image[..., 0] % _CLASSES}
  tx = optax.sgd(0.01, momentum=0.9)
  train_state = state.create(model, tx, image_size=(256, 512), seed=0, ema=False)
  step = steps.map_train_step(CrossEntropy())
  for _ in range(10):
    train_state, metrics = step(train_state, batch)
    jax.block_until_ready(metrics)


def _our_evaluation(width: int, side: int) -> None:
  del side
  from flax_unet.data import label_spaces, op_spec
  from flax_unet.evaluation.evaluation import Evaluation

  model, variables = _our_model(width)
  label_space = label_spaces.get(f"{_CLASSES}_classes")
  image = _image(1024, 2048)
  source = [{"image": image, "label": image[..., 0] % _CLASSES, "id": "0"}]
  op = op_spec.parse("label_map|pad_to_multiple(128)", label_space)
  Evaluation(source, op, model, label_space, batch_size=1)(variables)


def _our_prediction(width: int, side: int) -> None:
  from flax_unet.evaluation.inference.passes import Options
  from flax_unet.evaluation.inference.prediction import Predictor

  model, variables = _our_model(width)
  options = Options(mode="tiles", tile=_TILE, overlap=_OVERLAP)
  predictor = Predictor(model, variables, options)
  ((_, mask),) = predictor([(0, _image(side, side))])
  assert mask.shape == (side, side)


def _torch_model(width: int):
  import torch

  from benchmarks.torch_unet import TorchUNet

  model = TorchUNet(3, _CLASSES, width, 4, "batch").eval()
  return model.to(memory_format=torch.channels_last)


def _torch_training(width: int, side: int) -> None:
  del side
  from benchmarks import torch_programs

  image = _image(512, 512).reshape(2, 256, 512, 3)
  network = ("unet", _CLASSES, width, 4, "batch")
  label = image[..., 0] % _CLASSES
  train = torch_programs.make(image, label, "channels last", network, "float32")["train"]
  for _ in range(10):
    train()


def _logits(model, image: np.ndarray):
  import torch

  pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
  return model(pixels.contiguous(memory_format=torch.channels_last))


def _torch_evaluation(width: int, side: int) -> None:
  del side
  import torch

  model, image = _torch_model(width), _image(1024, 2048)
  label = torch.from_numpy(image[..., 0] % _CLASSES)
  with torch.inference_mode():
    prediction = _logits(model, image).argmax(1)[0]
    torch.bincount((label.long() * _CLASSES + prediction).reshape(-1), minlength=_CLASSES**2)


def _torch_prediction(width: int, side: int) -> None:
  import torch

  model, image = _torch_model(width), _image(side, side)
  starts = [
    sorted({min(at, side - tile) for at in range(0, side, tile - _OVERLAP)}) for tile in _TILE
  ]
  with torch.inference_mode():
    total = torch.zeros(_CLASSES, side, side)
    count = torch.zeros(1, side, side)
    for top in starts[0]:
      for left in starts[1]:
        window = (slice(None), slice(top, top + _TILE[0]), slice(left, left + _TILE[1]))
        total[window] += _logits(model, image[window[1:]])[0]
        count[window] += 1
    (total / count).argmax(0)


_PROGRAMS: dict[str, Callable[[int, int], None]] = {
  f"{who} {work}": function
  for work, functions in {
    "training": (_our_training, _torch_training),
    "evaluation": (_our_evaluation, _torch_evaluation),
    "prediction": (_our_prediction, _torch_prediction),
  }.items()
  for who, function in zip(("our", "torch"), functions, strict=True)
}


def _peak(name: str, width: int, side: int) -> float:
  """Runs a program in a process, and returns its peak in MiB."""
  command = [sys.executable, "-m", "benchmarks.memory", f"--child={name}"]
  process = subprocess.Popen([*command, f"--width={width}", f"--side={side}"], cwd=ROOT)
  _, status, usage = os.wait4(process.pid, 0)
  if status:
    sys.exit(f"{name}: ended with {os.waitstatus_to_exitcode(status)}")
  return usage.ru_maxrss / 1024


def _growth(steps: int) -> list[float]:
  """The resident size of a long run in MiB, after each tenth of its steps."""
  with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "main.py", "--config=configs/street_scenes.py:runlocal"]
    command += [f"--workdir={folder}/run", f"--config.total_steps={steps}"]
    command += [f"--config.evals.val.log_steps={10 * steps}", "--config.log_training_steps=10"]
    found = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
      for line in process.stderr:
        if f"  step {(len(found) + 1) * steps // 10}/" in line:
          pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]
          found.append(int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    if process.returncode or len(found) < 10:
      sys.exit(f"main.py ended with {process.returncode}")
    return found


def main() -> None:
  """Runs the program; see above."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--width", type=int, default=16)
  parser.add_argument("--side", type=int, default=8192)
  parser.add_argument("--steps", type=int, default=5000)
  parser.add_argument("--child", choices=_PROGRAMS, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.child:
    return _PROGRAMS[arguments.child](arguments.width, arguments.side)
  peak = functools.partial(_peak, width=arguments.width, side=arguments.side)
  for work in ("training", "evaluation", "prediction"):
    ours, theirs = peak(f"our {work}"), peak(f"torch {work}")
    print(f"{work:12s} ours {ours:7.0f} MiB, PyTorch {theirs:7.0f} MiB, ratio {ours / theirs:.2f}")
    sys.stdout.flush()
  found = _growth(arguments.steps)
  print(
    f"{arguments.steps} steps, MiB after each tenth: {' '.join(f'{size:.0f}' for size in found)}"
  )
  print(f"growth from the first to the last: {found[-1] / found[0] - 1:+.1%}")
  return None


if __name__ == "__main__":
  main()
