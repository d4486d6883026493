"""Groups the curves of a training run into panels."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from flax_unet.evaluation.metrics.score import LOSS, Score

Curve = tuple[Sequence[int], Sequence[float]]  # steps, and the values at those steps


@dataclasses.dataclass(frozen=True)
class Panel:
  """Curves that share their axes.

  Attributes:
    title: the title of the panel.
    curves: the curves by name.
    best: "highest" or "lowest" to mark the best value of each curve, or None.
  """

  title: str
  curves: Mapping[str, Curve]
  best: str | None = None

  def best_of(self, name: str) -> int:
    """The index of the best finite value of a curve."""
    values = np.asarray(self.curves[name][1], np.float64)
    signed = values if self.best == "highest" else -values
    return int(np.argmax(np.where(np.isfinite(values), signed, -np.inf)))


def panels(history: Mapping[str, Curve], headlines: Mapping[str, Score]) -> list[Panel]:
  """Groups curves: the losses, each evaluation's most important score, the learning rate.

  Args:
    history: steps and values of `loss`, `learning_rate` and `<eval>/<score>`. Missing entries are
      omitted, other entries are ignored.
    headlines: the most important score of each evaluation.
  """
  losses = {"train": history["loss"]} if "loss" in history else {}
  scores: dict[Score, dict[str, Curve]] = {}
  for name, score in headlines.items():
    if (loss := history.get(f"{name}/{LOSS.name}")) is not None:
      losses[name] = loss
    if score != LOSS and (curve := history.get(f"{name}/{score.name}")) is not None:
      scores.setdefault(score, {})[name] = curve
  rate = {"rate": history["learning_rate"]} if "learning_rate" in history else {}
  found = [
    Panel("Loss", losses),
    *(
      Panel(upper_first(score.title), curves, "highest" if score.higher_is_better else "lowest")
      for score, curves in scores.items()
    ),
    Panel("Learning rate", rate),
  ]
  return [panel for panel in found if panel.curves]


def upper_first(title: str) -> str:
  """The title with its first letter in upper case."""
  return title[:1].upper() + title[1:]
