"""Scores a model on a split: every image once, at the resolution of its label."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from flax_unet import devices
from flax_unet.data import feed, padding, pipeline
from flax_unet.data.datasets import Source
from flax_unet.data.label_spaces import LabelSpace
from flax_unet.data.op_spec import Chain
from flax_unet.evaluation.evaluators.base import Evaluator, Picture
from flax_unet.evaluation.evaluators.segmentation import Segmentation
from flax_unet.evaluation.inference import fitting, passes
from flax_unet.evaluation.metrics import audit
from flax_unet.evaluation.metrics.confusion import confusion_matrices
from flax_unet.evaluation.metrics.score import LOSS, Score
from flax_unet.losses.base import Loss, pixel_weights
from flax_unet.models.base import Network


def eval_step(
  variables: Mapping[str, Any],
  batch: Mapping[str, jax.Array],
  *,
  model: Network,
  evaluator: Evaluator,
  loss: Loss | None = None,
  options: passes.Options = passes.WHOLE,
  multiple: int = padding.MULTIPLE,
) -> dict[str, Any]:
  """Predicts and counts this device's part of a batch.

  Args:
    variables: the model's parameters and statistics.
    batch: `image` uint8 `[batch, height, width, 3]`; `label` uint8 `[batch, height', width']`,
      which may have another resolution.
    model: the network.
    evaluator: may count more than the confusion matrices.
    loss: the loss whose sums to compute, or None.
    options: how to predict.
    multiple: images are mirrored up to a multiple of this many pixels, see `fitting`.

  Returns:
    `prediction` uint8 `[batch, height', width']`, class indices; and `counts` of each image at the
    label's resolution: `confusion` int32 `[batch, classes, classes]`, `loss`, the sums of the loss,
    and `device`, what the evaluator counts.
  """
  labels = batch["label"]
  scores = fitting.class_scores(
    model, variables, batch["image"], labels.shape[1:3], options, multiple
  )
  prediction = fitting.classes(scores, labels.shape[1:3])
  logits = jnp.log(jnp.maximum(scores, 1e-30)) if options.averages else scores
  return {
    "prediction": prediction,
    "counts": {
      "confusion": confusion_matrices(labels, prediction, model.num_classes),
      "loss": {} if loss is None else _loss_sums(loss, logits, labels),
      "device": dict(evaluator.count_on_device(logits, prediction, labels)),
    },
  }


def _loss_sums(loss: Loss, logits: jax.Array, labels: jax.Array) -> Any:
  """The sums of the loss for each image, `[batch, ...]`; a loss that gathers sees one at a time."""
  labels = fitting.resize_mask(labels, logits.shape[1:3])  # only changes huge labels

  def of_picture(logits: jax.Array, label: jax.Array) -> Any:
    return loss.sums(logits[None], label[None], pixel_weights(label[None]))

  return jax.lax.map(lambda pair: of_picture(*pair), (logits, labels))


@dataclasses.dataclass(frozen=True)
class Result:
  """The result of an evaluation.

  Attributes:
    places: int `[images]`, indices in the split, ascending.
    ids: str `[images]`.
    confusions: int64 `[images, classes, classes]`.
    scores: see `Evaluator.scores`; and `loss`, if it was computed.
    evaluator: the evaluator that computed the scores.
    examples: the first images, with labels and predictions.
    extra: what the audit needs besides the matrices, see `audit.extra_counts`, if requested.
    skipped: the errors of examples that could not be used.
  """

  places: np.ndarray
  ids: np.ndarray
  confusions: np.ndarray
  scores: dict[str, Any]
  evaluator: Evaluator
  examples: list[Picture]
  extra: dict[str, np.ndarray]
  skipped: list[str]

  @property
  def table(self) -> list[Score]:
    """The scores of the split that were computed, most important first."""
    return [score for score in (*self.evaluator.table, LOSS) if score.name in self.scores]

  @property
  def values(self) -> dict[str, float]:
    """The scores of the split, by name."""
    return {score.name: self.scores[score.name] for score in self.table}


class Evaluation:
  """Evaluates on one split; compiled once, and can be called any number of times."""

  def __init__(
    self,
    source: Source,
    op: Chain,
    model: Network,
    label_space: LabelSpace,
    *,
    batch_size: int,
    evaluator: Evaluator | None = None,
    loss: Loss | None = None,
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
      batch_size: images per step, over all devices of all processes.
      evaluator: computes the scores; None: `Segmentation`.
      loss: a loss to report over the split as an additional score, or None.
      workers: number of processes that prepare batches.
      num_pictures: the number of examples in a `Result`, at most as many as can be used.
      options: how to predict.
      skip_bad_examples: whether to skip examples that cannot be used; if not, the first such
        example ends the evaluation with an error.
      timeout: seconds to wait for a batch before the evaluation fails.
    """
    self._evaluator = evaluator or Segmentation()
    self._image_format = model.image_format
    self._loss = loss
    self._skip_bad_examples = skip_bad_examples
    self._batches = functools.partial(pipeline.eval_batches, source, op, batch_size=batch_size)
    self._workers = workers
    self._timeout = timeout
    # On this process's devices only: others may have images of other sizes, or fewer of them.
    self._step = functools.partial(
      eval_step,
      model=model,
      evaluator=self._evaluator,
      loss=loss,
      options=options,
      multiple=padding.multiple_of(op.ops),
    )
    self._eval_step = jax.pmap(
      self._step, axis_name="batch", in_axes=(None, 0), devices=jax.local_devices()
    )
    self._label_space = label_space
    self._num_pictures = num_pictures

  def __call__(self, variables: Mapping[str, Any], *, audit_predictions: bool = False) -> Result:
    """Evaluates the model with these variables.

    Args:
      variables: the model's parameters and statistics.
      audit_predictions: whether to count what the audit needs besides the matrices, which takes
        about 30 ms on the host for an image of 1024 x 2048.

    Raises:
      UserError: an example cannot be used, a worker process died, or no batch came in time.
    """
    num_classes = self._label_space.num_classes
    places, ids, skipped, counted = [np.zeros(0, int)], [np.zeros(0, str)], [], []
    extra = {}
    if audit_predictions:  # a process without images must still report the same counts
      extra = audit.extra_counts(*np.zeros((2, 0, 0), np.uint8), num_classes)
    on_host = type(self._evaluator).count is not Evaluator.count
    for batch, outputs in self._run(variables, on_bad_example=skipped.append):
      real = np.asarray(batch["mask"])
      if not real.any():  # this process has no image of the last batch
        continue
      places.append(batch["index"][real])
      ids.append(batch["id"][real])
      rows = jax.tree.map(lambda x, real=real: np.asarray(x)[real], outputs["counts"])
      if on_host or audit_predictions:
        pictures = [picture for _, picture in _pictures(batch, outputs)]
        if on_host:
          rows["host"] = self._count(pictures)
        if audit_predictions:
          pairs = ((picture.label, picture.prediction) for picture in pictures)
          counts = (audit.extra_counts(*pair, num_classes) for pair in pairs)
          extra = audit.sum_counts([extra, *counts])
      counted.append(rows)
    places, ids = (devices.gather_rows(np.concatenate(parts)) for parts in (places, ids))
    order = np.argsort(places)
    places = places[order]
    if not counted:
      counted = [self._no_rows(variables)]
    rows = jax.tree.map(lambda *parts: devices.gather_rows(np.concatenate(parts))[order], *counted)
    rows["confusion"] = rows["confusion"].astype(np.int64)
    return Result(
      places=places,
      ids=ids[order],
      confusions=rows["confusion"],
      scores=self._scores(rows),
      evaluator=self._evaluator,
      examples=self.pictures(variables, places[: self._num_pictures].tolist()),
      extra={key: devices.gather_rows(counts[None]).sum(0) for key, counts in extra.items()},
      skipped=sorted(devices.gather_rows(np.array(skipped, str)).tolist()),
    )

  def _count(self, pictures: Sequence[Picture]) -> dict[str, np.ndarray]:
    """What the evaluator counts on the host, `[images, ...]` by name."""
    counted = [
      self._evaluator.count(picture, self._label_space.num_classes) for picture in pictures
    ]
    names = counted[0] if counted else ()
    return {name: np.stack([counts[name] for counts in counted]) for name in names}

  def _no_rows(self, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of zero images: a process without images must still report the same counts."""
    pixels = np.zeros((1, 16, 16), np.uint8)
    image_format = self._image_format
    image = np.zeros((1, 16, 16, image_format.channels), image_format.array_dtype)
    rows = jax.eval_shape(self._step, variables, {"image": image, "label": pixels})["counts"]
    rows["host"] = self._count([Picture("", image[0], pixels[0], pixels[0])])
    return jax.tree.map(lambda x: np.zeros((0, *x.shape[1:]), x.dtype), rows)

  def _scores(self, rows: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of the split, from the counts of all images."""
    counts = {**rows["device"], **rows.get("host", {})}
    scores = self._evaluator.scores(rows["confusion"], counts, self._label_space)
    if self._loss is not None:
      sums = jax.tree.map(
        lambda x: x.sum(axis=0, dtype=np.float64).astype(np.float32), rows["loss"]
      )
      scores["loss"] = float(self._loss.value(sums)) if len(rows["confusion"]) else np.nan
    return scores

  def pictures(self, variables: Mapping[str, Any], places: Sequence[int]) -> list[Picture]:
    """Predicts some of the images, on this process's devices only and without worker processes.

    Their `image` is for people to look at, see `ImageFormat.shown`.

    Args:
      variables: the model's parameters and statistics.
      places: indices of the images in the split, without duplicates.
    """
    found = {}
    for batch, outputs in self._run(variables, places):
      found |= _pictures(batch, outputs)
    return [
      found[place]._replace(image=self._image_format.shown(found[place].image))
      for place in places
      if place in found
    ]

  def _run(
    self,
    variables: Mapping[str, Any],
    places: Sequence[int] | None = None,
    on_bad_example: Callable[[str], None] = logging.warning,
  ) -> Iterator[tuple[pipeline.Batch, dict[str, jax.Array]]]:
    """Yields batches with the outputs of `eval_step`; without `places`, this process's share."""
    # Copied once, to the devices that run the step.
    variables = jax.device_put(jax.device_get(variables), devices.replicated_locally())
    batches = self._batches(
      places=places,
      on_bad_example=on_bad_example if self._skip_bad_examples else None,
      workers=self._workers if places is None else 0,  # not worth it for a few images
    )
    for batch in feed.timed(pipeline.to_devices(batches), self._timeout):
      yield batch, self._eval_step(variables, {key: batch[key] for key in ("image", "label")})


def _pictures(
  batch: pipeline.Batch, outputs: Mapping[str, jax.Array]
) -> Iterator[tuple[int, Picture]]:
  """Yields the images of a batch with their indices in the split, without blanks and padding."""
  arrays = [np.asarray(x) for x in (batch["image"], batch["label"], outputs["prediction"])]
  for at in map(tuple, np.argwhere(np.asarray(batch["mask"]))):
    height, width = batch["size"][at]
    padded = batch["label"].shape[2:4]
    # An image whose resolution differs from its label's has not been padded.
    pixels = (x[at][:height, :width] if x.shape[2:4] == padded else x[at] for x in arrays)
    yield int(batch["index"][at]), Picture(str(batch["id"][at]), *pixels)
