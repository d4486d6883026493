import numpy as np

from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report import curves, page_charts


def _charts(history):
  headline = segmentation.SCORES[0]
  return page_charts.learning_curves(
    curves.panels(history, dict.fromkeys(("val", "test"), headline))
  )


def _points(line):
  return np.array([point.split(",") for point in line.points.split()], float)


def test_long_curves_are_averaged_not_sampled():
  steps = np.arange(1, 8001)
  values = np.where(steps % 2, 0.0, 2.0)
  (chart,) = _charts({"loss": (steps, values)})
  points = _points(chart.lines[0])
  assert len(points) == 400
  # Every point is the mean of 20 values, which is 1.
  scale = next(tick.at for tick in chart.y_ticks if tick.text == "1")
  np.testing.assert_allclose(points[:, 1], scale, atol=0.1)


def test_values_that_are_not_finite_are_left_out():
  history = {
    "loss": ([1, 2, 3], [1.0, np.inf, 2.0]),
    "val/mean_iou": ([2, 3], [np.nan, np.nan]),
    "test/mean_iou": ([2, 3], [0.25, np.nan]),
  }
  loss, mean_iou = _charts(history)
  assert len(_points(loss.lines[0])) == 2
  assert [line.name for line in mean_iou.lines] == ["test"]
  assert mean_iou.lines[0].best[2] == "0.2500"
  assert _charts({"val/mean_iou": ([2], [np.nan])}) == []


def test_axes_begin_at_zero_and_share_their_steps():
  history = {"loss": ([1000, 2000], [3.0, 1.0]), "learning_rate": ([1000], [0.1])}
  loss, rate = _charts(history)
  assert [tick.text for tick in loss.x_ticks] == [tick.text for tick in rate.x_ticks]
  assert (loss.x_ticks[0].text, loss.x_ticks[-1].text) == ("0", "2k")
  assert loss.y_ticks[0].text == "0" and loss.y_ticks[0].at == loss.height - loss.bottom
  assert _points(loss.lines[0])[-1, 0] == loss.width - loss.right


def test_a_curve_of_one_point_has_a_dot():
  history = {"loss": ([10, 20], [1.0, 0.5]), "learning_rate": ([20], [0.00025])}
  loss, rate = _charts(history)
  assert loss.lines[0].lone is None
  assert rate.lines[0].lone == tuple(_points(rate.lines[0])[0])


def test_the_numbers_of_an_axis_fit_beside_it():
  history = {"learning_rate": ([1, 2], [0.0, 0.00025]), "loss": ([1, 2], [1234567.0, 0.0])}
  loss, rate = _charts(history)
  texts = [tick.text for chart in (loss, rate) for tick in chart.y_ticks]
  assert {"0", "8e-5", "2.4e-4", "4e+5"} <= set(texts)
  assert max(map(len, texts)) <= 6


def test_the_lowest_loss_is_the_best():
  history = {"val/loss": ([1, 2, 3], [0.5, 0.25, np.nan])}
  loss = curves.Panel("Loss", {"val": history["val/loss"]}, best="lowest")
  (chart,) = page_charts.learning_curves([loss])
  assert chart.lines[0].best[2] == "0.2500"


def test_losses_of_training_and_evaluation_share_a_chart():
  (chart,) = _charts({"loss": ([1], [0.5]), "val/loss": ([1], [0.75])})
  assert [line.name for line in chart.lines] == ["train", "val"]


def test_scores_below_zero_are_drawn():
  (chart,) = _charts({"val/mean_iou": ([1, 2], [-1.0, 1.0])})
  assert (chart.y_ticks[0].text, chart.y_ticks[0].at) == ("-1", chart.height - chart.bottom)


def test_a_curve_of_zeros_has_an_axis():
  (chart,) = _charts({"val/mean_iou": ([1], [0.0])})
  assert chart.y_ticks[-1].text == "1"


def test_cells_show_shares_of_the_row():
  cells = page_charts.confusion_cells(np.array([[90, 10, 0], [0, 0, 0], [9999, 1, 0]]))
  assert [(cell.row, cell.column, cell.share) for cell in cells] == [
    (0, 0, 0.9),
    (0, 1, 0.1),
    (2, 0, 0.9999),  # the cell beside it is too faint
  ]
  assert cells[1].opacity == 0.32


def test_frequent_confusions_leave_out_what_is_right():
  confusion = np.array([[90, 10, 0], [30, 70, 0], [0, 0, 5]])
  assert page_charts.frequent_confusions(confusion, ["a", "b", "c"], 8) == [
    {"true": "b", "predicted": "a", "pixels": 30, "share": 0.3},
    {"true": "a", "predicted": "b", "pixels": 10, "share": 0.1},
  ]
