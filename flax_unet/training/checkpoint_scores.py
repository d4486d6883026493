"""Which checkpoint is the best: what was scored, in a file in each checkpoint."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from flax_unet import files

NAME = "scores.json"


@dataclasses.dataclass(frozen=True)
class DecisiveScore:
  """The score by which one checkpoint is better than another.

  Attributes:
    best_by: what was scored, and how. Only scores for which this is the same are compared.
    score: its value; NaN where there was nothing to score.
    higher_is_better: whether the best is the highest, or the lowest.
  """

  best_by: str
  score: float
  higher_is_better: bool = True


class CheckpointScores:
  """The scores of the checkpoints in a directory, `<step>/scores.json`."""

  def __init__(self, directory: pathlib.Path):
    self._directory = directory

  def from_best(self) -> list[int]:
    """The steps with a score, the best first; of the evaluation that scored the newest of them."""
    contents = {step: self._read(step) for step in steps(self._directory)}
    scored = {step: content for step, content in contents.items() if "higher_is_better" in content}
    if not scored:
      return []
    newest = scored[max(scored)]
    sign = -1 if newest["higher_is_better"] else 1
    scores = {
      step: sign * content["score"]
      for step, content in scored.items()
      if content["best_by"] == newest["best_by"] and content["score"] is not None
    }
    return sorted(scores, key=lambda step: (scores[step], step))

  @property
  def best(self) -> int | None:
    """The step of the checkpoint with the best score, or None where none was scored."""
    return next(iter(self.from_best()), None)

  def evaluated(self, step: int) -> dict[str, str]:
    """The evaluations of a checkpoint that have taken place: digests by name."""
    return self._read(step).get("evaluations", {})

  def write(
    self, step: int, evaluations: Mapping[str, str], decisive: DecisiveScore | None = None
  ) -> None:
    """Notes in a checkpoint that it was evaluated, in the first process.

    Args:
      step: of the checkpoint.
      evaluations: what was evaluated, by name: a digest that tells one way to evaluate from others.
      decisive: the score that decides about the best checkpoint, if it was among them.
    """
    content = {**self._read(step), "evaluations": {**self.evaluated(step), **evaluations}}
    if decisive is not None:
      content |= dataclasses.asdict(decisive)
      content["score"] = decisive.score if np.isfinite(decisive.score) else None
    if jax.process_index() == 0:
      files.write_json(self._directory / str(step) / NAME, content)

  def _read(self, step: int) -> dict[str, Any]:
    try:
      content = json.loads((self._directory / str(step) / NAME).read_bytes())
    except (OSError, ValueError):
      return {}  # not evaluated yet; a file that is cut off is written again
    return content if isinstance(content, dict) else {}


def steps(directory: pathlib.Path) -> list[int]:
  """The steps of the checkpoints in a directory."""
  return [int(path.name) for path in directory.glob("*") if path.name.isdigit()]
