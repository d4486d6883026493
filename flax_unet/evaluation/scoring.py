"""Scores predicted masks against label masks, on all cores."""

import concurrent.futures
import functools
import os
import pathlib
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np

from flax_unet import children
from flax_unet.data.label_spaces import IGNORED, LabelSpace
from flax_unet.errors import UserError
from flax_unet.evaluation import mask_pairs
from flax_unet.evaluation.metrics import audit, instances, segmentation
from flax_unet.evaluation.metrics.counting import fold, joint_histogram


class Pair(NamedTuple):
  """The files of one image."""

  label: pathlib.Path
  prediction: pathlib.Path
  instance: pathlib.Path | None


class Counts(NamedTuple):
  """The counts of a split.

  Attributes:
    confusions: int64 `[images, classes, classes + 1]`, one per image.
    extra: the total of `audit.extra_counts`.
    instance_counts: the total of `instances.count`, or None without instance maps.
  """

  confusions: np.ndarray
  extra: dict[str, np.ndarray]
  instance_counts: instances.InstanceCounts | None

  def scores(self, label_space: LabelSpace) -> dict[str, Any]:
    """All scores: those of `segmentation.scores`, merged with those of `instances.scores`."""
    confusion = self.confusions.sum(axis=0)
    scores = segmentation.scores(confusion, label_space)
    if self.instance_counts is not None:
      weighted = instances.scores(confusion, self.instance_counts, label_space)
      for group in ("per_class", "per_category"):
        for name, item in weighted.pop(group).items():
          scores[group][name] |= item
      scores |= weighted
    return scores


def count_pairs(
  pairs: Sequence[Pair],
  label_space: LabelSpace,
  *,
  train_ids: bool = False,
  workers: int | None = None,
  progress: Callable[[int], None] = lambda _: None,
) -> Counts:
  """Reads and counts the masks.

  Args:
    pairs: the files of each image.
    label_space: the classes to score.
    train_ids: whether the predictions hold class indices instead of label ids.
    workers: number of processes; by default one per core, and 1 means this process.
    progress: called with the number of images done.

  Raises:
    UserError: a file is unreadable, of the wrong size, or holds a wrong value; or a process died.
  """
  read = functools.partial(_count_pair, label_space=label_space, train_ids=train_ids)
  confusions, extra, weighted = [], {}, []
  for done, (confusion, picture_extra, picture_weighted) in enumerate(
    _map(read, pairs, workers or min(os.cpu_count() or 1, len(pairs))), start=1
  ):
    confusions.append(confusion)
    extra = audit.sum_counts([extra, picture_extra])
    weighted.append(picture_weighted)
    progress(done)
  has_instances = all(pair.instance for pair in pairs)
  return Counts(np.stack(confusions), extra, instances.total(weighted) if has_instances else None)


def _map(function: Callable, items: Sequence, workers: int) -> Iterator:
  """Applies a function in order, in this process or in a pool of processes."""
  if workers == 1:
    yield from map(function, items)
    return
  pool = concurrent.futures.ProcessPoolExecutor(workers, initializer=children.end_with_parent)
  try:
    for future in [pool.submit(function, item) for item in items]:
      yield future.result()
  except BrokenProcessPool as error:
    raise UserError(
      "a process that reads masks died: probably there was too little memory. Close other "
      "programs, and run the command again"
    ) from error
  finally:
    pool.shutdown(cancel_futures=True)


def _count_pair(pair: Pair, label_space: LabelSpace, train_ids: bool):
  """Counts one image: its confusion matrix, extra counts, and instance counts or None."""
  label = mask_pairs.read_label_ids(pair.label, label_space)
  prediction = _read_prediction(pair.prediction, label_space, train_ids)
  _check_size(pair.prediction, prediction, pair.label, label)
  if train_ids:
    prediction = _to_label_ids(pair.prediction, prediction, label_space)
  id_counts = joint_histogram(label, prediction)
  for file, totals in ((pair.label, id_counts.sum(1)), (pair.prediction, id_counts.sum(0))):
    _check_values(file, totals, label_space.id_to_index, f"no label id of '{label_space.name}'")

  num_classes, class_of = label_space.num_classes, label_space.lookup_table
  counts = fold(id_counts, class_of, num_classes)
  extra = audit.shrunk_counts(label, prediction, class_of, num_classes)
  extra["ignored"] = counts[-1]
  if pair.instance is None:
    return counts[:-1], extra, None
  instance = mask_pairs.read_numbers(pair.instance).astype(np.uint16, copy=False)
  _check_size(pair.instance, instance, pair.label, label)
  return counts[:-1], extra, instances.count(id_counts, prediction, instance, label_space)


def _read_prediction(file: pathlib.Path, label_space: LabelSpace, train_ids: bool) -> np.ndarray:
  """Reads label ids, or class indices: uint8 `[height, width]`."""
  if not train_ids:
    return mask_pairs.read_label_ids(file, label_space)
  ids = mask_pairs.read_numbers(file)
  if ids.dtype != np.uint8 and ids.max() > 255:
    raise UserError(
      f"{file}: holds the value {ids.max()}, which is neither a label id nor a class index"
    )
  return ids.astype(np.uint8, copy=False)


def _to_label_ids(file: pathlib.Path, indices: np.ndarray, label_space: LabelSpace) -> np.ndarray:
  """Checks class indices and returns their label ids, uint8 `[height, width]`."""
  known = {*range(label_space.num_classes), IGNORED}
  totals = np.bincount(indices.reshape(-1), minlength=256)
  _check_values(file, totals, known, f"no class index of '{label_space.name}', nor {IGNORED}")
  unscored = [label_id for label_id, index in label_space.id_to_index.items() if index == IGNORED]
  label_ids = np.full(256, unscored[0], np.uint8)
  label_ids[: label_space.num_classes] = label_space.index_to_id
  return label_ids[indices]


def _check_values(
  file: pathlib.Path, totals: np.ndarray, known: Container[int], complaint: str
) -> None:
  """Refuses values that occur (by their totals `[256]`) but are not known."""
  for value in np.flatnonzero(totals).tolist():
    if value not in known:
      raise UserError(f"{file}: holds the value {value}, which is {complaint}")


def _check_size(
  file: pathlib.Path, ids: np.ndarray, label_file: pathlib.Path, label_ids: np.ndarray
) -> None:
  if ids.shape != label_ids.shape:
    (height, width), (label_height, label_width) = ids.shape, label_ids.shape
    raise UserError(
      f"{file}: is {width} x {height} pixels, but its label {label_file} is "
      f"{label_width} x {label_height}"
    )
