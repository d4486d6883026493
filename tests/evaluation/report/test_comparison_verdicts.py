import pytest

from flax_unet.evaluation.report import comparison_verdicts


def _compared(images, over_seeds, by_class):
  """A comparison of two groups; `by_class` has the same intervals of each class."""
  entries = {
    name: [{}, {"difference": 0.5, "seed_interval": s}] for name, (_, s) in by_class.items()
  }
  return {
    "groups": [{}, {}],
    "has_one_loss": True,
    "scores": {"mean_iou": [{}, {"difference": -0.0123, "seed_interval": over_seeds}]},
    "mean_iou_difference_interval": [images],
    "class_difference_intervals": {name: [interval] for name, (interval, _) in by_class.items()},
    "per_class": entries,
  }


_BELOW, _AROUND = (-0.03, -0.01), (-0.03, 0.01)


@pytest.mark.parametrize(
  ("images", "over_seeds", "words"),
  [
    (_BELOW, _BELOW, "which neither other images nor other seeds explain"),
    (_BELOW, _AROUND, "which other seeds may explain"),
    (_AROUND, _BELOW, "which other images may explain"),
    (_AROUND, _AROUND, "which other images or seeds may explain"),
    (_AROUND, None, "which other images may explain"),
    (_BELOW, None, "which other images do not explain; with one run on a side, other seeds may"),
  ],
)
def test_what_may_explain_a_difference(images, over_seeds, words):
  (line,) = comparison_verdicts.verdicts(_compared(images, over_seeds, {}))
  assert line == f"#2 - #1: mean IoU -0.0123, {words}."


def test_classes_that_nothing_explains_are_named():
  by_class = {"road": (_BELOW, _BELOW), "sky": (_BELOW, _AROUND), "car": (_AROUND, _BELOW)}
  (line,) = comparison_verdicts.verdicts(_compared(_BELOW, _BELOW, by_class), ["a", "b"])
  assert line.startswith("b - a: ")
  assert line.endswith("Classes whose difference images and seeds do not explain: road +0.5000.")
  (line,) = comparison_verdicts.verdicts(_compared(_BELOW, None, {"car": (_AROUND, None)}))
  assert line.endswith("Classes whose difference images do not explain: none.")
