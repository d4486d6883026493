"""Scores a model on a split: every picture once, at the resolution of its label."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from flax_unet.data import pipeline
from flax_unet.data.datasets import Source
from flax_unet.data.label_spaces import LabelSpace
from flax_unet.data.op_spec import Chain
from flax_unet.evaluation import inference, metrics, tiles
from flax_unet.evaluation.confusion import confusion_matrices
from flax_unet.models.unet import UNet

_WHOLE = inference.Options()


def predict(
  model: UNet,
  variables: Mapping[str, Any],
  images: jax.Array,
  size: tuple[int, int],
  options: inference.Options = _WHOLE,
) -> jax.Array:
  """Predicts the class of each pixel.

  Args:
    model: the network.
    variables: its parameters and statistics.
    images: uint8 `[batch, height, width, 3]`.
    size: height and width of the prediction.
    options: in one pass or in tiles, at which scales.

  Returns:
    uint8 `[batch, *size]`, class indices.
  """
  if options.mode == "tiles":
    scores = tiles.tiled_scores(model, variables, images, options)
    scores = inference.resize_logits(scores, size)
  else:
    scores = inference.scores(model, variables, images, size, options)
  return jnp.argmax(scores, -1).astype(jnp.uint8)


def eval_step(
  variables: Mapping[str, Any],
  batch: Mapping[str, jax.Array],
  *,
  model: UNet,
  options: inference.Options = _WHOLE,
) -> dict[str, jax.Array]:
  """Predicts and counts this device's part of a batch.

  Args:
    variables: the model's parameters and statistics.
    batch: `image` uint8 `[batch, height, width, 3]`; `label` uint8 `[batch, height', width']`,
      which may be of another resolution.
    model: the network.
    options: how to predict.

  Returns:
    `confusion` int32 `[batch, classes, classes]`, one matrix a picture at the label's resolution;
    and `prediction` uint8 `[batch, height', width']`, class indices.
  """
  prediction = predict(model, variables, batch["image"], batch["label"].shape[1:3], options)
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
    ids: str `[pictures]`, in the split's order.
    confusions: int64 `[pictures, classes, classes]`.
    scores: what `metrics.scores` makes of their sum.
    examples: the first pictures.
  """

  ids: np.ndarray
  confusions: np.ndarray
  scores: dict[str, Any]
  examples: list[Picture]


class Evaluator:
  """Evaluates on one split; compiled once, called as often as one likes."""

  def __init__(
    self,
    source: Source,
    op: Chain,
    model: UNet,
    label_space: LabelSpace,
    *,
    batch_size: int,
    workers: int = 0,
    num_pictures: int = 0,
    options: inference.Options = _WHOLE,
  ):
    """Sets the evaluation up.

    Args:
      source: the split.
      op: its preprocessing.
      model: the network.
      label_space: names of classes and categories.
      batch_size: pictures a step, over all devices of all processes.
      workers: processes that prepare batches.
      num_pictures: how many examples a `Result` has.
      options: how to predict.
    """
    self._batches = functools.partial(
      pipeline.eval_batches, source, op, batch_size=batch_size, workers=workers
    )
    # On this process's devices only: others may have pictures of other sizes, or fewer.
    self._eval_step = jax.pmap(
      functools.partial(eval_step, model=model, options=options),
      axis_name="batch",
      in_axes=(None, 0),
      devices=jax.local_devices(),
    )
    self._label_space = label_space
    self._examples = range(min(num_pictures, len(source)))

  def __call__(self, variables: Mapping[str, Any]) -> Result:
    """Evaluates a model with these variables."""
    num_classes = self._label_space.num_classes
    places, ids = [np.zeros(0, int)], [np.zeros(0, str)]
    confusions = [np.zeros((0, num_classes, num_classes), np.int32)]
    for batch, outputs in self._run(variables):
      real = np.asarray(batch["mask"])
      places.append(batch["index"][real])
      ids.append(batch["id"][real])
      confusions.append(np.asarray(outputs["confusion"])[real])
    ids, confusions = _gather(*map(np.concatenate, (places, ids, confusions)))
    scores = metrics.scores(confusions.sum(0), self._label_space)
    return Result(ids, confusions, scores, self.pictures(variables, self._examples))

  def pictures(self, variables: Mapping[str, Any], places: Sequence[int]) -> list[Picture]:
    """Predicts some of the pictures, on this process's devices alone.

    Args:
      variables: the model's parameters and statistics.
      places: of the pictures in the split, each once.
    """
    found = {}
    for batch, outputs in self._run(variables, places):
      arrays = {
        "image": np.asarray(batch["image"]),
        "label": np.asarray(batch["label"]),
        "prediction": np.asarray(outputs["prediction"]),
      }
      for at in map(tuple, np.argwhere(np.asarray(batch["mask"]))):
        height, width = batch["size"][at]
        padded = arrays["label"][at].shape
        # An image that is of another resolution than its label has not been padded.
        pixels = (
          x[at][:height, :width] if x[at].shape[:2] == padded else x[at] for x in arrays.values()
        )
        found[batch["index"][at]] = Picture(str(batch["id"][at]), *pixels)
    return [found[place] for place in places]

  def _run(
    self, variables: Mapping[str, Any], places: Sequence[int] | None = None
  ) -> Iterator[tuple[pipeline.Batch, dict[str, jax.Array]]]:
    """Yields batches and what `eval_step` makes of them; without `places`, this process's share."""
    # Copied once, to where the step runs.
    local = jax.sharding.Mesh(np.array(jax.local_devices()), ("batch",))
    replicated = jax.sharding.NamedSharding(local, jax.sharding.PartitionSpec())
    variables = jax.device_put(jax.device_get(variables), replicated)
    for batch in pipeline.to_devices(self._batches(places=places)):
      yield batch, self._eval_step(variables, {key: batch[key] for key in ("image", "label")})


def _gather(
  places: np.ndarray, ids: np.ndarray, confusions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Brings the pictures of all processes into the split's order; int32 counts become int64."""
  if jax.process_count() > 1:
    places, confusions = _gather_rows(places), _gather_rows(confusions)
    names = np.array([name.encode() for name in ids.tolist()], np.bytes_)
    width = multihost_utils.process_allgather(np.array(names.itemsize)).max()
    codes = names.astype(f"S{width}").view(np.uint8).reshape(len(names), width)
    ids = np.array([bytes(row).rstrip(b"\0").decode() for row in _gather_rows(codes)])
  order = np.argsort(places)
  return ids[order], confusions[order].astype(np.int64)


def _gather_rows(rows: np.ndarray) -> np.ndarray:
  """Concatenates `[n, ...]` arrays of all processes, whose `n` may differ."""
  counts = multihost_utils.process_allgather(np.array([len(rows)])).reshape(-1)
  padded = np.zeros((counts.max(), *rows.shape[1:]), rows.dtype)
  padded[: len(rows)] = rows
  gathered = multihost_utils.process_allgather(padded)
  return np.concatenate([part[:count] for part, count in zip(gathered, counts, strict=True)])
