"""Instance-weighted IoU (iIoU): an IoU in which small instances count as much as large ones.

Large instances dominate the IoU of a class. Cityscapes therefore weights the pixels of each
instance by (average instance size of the class) / (size of this instance):

    iIoU_c = iTP_c / (iTP_c + FP_c + iFN_c)

with `iTP` and `iFN` weighted and `FP` as in the IoU, since a false positive belongs to no instance
(Cordts et al., "The Cityscapes Dataset", section 4.1). As in cityscapesScripts, groups of instances
that could not be told apart count in neither `iTP` nor `iFN`, and a category is scored if instances
are labelled in all of its classes, including those that are not scored on their own.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from flax_unet.data.label_spaces import CITYSCAPES_30, CITYSCAPES_IDS, IGNORED, LabelSpace
from flax_unet.evaluation.metrics import segmentation

# Average pixels per instance in the training set: cityscapesScripts, `avgClassSize`.
AVERAGE_SIZES: Mapping[str, float] = {
  "person": 3462.4756337644,
  "rider": 3930.4788056518,
  "car": 12794.0202738185,
  "truck": 27855.1264367816,
  "bus": 35732.1511111111,
  "caravan": 36771.8241758242,
  "trailer": 16926.9763313609,
  "train": 67583.7075812274,
  "motorcycle": 6298.7200839748,
  "bicycle": 4672.3249222261,
}
_IDS_PER_CLASS = 1000  # an instance id is 1000 * label id + number; ids up to 1000: no instance


class InstanceCounts(NamedTuple):
  """The counts of one image, or their sum over images, for the iIoU.

  Attributes:
    class_tp: float64 `[classes]`, weighted pixels of the class's instances that were found.
    class_fn: float64 `[classes]`, weighted pixels missed.
    category_tp: float64 `[categories]`, weighted pixels found as any class of the category.
    category_fn: float64 `[categories]`, weighted pixels missed.
    unscored_fp: int64 `[categories]`, false positives by classes of the category that are not
      scored on their own (a caravan is a vehicle); confusion matrices do not contain them.
  """

  class_tp: np.ndarray
  class_fn: np.ndarray
  category_tp: np.ndarray
  category_fn: np.ndarray
  unscored_fp: np.ndarray


def total(counts: Iterable[InstanceCounts]) -> InstanceCounts:
  """Sums the counts of images."""
  return InstanceCounts(*(np.sum(field, axis=0) for field in zip(*counts, strict=True)))


def instance_categories(label_space: LabelSpace) -> dict[str, tuple[int, ...]]:
  """The categories that have an iIoU, each with the label ids of all its classes."""
  return {
    name: tuple(int(label_id) for label_id in CITYSCAPES_30.index_to_id[list(members)])
    for name, members in CITYSCAPES_30.categories.items()
    if name in label_space.categories and set(members) <= set(CITYSCAPES_30.instance_classes)
  }


def _category_table(label_space: LabelSpace) -> np.ndarray:
  """int8 `[256]`: label id to the index of its category, or -1 if the category has no iIoU."""
  table = np.full(256, -1, np.int8)
  for name, label_ids in instance_categories(label_space).items():
    table[list(label_ids)] = list(label_space.categories).index(name)
  return table


def count(
  id_counts: np.ndarray, prediction: np.ndarray, instance: np.ndarray, label_space: LabelSpace
) -> InstanceCounts:
  """Counts one image.

  Args:
    id_counts: int64 `[256, 256]`, the `counting.joint_histogram` of true and predicted *label ids*,
      since a class that is not scored on its own may still be right or wrong as a member of its
      category.
    prediction: uint8 `[height, width]`, label ids of Cityscapes.
    instance: uint16, the same shape, instance ids of Cityscapes.
    label_space: one of the Cityscapes label spaces.
  """
  index_of, category_of = label_space.lookup_table, _category_table(label_space)

  pixels = np.flatnonzero(instance > _IDS_PER_CLASS)
  of_pixel, predicted = instance.reshape(-1)[pixels], prediction.reshape(-1)[pixels]
  true = of_pixel // _IDS_PER_CLASS
  sizes = np.bincount(of_pixel)
  found = np.bincount(of_pixel[index_of[predicted] == index_of[true]], minlength=len(sizes))
  same_category = category_of[predicted] == category_of[true]
  found_in_category = np.bincount(of_pixel[same_category], minlength=len(sizes))

  average_sizes = _average_sizes()
  ids = np.flatnonzero(sizes)
  label_ids = ids // _IDS_PER_CLASS
  scored = (index_of[label_ids] != IGNORED) & (average_sizes[label_ids] > 0)
  ids, label_ids = ids[scored], label_ids[scored]
  classes, categories = index_of[label_ids], category_of[label_ids]
  weights = average_sizes[label_ids] / sizes[ids]

  def by_class(values: np.ndarray) -> np.ndarray:
    return np.bincount(classes, weights * values, label_space.num_classes)

  def by_category(values: np.ndarray) -> np.ndarray:
    return np.bincount(categories, weights * values, len(label_space.categories))

  return InstanceCounts(
    class_tp=by_class(found[ids]),
    class_fn=by_class(sizes[ids] - found[ids]),
    category_tp=by_category(found_in_category[ids]),
    category_fn=by_category(sizes[ids] - found_in_category[ids]),
    unscored_fp=_unscored_false_positives(id_counts, label_space),
  )


def _average_sizes() -> np.ndarray:
  """float64 `[256]`: label id to average instance size, 0 for classes without instances."""
  sizes = np.zeros(256)
  for name, size in AVERAGE_SIZES.items():
    sizes[CITYSCAPES_IDS[name]] = size
  return sizes


def _unscored_false_positives(id_counts: np.ndarray, label_space: LabelSpace) -> np.ndarray:
  """Counts `InstanceCounts.unscored_fp` of one image."""
  scored, category_of = label_space.lookup_table != IGNORED, _category_table(label_space)
  return np.array(
    [
      id_counts[scored & (category_of != category)][:, ~scored & (category_of == category)].sum()
      for category in range(len(label_space.categories))
    ]
  )


def scores(
  confusion: np.ndarray, counts: InstanceCounts, label_space: LabelSpace
) -> dict[str, Any]:
  """Computes the iIoU of classes and categories.

  Args:
    confusion: int64 `[classes, classes (+ 1)]`, summed over the same images as the counts.
    counts: the summed counts.
    label_space: the label space of both.

  Returns:
    `iiou` and `category_iiou`, the means; `per_class` and `per_category`, with `iiou` by name of
    the class or category, for those that have an iIoU. Python floats, NaN if undefined.
  """
  class_fp = segmentation.outcomes(confusion).fp
  merged = segmentation.merge_classes(confusion, label_space.categories.values())
  category_fp = segmentation.outcomes(merged).fp + counts.unscored_fp
  class_iiou = segmentation.ratio(counts.class_tp, counts.class_tp + class_fp + counts.class_fn)
  category_iiou = segmentation.ratio(
    counts.category_tp, counts.category_tp + category_fp + counts.category_fn
  )
  per_class = {
    label_space.class_names[index]: {"iiou": float(class_iiou[index])}
    for index in label_space.instance_classes
  }
  names = list(label_space.categories)
  per_category = {
    name: {"iiou": float(category_iiou[names.index(name)])}
    for name in instance_categories(label_space)
  }
  return {
    "iiou": _mean(per_class),
    "category_iiou": _mean(per_category),
    "per_class": per_class,
    "per_category": per_category,
  }


def _mean(scores_by_name: Mapping[str, Mapping[str, float]]) -> float:
  values = np.array([item["iiou"] for item in scores_by_name.values()])
  return float(segmentation.mean_of_defined(values))
