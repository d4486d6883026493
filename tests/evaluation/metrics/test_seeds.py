import numpy as np
import pytest
from scipy import stats

from flax_unet.evaluation.metrics import seeds


def _by_seed(values, start=0):
  return dict(enumerate(values, start))


def test_by_hand():
  # Differences 0.01, 0.02 and 0.03: mean 0.02, deviation 0.01; t is 4.302653 for two degrees.
  interval = seeds.difference_interval(_by_seed([0.5, 0.6, 0.7]), _by_seed([0.51, 0.62, 0.73]))
  assert interval == pytest.approx(
    (0.02 - 4.302653 * 0.01 / 3**0.5, 0.02 + 4.302653 * 0.01 / 3**0.5)
  )


def test_equal_seeds_are_paired_whatever_their_order():
  first, second = [0.5, 0.7, 0.6], [0.52, 0.71, 0.64]
  expected = stats.ttest_rel(second, first).confidence_interval(0.95)
  backwards = dict(reversed(_by_seed(second).items()))
  assert seeds.difference_interval(_by_seed(first), backwards) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("second", [[0.52, 0.71, 0.64, 0.66], [0.52, 0.71]])
def test_other_seeds_are_two_samples(second):
  first = [0.5, 0.7, 0.6]
  expected = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
  found = seeds.difference_interval(_by_seed(first), _by_seed(second, start=10))
  assert found == pytest.approx(tuple(expected))


def test_one_run_says_nothing_about_seeds():
  assert seeds.difference_interval(_by_seed([0.5]), _by_seed([0.6, 0.7])) is None
  assert seeds.difference_interval(_by_seed([0.6, 0.7]), _by_seed([0.5])) is None


def test_equal_and_undefined_scores():
  same = _by_seed([0.5, 0.5])
  assert seeds.difference_interval(same, same) == (0, 0)
  assert seeds.difference_interval(same, _by_seed([0.6, 0.6], start=5)) == pytest.approx((0.1, 0.1))
  assert np.isnan(seeds.difference_interval(same, _by_seed([0.5, np.nan]))).all()
