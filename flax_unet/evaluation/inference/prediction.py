"""Predicts images of any size, one after the other, on all devices of this process.

Images are predicted as in evaluation, see `fitting`. The devices process windows: whole images or
tiles of them. A batch has one window per device, which may come from different images; the next
batch is already running while the results of the last are fetched.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from flax_unet import devices
from flax_unet.data import image_format, padding
from flax_unet.evaluation.inference import fitting, passes, tiles
from flax_unet.models.base import Network

Key = TypeVar("Key")
# Maps variables and windows `[devices, 1, height, width, channels]` to `[devices, 1, ...]`.
_Step = Callable[[Mapping[str, Any], np.ndarray], jax.Array]


@dataclasses.dataclass(frozen=True)
class _Whole:
  """An image that a single window covers."""

  step: _Step  # gives masks, or scores
  image: np.ndarray  # as the network sees it
  part: tuple[int, int]  # size of the result's upper left corner that is not padding
  size: tuple[int, int]  # of the mask

  def windows(self) -> Iterator[np.ndarray]:
    """The inputs of the step, `[height, width, channels]` each."""
    yield self.image

  def add(self, output: np.ndarray) -> np.ndarray:
    """Adds a window's result; returns that of the image, `[*size]` or `[*size, classes]`.

    None if it is not complete yet.
    """
    return _fit(output[: self.part[0], : self.part[1]], self.size)


@dataclasses.dataclass(frozen=True)
class _Tiles:
  """An image that is predicted in tiles, with the methods of `_Whole`."""

  step: _Step  # gives scores
  image: np.ndarray
  plan: tiles.Plan
  blender: tiles.Blender
  part: tuple[int, int]
  size: tuple[int, int]
  keep_scores: bool

  def windows(self) -> Iterator[np.ndarray]:
    return self.plan.windows(self.image)

  def add(self, output: np.ndarray) -> np.ndarray | None:
    if not self.blender.add(output):
      return None
    found = self.blender.scores if self.keep_scores else self.blender.mask
    return _fit(found[: self.part[0], : self.part[1]], self.size)


def _fit(found: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Resizes a mask, or scores, to the size of the image."""
  if found.ndim == 2:
    return fitting.resize_mask(found, size)
  return found if found.shape[:2] == size else image_format.resize(found, *size)


class _Window(NamedTuple):
  """A window, and the image that it belongs to."""

  key: Any
  picture: _Whole | _Tiles
  pixels: np.ndarray


class Predictor:
  """Predicts images with one model; steps are compiled once for each window shape."""

  def __init__(
    self,
    model: Network,
    variables: Mapping[str, Any],
    options: passes.Options,
    *,
    resize: tuple[int, int] | None = None,
    multiple: int = padding.MULTIPLE,
  ):
    """Sends the model to the devices.

    Args:
      model: the network.
      variables: its parameters and statistics.
      options: how to predict.
      resize: height and width to which images are resized first; masks still have the size of the
        original image.
      multiple: images are mirrored up to a multiple of this many pixels, see `fitting`.
    """
    self._devices = jax.local_devices()
    self._variables = jax.device_put(jax.device_get(variables), devices.replicated_locally())
    self._model = model
    self._options = options
    self._resize = resize
    self._multiple = multiple
    self._tile_step = self._map(tiles.window_scores, options=options)
    self._whole_steps: dict[tuple[tuple[int, int], bool], _Step] = {}

  def _map(self, function: Callable[..., jax.Array], **arguments: Any) -> _Step:
    bound = functools.partial(function, self._model, **arguments)
    return jax.pmap(bound, in_axes=(None, 0), devices=self._devices)

  def _whole_step(self, size: tuple[int, int], scores: bool) -> _Step:
    """The step that returns whole masks of a given size, or scores."""
    if (size, scores) not in self._whole_steps:
      self._whole_steps[size, scores] = self._map(
        fitting.class_scores if scores else fitting.predict,
        size=size,
        options=self._options,
        multiple=self._multiple,
      )
    return self._whole_steps[size, scores]

  def __call__(
    self, pictures: Iterable[tuple[Key, np.ndarray]]
  ) -> Iterator[tuple[Key, np.ndarray]]:
    """Predicts images.

    Args:
      pictures: pairs of a key and an image, `[height, width, channels]`. Consecutive images of the
        same size keep all devices busy.

    Yields:
      Pairs of the key and the mask, uint8 `[height, width]`, class indices; in the same order.
    """
    yield from self._run(pictures, scores=False)

  def probabilities(
    self, pictures: Iterable[tuple[Key, np.ndarray]]
  ) -> Iterator[tuple[Key, np.ndarray]]:
    """Predicts the probability of each class; see `__call__`, which takes the most probable one.

    Yields:
      Pairs of the key and the probabilities, float32 `[height, width, classes]`.
    """
    for key, scores in self._run(pictures, scores=True):
      yield key, scores if self._options.averages else _softmax(scores)

  def _run(
    self, pictures: Iterable[tuple[Key, np.ndarray]], scores: bool
  ) -> Iterator[tuple[Key, np.ndarray]]:
    running = collections.deque()
    for batch in self._batches(pictures, scores):
      pixels = [window.pixels for window in batch]
      pixels += pixels[:1] * (len(self._devices) - len(batch))
      outputs = batch[0].picture.step(self._variables, np.stack(pixels)[:, None])
      running.append((batch, outputs))
      if len(running) > 1:
        yield from _fetch(*running.popleft())
    if running:
      yield from _fetch(*running.popleft())

  def _batches(
    self, pictures: Iterable[tuple[Any, np.ndarray]], scores: bool
  ) -> Iterator[list[_Window]]:
    """Groups windows of the same shape and step, at most one per device."""
    batch: list[_Window] = []
    for key, image in pictures:
      picture = self._prepare(image, scores)
      for pixels in picture.windows():
        if batch and (
          len(batch) == len(self._devices)
          or picture.step is not batch[0].picture.step
          or pixels.shape != batch[0].pixels.shape
        ):
          yield batch
          batch = []
        batch.append(_Window(key, picture, pixels))
    if batch:
      yield batch

  def _prepare(self, image: np.ndarray, scores: bool) -> _Whole | _Tiles:
    """Chooses how to predict an image."""
    size = image.shape[:2]
    if self._resize:
      image = image_format.resize(image, *self._resize)
    part = image.shape[:2]
    if fitting.resizes_scores(part, size):
      return _Whole(self._whole_step(size, scores), image, size, size)
    image = padding.mirror(image, self._multiple)  # on the host, to compile for few shapes
    if fitting.in_tiles(image.shape[:2], self._options):
      plan = tiles.Plan.make(image.shape[:2], self._model, self._options)
      blender = tiles.Blender(plan, self._model.num_classes, scores)
      return _Tiles(self._tile_step, image, plan, blender, part, size, scores)
    return _Whole(self._whole_step(image.shape[:2], scores), image, part, size)


def _softmax(scores: np.ndarray) -> np.ndarray:
  exponentials = np.exp(scores - scores.max(-1, keepdims=True))
  return exponentials / exponentials.sum(-1, keepdims=True)


def _fetch(batch: list[_Window], outputs: jax.Array) -> Iterator[tuple[Any, np.ndarray]]:
  """Waits for a batch's results, and yields the masks they complete."""
  for window, output in zip(batch, np.asarray(outputs)[:, 0], strict=False):
    mask = window.picture.add(output)
    if mask is not None:
      yield window.key, mask
