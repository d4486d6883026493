"""Compares finished runs: their settings and their scores.

Runs that differ only in `config.seed` form one group, with a mean and a standard deviation. A run
with the same seed again, or with another number of steps, starts its own group. Groups are compared
with the first one, image by image.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flax_unet.evaluation.metrics import bootstrap, seeds
from flax_unet.evaluation.report import finished_runs
from flax_unet.evaluation.report.finished_runs import Run

_NO_SCORES = ("pictures",)  # numbers in metrics.json that are not scores
_LOSS_SETTINGS = ("loss", "class_weights")


def group(runs: Sequence[Run]) -> list[list[Run]]:
  """Groups runs that differ only in the seed, in the given order.

  Runs of earlier versions get the settings that exist now, with their defaults.
  """
  groups: list[tuple[Any, list[Run]]] = []
  for run in finished_runs.completed(runs):
    settings = {**run.config, "seed": None, "step": run.facts["step"]}
    for others, members in groups:
      seeds = [member.config.get("seed") for member in members]
      if settings == others and run.config.get("seed") not in seeds:
        members.append(run)
        break
    else:
      groups.append((settings, [run]))
  return [members for _, members in groups]


def compare(groups: Sequence[Sequence[Run]]) -> dict[str, Any]:
  """Compares groups of runs.

  Args:
    groups: groups of runs on the same images.

  Returns:
    `pictures`: the number of images.
    `titles`: the titles of the scores.
    `groups`: for each group, its `runs` and `seeds`.
    `settings`: for each setting that differs, its values `[groups][values in the group]`.
    `facts`: the same for facts of the runs, such as the number of parameters.
    `has_one_loss`: whether the groups were trained with the same loss; if not, `scores` has none.
    `scores`: for each score of the split, `[groups]` with `mean`, `std` (None for one run) and,
      except for the first group, the `difference` from the first and its `seed_interval`, a pair
      of bounds, or None with less than two runs in one of the groups.
    `mean_iou_difference_interval`: `[groups - 1]` pairs of bounds.
    `class_score`: the name of the most important score by class, or None.
    `per_class`: the same as `scores` for that score of each class.
    `class_difference_intervals`: if that score is the IoU, `[groups - 1]` pairs of bounds for each
      class, NaN if the class has no IoU; otherwise empty.
    `class_pictures`: with them, the number of images whose label has the class.
  """
  first, all_runs = groups[0][0], [run for runs in groups for run in runs]
  settings = _differing(groups, lambda run: {**run.config, "seed": None})
  has_one_loss = not any(key in settings for key in _LOSS_SETTINGS)
  left_out = _NO_SCORES if has_one_loss else (*_NO_SCORES, "loss")
  split_scores = [
    name
    for name in first.scores
    if name not in left_out and all(_is_score(run.scores.get(name)) for run in all_runs)
  ]
  per_class = first.scores.get("per_class", {})
  class_score = next((score for item in per_class.values() for score in item), None)
  side = [[run.confusions for run in runs] for runs in groups]
  return {
    "pictures": len(first.ids),
    "titles": {name: item["title"] for name, item in first.scores.get("definitions", {}).items()},
    "groups": [
      {
        "runs": [str(folder) for run in runs for folder in run.folders],
        "seeds": [run.config.get("seed") for run in runs],
      }
      for runs in groups
    ],
    "settings": settings,
    "facts": _differing(groups, lambda run: run.facts),
    "has_one_loss": has_one_loss,
    "scores": {name: _compare_score(groups, name) for name in split_scores},
    "mean_iou_difference_interval": [
      bootstrap.mean_iou_difference_interval(side[0], other) for other in side[1:]
    ],
    "class_score": class_score,
    **_class_intervals(side, list(per_class) if class_score == "iou" else []),
    "per_class": {
      name: _compare_score(groups, "per_class", name, class_score) for name in per_class
    },
  }


def _class_intervals(side: Sequence[list[np.ndarray]], classes: Sequence[str]) -> dict[str, Any]:
  """The intervals of the differences in IoU from the first group, by class; see `compare`.

  Args:
    side: the confusion matrices of the runs of each group.
    classes: the names of the matrices' classes; of no other number, or there are no intervals.
  """
  first = side[0][0]
  if len(classes) != first.shape[1]:
    return {"class_difference_intervals": {}, "class_pictures": {}}
  found = [bootstrap.class_iou_difference_intervals(side[0], other) for other in side[1:]]
  pictures = (first.sum(axis=2) > 0).sum(axis=0).tolist()
  return {
    "class_difference_intervals": {
      name: [intervals[index] for intervals in found] for index, name in enumerate(classes)
    },
    "class_pictures": dict(zip(classes, pictures, strict=True)),
  }


def _is_score(value: Any) -> bool:
  """Whether a value is a number, or None, which stands for an undefined score."""
  return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _differing(
  groups: Sequence[Sequence[Run]], items: Callable[[Run], Mapping[str, Any]]
) -> dict[str, list[list[Any]]]:
  """The items of runs that differ between or within groups, by key."""

  def values(runs: Sequence[Run], key: str) -> list[Any]:
    found = [items(run).get(key) for run in runs]
    return [value for index, value in enumerate(found) if value not in found[:index]]

  keys = {key: None for runs in groups for run in runs for key in items(run)}
  by_group = {key: [values(runs, key) for runs in groups] for key in keys}
  return {
    key: found
    for key, found in by_group.items()
    if len(found[0]) > 1 or any(other != found[0] for other in found)
  }


def _compare_score(groups: Sequence[Sequence[Run]], *path: str) -> list[dict[str, Any]]:
  """Mean, standard deviation and difference of the score at a path, for each group."""
  compared: list[dict[str, Any]] = []
  by_seed: list[dict[Any, float]] = []
  for runs in groups:
    found = [functools.reduce(lambda tree, key: tree[key], path, run.scores) for run in runs]
    values = np.array(found, np.float64)  # None, an undefined score, becomes NaN
    run_seeds = [run.config.get("seed") for run in runs]
    by_seed.append(dict(zip(run_seeds, values.tolist(), strict=True)))
    entry: dict[str, Any] = {
      "mean": float(values.mean()),
      "std": float(values.std(ddof=1)) if len(runs) > 1 else None,
    }
    if compared:
      entry["difference"] = entry["mean"] - compared[0]["mean"]
      entry["seed_interval"] = seeds.difference_interval(by_seed[0], by_seed[-1])
    compared.append(entry)
  return compared
