"""Describes the findings of `data.inspection` in words and tables."""

from collections.abc import Iterator, Mapping

import numpy as np

from flax_unet.data.inspection import SplitFacts
from flax_unet.data.label_space import LabelSpace
from flax_unet.losses import class_weights
from flax_unet.tables import text_table

_OFFICIAL_COUNTS = {"cityscapes": {"train": 2975, "validation": 500, "test": 1525}}


def paragraphs(
  splits: Mapping[str, SplitFacts], data_name: str, label_space: LabelSpace
) -> Iterator[str]:
  """Describes splits: a table of splits, a table of classes, and remarks on anything unusual."""
  rows = [
    (
      name,
      f"{facts.examples}",
      f"{_sizes(facts)}",
      f"{100 * facts.void_share(label_space):.2f} %",
      f"{len(facts.strays) + len(facts.refused)}",
      f"{len(facts.broken)}",
    )
    for name, facts in splits.items()
  ]
  header = ("split", "examples", "height x width", "void", "unknown values", "unreadable")
  yield f"{data_name}, label space '{label_space.name}'\n\n{text_table(header, rows)}"
  shares = [facts.class_shares(label_space) for facts in splits.values()]
  yield text_table(
    ("class", *splits),
    [
      (name, *(_percent(share[index]) for share in shares))
      for index, name in enumerate(label_space.class_names)
    ],
  )
  if remarks := list(_remarks(splits, data_name, label_space)):
    yield "\n".join(remarks)


def class_weight_table(pixels: np.ndarray, label_space: LabelSpace) -> str:
  """Describes how many training images hold each class, and the weights that rules would give.

  Args:
    pixels: int64 `[images, classes]`, see `class_pixels.count`.
    label_space: the classes.
  """
  present = pixels.any(0)
  weights = {}
  for rule, function in class_weights.RULES.items():
    weights[rule] = np.full(len(present), np.nan)
    if present.any():
      weights[rule][present] = function(pixels[:, present].astype(np.float64))
  rows = [
    (
      name,
      f"{np.count_nonzero(pixels[:, index])}",
      *(f"{values[index]:.3f}" if present[index] else "-" for values in weights.values()),
    )
    for index, name in enumerate(label_space.class_names)
  ]
  return text_table(("class", "training images", *weights), rows)


def _sizes(facts: SplitFacts) -> str:
  """The most frequent size, and the number of other sizes."""
  if not facts.sizes:
    return "-"
  (height, width), number = facts.sizes.most_common(1)[0]
  others = f" ({number} of them, {len(facts.sizes) - 1} other sizes)" * (len(facts.sizes) > 1)
  return f"{height} x {width}{others}"


def _percent(share: float) -> str:
  return "-" if not share > 0 else f"{100 * share:.3f} %"


def _remarks(
  splits: Mapping[str, SplitFacts], data_name: str, label_space: LabelSpace
) -> Iterator[str]:
  official = _OFFICIAL_COUNTS.get(data_name.split("/")[0], {})
  if compared := [name for name in splits if name in official]:
    found = "/".join(str(splits[name].examples) for name in compared)
    expected = "/".join(str(official[name]) for name in compared)
    yield f"{'/'.join(compared)}: {found} examples, officially {expected}: " + (
      "complete" if found == expected else "scores are not comparable with published ones"
    )
  for name, facts in splits.items():
    unseen = np.flatnonzero(~(facts.class_shares(label_space) > 0))
    if len(unseen):
      yield f"{name}: never seen: {', '.join(label_space.class_names[index] for index in unseen)}"
    for value, ids in sorted(facts.strays.items()):
      more = f" and {len(ids) - 1} more" * (len(ids) > 1)
      yield (
        f"{name}: example '{ids[0]}'{more}: label value {value} is not in label space "
        f"'{label_space.name}'"
      )
    refused = dict.fromkeys(reason for reasons in facts.refused.values() for reason in reasons)
    yield from (f"{name}: {reason}" for reason in (*refused, *facts.broken))
