"""A PyTorch data set that implements the Cityscapes recipe, for comparison.

Order and arithmetic follow mmsegmentation (`mmseg/datasets/transforms`, 1.2), with OpenCV: read,
rescale, crop, flip, distort colours. Labels hold class indices already, since mmsegmentation users
convert them beforehand.
"""

import pathlib
from collections.abc import Sequence

import cv2
import numpy as np
import torch

Sample = tuple[np.ndarray, np.ndarray]


class CityscapesRecipe(torch.utils.data.Dataset):
  """Reads pairs of PNG files as uint8 tensors, `[3, height, width]` (BGR) and `[height, width]`."""

  def __init__(
    self,
    pairs: Sequence[tuple[pathlib.Path, pathlib.Path]],
    ratios: tuple[float, float],
    crop_size: tuple[int, int],
    cat_max_ratio: float,
  ):
    self.pairs = pairs
    self.ratios = ratios
    self.crop_size = crop_size
    self.cat_max_ratio = cat_max_ratio
    self.ops = (self.scale, self.crop, self.flip, self.distort)

  def __len__(self) -> int:
    return len(self.pairs)

  def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    sample = self.read(index)
    for op in self.ops:
      sample = op(sample)
    return self.pack(sample)

  def read(self, index: int) -> Sample:
    """Reads an image and its label."""
    image, label = self.pairs[index]
    return cv2.imread(str(image)), cv2.imread(str(label), cv2.IMREAD_UNCHANGED)

  def scale(self, sample: Sample) -> Sample:
    """Rescales by a random factor."""
    image, label = sample
    ratio = np.random.uniform(*self.ratios)
    size = (round(image.shape[1] * ratio), round(image.shape[0] * ratio))
    return (
      cv2.resize(image, size, interpolation=cv2.INTER_LINEAR),
      cv2.resize(label, size, interpolation=cv2.INTER_NEAREST),
    )

  def crop(self, sample: Sample) -> Sample:
    """Crops at random, avoiding crops that a single class dominates."""
    image, label = sample
    place = self._draw(label)
    for _ in range(10):
      values, counts = np.unique(label[place], return_counts=True)
      counts = counts[values != 255]
      if len(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio:
        break
      place = self._draw(label)
    return image[place], label[place]

  def _draw(self, label: np.ndarray) -> tuple[slice, slice]:
    top, left = (
      np.random.randint(0, max(length - crop, 0) + 1)
      for length, crop in zip(label.shape, self.crop_size, strict=True)
    )
    return slice(top, top + self.crop_size[0]), slice(left, left + self.crop_size[1])

  def flip(self, sample: Sample) -> Sample:
    """Flips half of the samples horizontally."""
    if np.random.rand() < 0.5:
      return sample
    image, label = sample
    return np.flip(image, axis=1), np.flip(label, axis=1)

  def distort(self, sample: Sample) -> Sample:
    """Distorts the colours, as mmsegmentation's `PhotoMetricDistortion`."""
    image, label = sample
    if np.random.randint(2):
      image = _convert(image, beta=np.random.uniform(-32, 32))
    contrast_first = np.random.randint(2)
    if contrast_first and np.random.randint(2):
      image = _convert(image, alpha=np.random.uniform(0.5, 1.5))
    if np.random.randint(2):
      hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
      hsv[:, :, 1] = _convert(hsv[:, :, 1], alpha=np.random.uniform(0.5, 1.5))
      image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if np.random.randint(2):
      hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
      hsv[:, :, 0] = (hsv[:, :, 0].astype(int) + np.random.randint(-18, 18)) % 180
      image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if not contrast_first and np.random.randint(2):
      image = _convert(image, alpha=np.random.uniform(0.5, 1.5))
    return image, label

  def pack(self, sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """Converts a sample to tensors."""
    image, label = sample
    return (
      torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
      torch.from_numpy(np.ascontiguousarray(label)),
    )


def _convert(image: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
  return np.clip(image.astype(np.float32) * alpha + beta, 0, 255).astype(np.uint8)


def _one_thread(worker: int) -> None:
  del worker
  cv2.setNumThreads(0)


def loader(
  dataset: CityscapesRecipe, batch_size: int, workers: int, prefetch: int
) -> torch.utils.data.DataLoader:
  """Loads batches of random examples, practically endlessly."""
  return torch.utils.data.DataLoader(
    dataset,
    batch_size,
    sampler=torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=10**6),
    num_workers=workers,
    worker_init_fn=_one_thread,
    prefetch_factor=prefetch if workers else None,
    multiprocessing_context="spawn" if workers else None,  # forking a process with JAX may hang it
  )
