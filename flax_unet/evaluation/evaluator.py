"""Scores a model on a split: every picture once, at the resolution of its label."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from flax_unet import devices
from flax_unet.data import feed, padding, pipeline
from flax_unet.data.datasets import Source
from flax_unet.data.label_spaces import LabelSpace
from flax_unet.data.op_spec import Chain
from flax_unet.evaluation.inference import passes
from flax_unet.evaluation.inference.fitting import predict
from flax_unet.evaluation.metrics import audit, segmentation
from flax_unet.evaluation.metrics.confusion import confusion_matrices
from flax_unet.models.base import Network


def eval_step(
  variables: Mapping[str, Any],
  batch: Mapping[str, jax.Array],
  *,
  model: Network,
  options: passes.Options = passes.WHOLE,
  multiple: int = padding.MULTIPLE,
) -> dict[str, jax.Array]:
  """Predicts and counts this device's part of a batch.

  Args:
    variables: the model's parameters and statistics.
    batch: `image` uint8 `[batch, height, width, 3]`; `label` uint8 `[batch, height', width']`,
      which may be of another resolution.
    model: the network.
    options: how to predict.
    multiple: up to a multiple of how many pixels images are mirrored, see `fitting`.

  Returns:
    `confusion` int32 `[batch, classes, classes]`, one matrix a picture at the label's resolution;
    and `prediction` uint8 `[batch, height', width']`, class indices.
  """
  size = batch["label"].shape[1:3]
  prediction = predict(model, variables, batch["image"], size, options, multiple)
  return {
    "confusion": confusion_matrices(batch["label"], prediction, model.num_classes),
    "prediction": prediction,
  }


class Picture(NamedTuple):
  """A picture for a figure: its id, and what `eval_step` saw and found, without padding."""

  id: str
  image: np.ndarray  # uint8 [height, width, 3]
  label: np.ndarray  # uint8 [height', width'], class indices or IGNORED
  prediction: np.ndarray  # uint8 [height', width']


@dataclasses.dataclass(frozen=True)
class Result:
  """What an evaluation found.

  Attributes:
    places: int `[pictures]`, in the split; ascending.
    ids: str `[pictures]`.
    confusions: int64 `[pictures, classes, classes]`.
    scores: what `segmentation.scores` makes of their sum.
    examples: the first pictures.
    extra: what the audit needs beside the matrices, see `audit.extra_counts`, where asked for.
    skipped: the errors of examples that could not be used.
  """

  places: np.ndarray
  ids: np.ndarray
  confusions: np.ndarray
  scores: dict[str, Any]
  examples: list[Picture]
  extra: dict[str, np.ndarray]
  skipped: list[str]


class Evaluator:
  """Evaluates on one split; compiled once, called as often as one likes."""

  def __init__(
    self,
    source: Source,
    op: Chain,
    model: Network,
    label_space: LabelSpace,
    *,
    batch_size: int,
    workers: int = 0,
    num_pictures: int = 0,
    options: passes.Options = passes.WHOLE,
    skip_bad_examples: bool = False,
    timeout: int = 300,
  ):
    """Sets the evaluation up.

    Args:
      source: the split.
      op: its preprocessing.
      model: the network.
      label_space: names of classes and categories.
      batch_size: pictures a step, over all devices of all processes.
      workers: processes that prepare batches.
      num_pictures: how many examples a `Result` has, if there are as many that can be used.
      options: how to predict.
      skip_bad_examples: whether to leave out examples that cannot be used; if not, the first ends
        the evaluation with its error.
      timeout: seconds after which a batch that does not come ends the evaluation.
    """
    self._skip_bad_examples = skip_bad_examples
    self._batches = functools.partial(pipeline.eval_batches, source, op, batch_size=batch_size)
    self._workers = workers
    self._timeout = timeout
    # On this process's devices only: others may have pictures of other sizes, or fewer.
    self._eval_step = jax.pmap(
      functools.partial(
        eval_step, model=model, options=options, multiple=padding.multiple_of(op.ops)
      ),
      axis_name="batch",
      in_axes=(None, 0),
      devices=jax.local_devices(),
    )
    self._label_space = label_space
    self._num_pictures = num_pictures

  def __call__(self, variables: Mapping[str, Any], *, audit_predictions: bool = False) -> Result:
    """Evaluates a model with these variables.

    Args:
      variables: the model's parameters and statistics.
      audit_predictions: whether to count what the audit needs beside the matrices, which takes
        about 30 ms on the host for a picture of 1024 x 2048.

    Raises:
      UserError: an example cannot be used, a worker process died, or no batch came in time.
    """
    num_classes = self._label_space.num_classes
    places, ids, skipped = [np.zeros(0, int)], [np.zeros(0, str)], []
    confusions = [np.zeros((0, num_classes, num_classes), np.int32)]
    extra = {}
    if audit_predictions:  # a process may have no picture, but has to tell of the same counts
      extra = audit.extra_counts(*np.zeros((2, 0, 0), np.uint8), num_classes)
    for batch, outputs in self._run(variables, on_bad_example=skipped.append):
      real = np.asarray(batch["mask"])
      places.append(batch["index"][real])
      ids.append(batch["id"][real])
      confusions.append(np.asarray(outputs["confusion"])[real])
      if audit_predictions:
        counts = (
          audit.extra_counts(picture.label, picture.prediction, num_classes)
          for _, picture in _pictures(batch, outputs)
        )
        extra = audit.sum_counts([extra, *counts])
    places, ids, confusions = (
      devices.gather_rows(np.concatenate(parts)) for parts in (places, ids, confusions)
    )
    order = np.argsort(places)
    places, confusions = places[order], confusions[order].astype(np.int64)
    return Result(
      places=places,
      ids=ids[order],
      confusions=confusions,
      scores=segmentation.scores(confusions.sum(0), self._label_space),
      examples=self.pictures(variables, places[: self._num_pictures].tolist()),
      extra={key: devices.gather_rows(counts[None]).sum(0) for key, counts in extra.items()},
      skipped=sorted(devices.gather_rows(np.array(skipped, str)).tolist()),
    )

  def pictures(self, variables: Mapping[str, Any], places: Sequence[int]) -> list[Picture]:
    """Predicts some of the pictures, on this process's devices alone and without worker processes.

    Args:
      variables: the model's parameters and statistics.
      places: of the pictures in the split, each once.
    """
    found = {}
    for batch, outputs in self._run(variables, places):
      found |= _pictures(batch, outputs)
    return [found[place] for place in places if place in found]

  def _run(
    self,
    variables: Mapping[str, Any],
    places: Sequence[int] | None = None,
    on_bad_example: Callable[[str], None] = logging.warning,
  ) -> Iterator[tuple[pipeline.Batch, dict[str, jax.Array]]]:
    """Yields batches and what `eval_step` makes of them; without `places`, this process's share."""
    # Copied once, to where the step runs.
    variables = jax.device_put(jax.device_get(variables), devices.replicated_locally())
    batches = self._batches(
      places=places,
      on_bad_example=on_bad_example if self._skip_bad_examples else None,
      workers=self._workers if places is None else 0,  # a few pictures need none
    )
    for batch in feed.timed(pipeline.to_devices(batches), self._timeout):
      yield batch, self._eval_step(variables, {key: batch[key] for key in ("image", "label")})


def _pictures(
  batch: pipeline.Batch, outputs: Mapping[str, jax.Array]
) -> Iterator[tuple[int, Picture]]:
  """Yields the pictures of a batch with their places in the split, without blanks and padding."""
  arrays = [np.asarray(x) for x in (batch["image"], batch["label"], outputs["prediction"])]
  for at in map(tuple, np.argwhere(np.asarray(batch["mask"]))):
    height, width = batch["size"][at]
    padded = batch["label"].shape[2:4]
    # An image that is of another resolution than its label has not been padded.
    pixels = (x[at][:height, :width] if x.shape[2:4] == padded else x[at] for x in arrays)
    yield int(batch["index"][at]), Picture(str(batch["id"][at]), *pixels)
