"""Intervals over seeds: how much a difference between two settings would vary with other seeds.

Student's t-intervals at 95 %: of the differences seed by seed if both sides have the same seeds,
otherwise of two means with their own variances (Welch 1947). They take scores to be normally
distributed over seeds. With three seeds they are wide, as they have to be.
"""

from collections.abc import Mapping

import numpy as np

from flax_unet.evaluation.metrics.bootstrap import LEVEL, Interval


def difference_interval(first: Mapping[int, float], second: Mapping[int, float]) -> Interval | None:
  """The interval of the second side's mean minus the first's.

  Args:
    first: the score of each run of one side, by its seed.
    second: the same of the other side.

  Returns:
    The interval; None if a side has less than two runs; NaN if a score is undefined.
  """
  if min(len(first), len(second)) < 2:
    return None
  if first.keys() == second.keys():
    differences = np.array([second[seed] - first[seed] for seed in first])
    middle, freedom = differences.mean(), len(differences) - 1
    error = differences.var(ddof=1) / len(differences)
  else:
    sides = [np.array(list(side.values())) for side in (first, second)]
    middle = sides[1].mean() - sides[0].mean()
    parts = [side.var(ddof=1) / len(side) for side in sides]
    error = sum(parts)
    divisor = sum(part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True))
    freedom = error**2 / divisor if divisor else min(map(len, sides)) - 1
  from scipy import special  # takes a moment to import

  half = special.stdtrit(freedom, (1 + LEVEL) / 2) * error**0.5
  return Interval(float(middle - half), float(middle + half))
