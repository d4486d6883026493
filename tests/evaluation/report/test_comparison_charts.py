import numpy as np
import pytest

from flax_unet.evaluation.report import comparison_charts
from flax_unet.evaluation.report.curves import Panel


def _compared(differences, few=(), over_seeds=None):
  """Two groups; the difference and interval of each class by name, the first is the mean."""
  over_seeds = over_seeds or {}
  (mean, *interval), *classes = differences.values()
  names = list(differences)[1:]
  return {
    "scores": {"mean_iou": [{"mean": 0.5}, {"difference": mean, "seed_interval": None}]},
    "mean_iou_difference_interval": [tuple(interval)],
    "per_class": {
      name: [{"mean": 0.5}, {"difference": difference, "seed_interval": over_seeds.get(name)}]
      for name, (difference, _, _) in zip(names, classes, strict=True)
    },
    "class_difference_intervals": {
      name: [(low, high)] for name, (_, low, high) in zip(names, classes, strict=True)
    },
    "class_pictures": {name: 3 if name in few else 30 for name in names},
  }


def test_rows_are_sorted_and_stand_where_their_numbers_are():
  (chart,) = comparison_charts.forests(
    _compared(
      {
        "mean": (0.0, -0.1, 0.1),
        "worse": (-0.2, -0.4, -0.1),
        "never": (np.nan, np.nan, np.nan),
        "better": (0.2, 0.1, 0.4),
        "unclear": (0.1, -0.1, 0.2),
      },
      few=["better"],
    )
  )
  names = ["mean IoU", "better †", "unclear", "worse", "never"]
  assert [row.name for row in chart.rows] == names
  assert [row.kind for row in chart.rows] == ["unclear", "better", "unclear", "worse", "unclear"]
  assert [row.text for row in chart.rows] == ["+0.0000", "+0.2000", "+0.1000", "-0.2000", "-"]
  scale = (chart.ticks[-1].at - chart.zero) / float(chart.ticks[-1].text)
  better, never = chart.rows[1], chart.rows[-1]
  assert [better.low, better.x, better.high] == pytest.approx(
    [chart.zero + scale * value for value in (0.1, 0.2, 0.4)], abs=0.2
  )
  assert (never.x, never.low) == (None, None)
  assert chart.left <= min(row.low for row in chart.rows[:-1])


def test_intervals_over_seeds_count_too():
  (chart,) = comparison_charts.forests(
    _compared(
      {"mean": (0.0, 0.0, 0.0), "sure": (0.3, 0.2, 0.4), "doubtful": (0.1, 0.05, 0.2)},
      over_seeds={"sure": (0.1, 0.5), "doubtful": (-2.0, 2.2)},
    )
  )
  _, sure, doubtful = chart.rows
  assert (sure.kind, doubtful.kind) == ("better", "unclear")
  assert sure.seed_low < sure.low < sure.x < sure.high < sure.seed_high
  # Not wider than differences in IoU can be.
  assert (doubtful.seed_low, doubtful.seed_high) == (chart.ticks[0].at, chart.ticks[-1].at)


def test_equal_runs_are_neither_better_nor_worse():
  (chart,) = comparison_charts.forests(
    _compared({"mean": (0.0, 0.0, 0.0), "road": (1e-16, 1e-16, 1e-16)})
  )
  assert {row.kind for row in chart.rows} == {"unclear"}
  assert float(chart.ticks[-1].text) >= 0.001


def test_no_chart_without_intervals_or_without_another_group():
  compared = _compared({"mean": (0.0, 0.0, 0.0)})
  assert comparison_charts.forests(compared) == []
  one = _compared({"mean": (0.0, 0.0, 0.0), "road": (0.0, 0.0, 0.0)})
  one["scores"]["mean_iou"] = one["scores"]["mean_iou"][:1]
  assert comparison_charts.forests(one) == []


def test_long_names_are_shortened():
  name = "a class with a name that no chart has room for"
  (chart,) = comparison_charts.forests(_compared({"mean": (0, 0, 0), name: (0, 0, 0)}))
  assert len(chart.rows[1].name) == 26 and chart.rows[1].full_name == name


def test_curves_of_a_group_share_a_colour_and_a_number():
  curve = ([0, 100], [1.0, 0.5])
  panel = Panel("Loss", {"a": curve, "b": curve, "c": ([0, 100], [1.0, 0.51])})
  (chart,) = comparison_charts.learning_curves([panel], {"a": 0, "b": 0, "c": 1})
  assert [line.style for line in chart.lines] == [0, 0, 1]
  assert [(end.text, end.style) for end in chart.ends] == [("1", 0), ("2", 1)]
  assert abs(chart.ends[0].y - chart.ends[1].y) >= 11  # not on each other


def test_the_axis_leaves_out_the_beginning():
  steps = np.arange(1, 101)
  values = np.where(steps < 20, 100.0, 1 + steps / 1000)
  (chart,) = comparison_charts.learning_curves([Panel("Loss", {"a": (steps, values)})], {"a": 0})
  marks = [float(tick.text) for tick in chart.y_ticks]
  assert 1 <= marks[0] <= 1.025 and 1.1 <= marks[-1] <= 1.2


def test_numbers_of_many_groups_stay_in_the_chart():
  curve = ([0, 100], [1.0, 0.5])
  names = [str(index) for index in range(8)]
  panel = Panel("Loss", dict.fromkeys(names, curve))
  groups = {name: index for index, name in enumerate(names)}
  (chart,) = comparison_charts.learning_curves([panel], groups)
  heights = sorted(end.y for end in chart.ends)
  assert min(np.diff(heights)) >= 11
  assert chart.top <= heights[0] and heights[-1] <= chart.height - chart.bottom
