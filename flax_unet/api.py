"""The Python API behind `import flax_unet`: train, load, predict, evaluate, score, history."""

import multiprocessing
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np
from absl import flags

from flax_unet import errors, terminal
from flax_unet.data import label_spaces
from flax_unet.data.image_format import ImageFormat
from flax_unet.data.label_space import IGNORED, LabelSpace
from flax_unet.evaluation.inference.prediction import Predictor
from flax_unet.evaluation.metrics import counting, segmentation
from flax_unet.run import trained

Path = str | os.PathLike[str]


class Model:
  """A trained network, as returned by `load`.

  Attributes:
    model: the Flax module. It takes normalised images, see `flax_unet.models.base.normalize`.
    variables: its `params` and `batch_stats`, as NumPy arrays.
    label_space: names, colours and ids of the classes.
    step: the number of steps it was trained for.
  """

  def __init__(self, found: trained.TrainedModel):
    self.model: nn.Module = found.model.clone(axis_name=None)  # no axis outside of training
    self.variables: dict[str, Any] = found.variables
    self.label_space: LabelSpace = found.label_space
    self.step: int = found.step
    self._predictor = Predictor(
      self.model, self.variables, found.options, resize=found.resize, multiple=found.multiple
    )

  def predict(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """Predicts the class of each pixel, as evaluation and `--mode=predict` do.

    Args:
      images: one image of any size, `[height, width, channels]`: uint8 RGB, or what
        `config.images` of the run says; several of equal size, `[images, height, width, channels]`;
        or a sequence of images of any sizes.

    Returns:
      uint8 class indices: `[height, width]`, `[images, height, width]`, or a list of
      `[height, width]`.

    Raises:
      UserError: an image has the wrong type or shape; the message says what to do.
    """
    single = isinstance(images, np.ndarray | jax.Array) and np.ndim(images) <= 3
    checked = [self._check(image) for image in ([images] if single else images)]
    masks = [mask for _, mask in self._predictor(enumerate(checked))]
    if single:
      return masks[0]
    return np.stack(masks) if isinstance(images, np.ndarray | jax.Array) and masks else masks

  def probabilities(self, image: np.ndarray) -> np.ndarray:
    """Predicts the probability of each class; `predict` returns the most probable one.

    Args:
      image: as in `predict`.

    Returns:
      float32 `[height, width, classes]`.

    Raises:
      UserError: the image has the wrong type or shape.
    """
    ((_, found),) = self._predictor.probabilities([(0, self._check(image))])
    return found

  def join(self, image: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Combines an image with its extra channels, for a run with `config.input.data.extra`.

    Args:
      image: `[height, width, channels]`, as in the files of images.
      extra: `[height, width, channels]` or `[height, width]`, as in the files of extra channels.

    Returns:
      What `predict` takes.

    Raises:
      UserError: the run takes no extra channels, or an array has the wrong type, shape or values.
    """
    image_format = self.model.image_format
    if not image_format.extra:
      raise errors.UserError(f"the network takes {image_format.describe()} and no extra channels")
    parts = [
      _checked(np.atleast_3d(array), part)
      for part, array in ((image_format.own, image), (image_format.extra, extra))
    ]
    if parts[0].shape[:2] != parts[1].shape[:2]:
      sizes = " but ".join(f"{list(part.shape[:2])}" for part in parts)
      raise errors.UserError(f"image and extra channels must have the same size, not {sizes}")
    return image_format.join(*parts)

  def _check(self, image: Any) -> np.ndarray:
    """Returns the image as an array; refuses types and shapes that the network does not take."""
    return _checked(np.asarray(image), self.model.image_format)


def load(workdir: Path, checkpoint: str = "newest") -> Model:
  """Loads the network of a run.

  Args:
    workdir: the run folder. Neither the data nor the configuration file is needed.
    checkpoint: "newest" or "best".

  Raises:
    UserError: there is no such run or checkpoint.
  """
  _parse_no_flags()
  if checkpoint not in ("newest", "best"):
    raise errors.unknown("checkpoint", checkpoint, ["newest", "best"])
  return Model(trained.load(pathlib.Path(workdir).expanduser(), checkpoint))


def train(config: ml_collections.ConfigDict, workdir: Path) -> int:
  """Trains a network, or resumes the run in a folder; see `main.py`.

  Reports progress as `main.py` does. With `config.input.workers` above 0, call it below
  `if __name__ == "__main__":`, since worker processes import the script anew.

  Args:
    config: the configuration, such as `configs.street_scenes.get_config()`.
    workdir: the run folder.

  Returns:
    0, or 128 plus the number of the signal that stopped it.

  Raises:
    UserError: the configuration or the data cannot be used, or a step failed.
  """
  from flax_unet.run import loop

  if multiprocessing.parent_process() is not None:
    # A worker process of the input pipeline imports the script that started it.
    sys.exit(
      "error: flax_unet.train was called while a worker process imported this script: put the call "
      'below `if __name__ == "__main__":`, or set config.input.workers = 0'
    )
  _parse_no_flags()
  terminal.set_up()
  return loop.train(config, pathlib.Path(workdir).expanduser())


def evaluate(
  workdir: Path, checkpoint: str = "newest", config: ml_collections.ConfigDict | None = None
) -> dict[str, dict[str, Any]]:
  """Evaluates a run, and writes a report to `evaluations` in its folder.

  Args:
    workdir: the run folder.
    checkpoint: "newest" or "best".
    config: the run's configuration with other `evals`; None: the one it was trained with.

  Returns:
    By the name of each evaluation, the scores of its type, see `score`, and `loss`.

  Raises:
    UserError: there is no such run, or the configuration describes another model.
  """
  from flax_unet.run import reporting

  _parse_no_flags()
  folder = pathlib.Path(workdir).expanduser()
  config = config or trained.config_of(folder)
  results = reporting.evaluate(config, folder, checkpoint)
  return {name: result.scores for name, result in results.items()}


def history(workdir: Path) -> dict[str, tuple[list[int], list[float]]]:
  """Reads the learning curves of a run, which TensorBoard shows too.

  Args:
    workdir: the run folder; the run need not be finished.

  Returns:
    Steps and values by name: `train/loss`, `train/learning_rate`, `val/mean_iou` and others.

  Raises:
    UserError: there is no such run.
  """
  from flax_unet.run import events

  folder = pathlib.Path(workdir).expanduser()
  trained.read_config(folder)  # refuses what is no run
  return events.scalars(folder)


def score(
  predictions: np.ndarray | Sequence[np.ndarray],
  labels: np.ndarray | Sequence[np.ndarray],
  label_space: LabelSpace | str,
) -> dict[str, Any]:
  """Scores predictions with the official definitions, over all images together.

  Args:
    predictions: class indices uint8 `[images, height, width]`, or a sequence of `[height, width]`.
    labels: likewise, with 255 for ignored pixels.
    label_space: the classes, or the name of their label space.

  Returns:
    Floats, NaN if undefined, see docs/reference/scores.md: `mean_iou`, `category_iou`, `mean_f1`,
    `mean_dice`, `pixel_accuracy`, `mean_accuracy`, `frequency_weighted_iou`; in `per_class`, by
    name, `iou`, `f1`, `dice`, `precision`, `recall`, `accuracy`, `share`; in `per_category`, `iou`.

  Raises:
    UserError: predictions and labels do not match, or a value is not a class.
  """
  space = label_spaces.get(label_space) if isinstance(label_space, str) else label_space
  if len(predictions) != len(labels) or not len(labels):
    raise errors.UserError(
      f"{len(predictions)} predictions for {len(labels)} labels: give one of each per image"
    )
  pairs = zip(_maps("prediction", predictions), _maps("label", labels), strict=True)
  confusion = np.zeros((space.num_classes, space.num_classes + 1), np.int64)
  for index, (prediction, label) in enumerate(pairs):
    if prediction.shape != label.shape:
      raise errors.UserError(
        f"prediction {index} has shape {list(prediction.shape)}, but its label {list(label.shape)}"
      )
    _check_classes(f"prediction {index}", prediction, space.num_classes)
    _check_classes(f"label {index}", label, space.num_classes, or_ignored=True)
    confusion += counting.count(
      label.astype(np.uint8), prediction.astype(np.uint8), space.num_classes
    )
  return segmentation.scores(confusion, space)


def _checked(image: np.ndarray, image_format: ImageFormat) -> np.ndarray:
  """Returns the values of an image as the network takes them.

  Raises:
    UserError: they are of another format; the message says what to do.
  """
  channels, dtype = image_format.channels, image_format.dtype
  low, high = image_format.value_range or image_format.array_range
  if image_format.extra:  # see `join`
    dtype, (low, high) = str(image_format.array_dtype), image_format.array_range
  wanted = f"give {dtype} [height, width, {channels}] with values {low:g} to {high:g}"
  if image.ndim == 2 and channels == 1:
    image = image[..., None]
  elif image.ndim == 2:
    hint = f" (for a grayscale image, np.dstack([image] * {channels}))"
    raise errors.UserError(f"an image of shape {list(image.shape)}: {wanted}{hint}")
  if image.ndim == 3 and image.shape[0] == channels != image.shape[2]:
    hint = " (np.moveaxis(image, 0, -1) puts the channels last)"
    raise errors.UserError(f"an image of shape {list(image.shape)}: {wanted}{hint}")
  if image.ndim != 3 or image.shape[2] != channels or not image.size:
    raise errors.UserError(f"an image of shape {list(image.shape)}: {wanted}")
  if image_format.extra and image.dtype == dtype:
    return image
  if dtype == "float32" and np.issubdtype(image.dtype, np.number):
    return image_format.convert(image, "an image")
  if image.dtype != dtype:
    hint = f" (for floats in 0..1, np.rint({high:g} * image).astype(np.{dtype}))"
    raise errors.UserError(f"an image of {image.dtype}: {wanted}{hint}")
  return image if image_format.is_rgb8 else image_format.convert(image, "an image")


def _maps(what: str, arrays: Any) -> Iterator[np.ndarray]:
  for index, array in enumerate(arrays):
    array = np.asarray(array)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
      raise errors.UserError(
        f"{what} {index} is {array.dtype} {list(array.shape)}: give integer arrays "
        "[height, width], as a list or stacked to [images, height, width]"
      )
    yield array


def _check_classes(
  what: str, array: np.ndarray, num_classes: int, or_ignored: bool = False
) -> None:
  wrong = (array < 0) | (array >= num_classes)
  if or_ignored:
    wrong &= array != IGNORED
  if wrong.any():
    also = f" or {IGNORED} for ignored pixels" if or_ignored else ""
    raise errors.UserError(
      f"{what} contains {array[wrong][0]}: give class indices below {num_classes}{also}"
    )


def _parse_no_flags() -> None:
  """Marks flags as parsed: libraries read them, but the caller may not use absl flags."""
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
