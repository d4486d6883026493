"""A train step and a forward pass in PyTorch, to compare with."""

from collections.abc import Callable
from typing import Any

import numpy as np

MODES = ("NCHW", "channels last", "compiled")


def make(
  image: np.ndarray, label: np.ndarray, mode: str, network: tuple[Any, ...], dtype: str
) -> dict[str, Callable[[], None]]:
  """Makes the programs: on the first GPU, or on the CPU without one.

  Args:
    image: uint8 `[batch, height, width, 3]`.
    label: uint8 `[batch, height, width]`.
    mode: of `MODES`; "compiled" is channels last too.
    network: the arguments of `torch_models.make`.
    dtype: "bfloat16" computes with automatic mixed precision; float32 uses TF32 on GPUs.
  """
  import torch
  from torch.nn import functional

  from benchmarks import torch_models
  from flax_unet.models import base

  device = "cuda" if torch.cuda.is_available() else "cpu"
  torch.set_float32_matmul_precision("high")
  torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
  layout = torch.contiguous_format if mode == "NCHW" else torch.channels_last
  model = torch_models.make(*network).to(device, memory_format=layout)
  optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
  run = torch.compile(model) if mode == "compiled" else model
  mean, stddev = (torch.tensor(x, device=device).reshape(3, 1, 1) for x in (base.MEAN, base.STDDEV))
  images = torch.tensor(image.transpose(0, 3, 1, 2), device=device)
  images = images.contiguous(memory_format=layout)
  labels = torch.tensor(label, dtype=torch.long, device=device)

  def logits() -> list[torch.Tensor]:
    """The main logits and, in training, any auxiliary ones, enlarged."""
    with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
      outputs = run((images.float() / 255 - mean) / stddev)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    size = outputs[0].shape[2:]
    return [
      x if x.shape[2:] == size else functional.interpolate(x, size, mode="bilinear")
      for x in (output.float() for output in outputs)
    ]

  def wait() -> None:
    if device == "cuda":
      torch.cuda.synchronize()

  def train() -> None:
    model.train()
    optimizer.zero_grad()
    main, *others = [functional.cross_entropy(x, labels, ignore_index=255) for x in logits()]
    (main + 0.4 * sum(others)).backward()
    optimizer.step()
    wait()

  def forward() -> None:
    model.eval()
    with torch.inference_mode():
      logits()
    wait()

  return {"train": train, "forward": forward}
