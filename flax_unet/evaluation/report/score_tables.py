"""Formats the scores of a split as tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from flax_unet.evaluation.metrics.score import Score
from flax_unet.tables import cell, text_table


def score_tables(
  scores: Mapping[str, Any],
  table: Sequence[Score],
  class_table: Sequence[Score],
  intervals: Mapping[str, tuple[float, float]],
) -> str:
  """Tables of the scores by class, by category and of the split; `-` for undefined scores.

  Categories are omitted if they are the same as the classes.

  Args:
    scores: the scores of a split, see `Evaluator.scores`.
    table: descriptions of the scores of the split.
    class_table: descriptions of the scores by class.
    intervals: bounds of the available 95 % intervals, by score name.
  """
  per_class, per_category = scores.get("per_class", {}), scores.get("per_category", {})
  has_categories = bool(per_category) and per_category.keys() != per_class.keys()
  of_split = [
    (score.title, cell(scores[score.name]), _bounds(intervals.get(score.name)))
    for score in table
    if score.name in scores and (has_categories or not score.name.startswith("category"))
  ]
  return "\n\n".join(
    (
      *_by_name("class", per_class, class_table),
      *(_by_name("category", per_category, class_table) if has_categories else ()),
      text_table(("score", "value", "95 % interval over images"), of_split),
    )
  )


def _bounds(interval: tuple[float, float] | None) -> str:
  return " to ".join(map(cell, interval)) if interval else ""


def _by_name(
  what: str, scores: Mapping[str, Mapping[str, float]], table: Sequence[Score]
) -> list[str]:
  """A table with a row per name and the scores that any of them has; empty without scores."""
  columns = [score for score in table if any(score.name in item for item in scores.values())]
  rows = [
    (name, *(cell(item.get(score.name)) for score in columns)) for name, item in scores.items()
  ]
  return [text_table((what, *(score.title for score in columns)), rows)] if rows else []
