"""Trains a plain PyTorch U-Net on CamVid, to compare `configs/camvid.py:quick` with.

    python -m benchmarks.camvid_peer --data=CamVid --seed=0

The layers are those of our `unet` at width 16. It trains for 20 epochs on whole images of 192 x 256
in batches of 8, with flips, cross-entropy, AdamW at 1e-3 and cosine decay, and prints the mean IoU
of the validation images at their own resolution, 360 x 480.
"""

import json
import pathlib
import time

import cv2
import numpy as np
import torch
from absl import app, flags

from benchmarks.torch_unet import TorchUNet

_DATA = flags.DEFINE_string("data", "CamVid", "The folder with train, trainannot, val, valannot.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the weights, the order and the flips.")
_EPOCHS = flags.DEFINE_integer("epochs", 20, "How often each image is seen.")

_SIZE = (192, 256)
_BATCH_SIZE = 8
_CLASSES = 11
_MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
_STDDEV = 255 * np.array([0.229, 0.224, 0.225], np.float32)


def _read(split: str) -> tuple[np.ndarray, np.ndarray]:
  """Reads uint8 images `[number, height, width, 3]` and class indices, 255 where void."""
  folder = pathlib.Path(_DATA.value).expanduser()
  images, labels = [], []
  for path in sorted((folder / split).glob("*.png")):
    images.append(cv2.imread(str(path))[..., ::-1])
    label = cv2.imread(str(folder / f"{split}annot" / path.name), cv2.IMREAD_UNCHANGED)
    labels.append(np.where(label < _CLASSES, label, 255))
  return np.stack(images), np.stack(labels)


def _tensor(images: np.ndarray) -> torch.Tensor:
  """Normalises images; returns `[batch, 3, height, width]`."""
  small = np.stack([cv2.resize(image, _SIZE[::-1]) for image in images])
  return torch.from_numpy((small - _MEAN) / _STDDEV).permute(0, 3, 1, 2).contiguous()


def _train(images: torch.Tensor, labels: torch.Tensor) -> TorchUNet:
  model = TorchUNet(3, _CLASSES, 16, 4, "batch").to(memory_format=torch.channels_last)
  optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
  steps = _EPOCHS.value * -(-len(images) // _BATCH_SIZE)
  schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
  for _ in range(_EPOCHS.value):
    for chosen in torch.randperm(len(images)).split(_BATCH_SIZE):
      x, y = images[chosen], labels[chosen]
      flipped = torch.rand(len(chosen)) < 0.5
      x = torch.where(flipped[:, None, None, None], x.flip(3), x)
      y = torch.where(flipped[:, None, None], y.flip(2), y)
      logits = model(x.contiguous(memory_format=torch.channels_last))
      loss = torch.nn.functional.cross_entropy(logits, y, ignore_index=255)
      optimizer.zero_grad()
      loss.backward()
      optimizer.step()
      schedule.step()
  return model


@torch.no_grad()
def _score(model: TorchUNet, images: np.ndarray, labels: np.ndarray) -> float:
  """Returns the mean IoU of all images, scored at the size of the labels."""
  model.eval()
  confusion = np.zeros((_CLASSES, _CLASSES), np.int64)
  for image, label in zip(images, labels, strict=True):
    logits = model(_tensor(image[None]))
    logits = torch.nn.functional.interpolate(
      logits, label.shape, mode="bilinear", align_corners=False
    )
    predicted, valid = logits.argmax(1)[0].numpy(), label != 255
    pairs = _CLASSES * label[valid].astype(int) + predicted[valid]
    confusion += np.bincount(pairs, minlength=_CLASSES**2).reshape(_CLASSES, _CLASSES)
  true = np.diagonal(confusion)
  return float(np.mean(true / (confusion.sum(0) + confusion.sum(1) - true)))


def main(argv):
  """Runs the program; see above."""
  del argv
  torch.manual_seed(_SEED.value)
  train_images, train_labels = _read("train")
  small = [
    cv2.resize(label, _SIZE[::-1], interpolation=cv2.INTER_NEAREST_EXACT) for label in train_labels
  ]
  start = time.perf_counter()
  model = _train(_tensor(train_images), torch.from_numpy(np.stack(small)).long())
  seconds = time.perf_counter() - start
  result = {
    "mean_iou": _score(model, *_read("val")),
    "seconds": round(seconds),
    "seed": _SEED.value,
  }
  print(json.dumps(result))


if __name__ == "__main__":
  app.run(main)
