"""The scores of checkpoints, in a file in each, and which checkpoint is the best."""

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
    best_by: what was scored, and how. Only scores with the same `best_by` are compared.
    score: its value; NaN if there was nothing to score.
    higher_is_better: whether the highest or the lowest score is the best.
  """

  best_by: str
  score: float
  higher_is_better: bool = True


class CheckpointScores:
  """The scores of the checkpoints in a directory, `<step>/scores.json`."""

  def __init__(self, directory: pathlib.Path):
    self._directory = directory

  def from_best(self) -> list[int]:
    """The steps with a score, best first; only those scored in the same way as the newest."""
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
    """The step of the checkpoint with the best score, or None if none has a score."""
    return next(iter(self.from_best()), None)

  def evaluated(self, step: int) -> dict[str, str]:
    """The completed evaluations of a checkpoint: digests by name."""
    return self._read(step).get("evaluations", {})

  def write(
    self, step: int, evaluations: Mapping[str, str], decisive: DecisiveScore | None = None
  ) -> None:
    """Records the evaluations of a checkpoint, in the first process.

    Args:
      step: the step of the checkpoint.
      evaluations: by name, a digest of the settings of each evaluation.
      decisive: the score that decides which checkpoint is the best, if it was computed.
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
      return {}  # not evaluated yet; a truncated file will be rewritten
    return content if isinstance(content, dict) else {}


def steps(directory: pathlib.Path) -> list[int]:
  """The steps of the checkpoints in a directory."""
  return [int(path.name) for path in directory.glob("*") if path.name.isdigit()]
