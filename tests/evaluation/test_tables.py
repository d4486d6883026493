import numpy as np
import pytest

from flax_unet.data import label_spaces
from flax_unet.evaluation import metrics, tables
from flax_unet.evaluation.bootstrap import Interval

ROWS = [("road", "0.98"), ("traffic light", "-12.5")]


def test_text_table_aligns_names_left_and_numbers_right():
  assert tables.text_table(("class", "IoU"), ROWS).splitlines() == [
    "class            IoU",
    "-------------  -----",
    "road            0.98",
    "traffic light  -12.5",
  ]


def test_markdown_table():
  assert tables.markdown_table(("class", "IoU"), ROWS).splitlines()[1:3] == [
    "| --- | --- |",
    "| road | 0.98 |",
  ]


@pytest.mark.parametrize(
  ("label_space", "times"), [("cityscapes_19", 2), ("4_classes", 0), ("cityscapes_categories", 0)]
)
def test_categories_are_told_where_they_are_not_the_classes(label_space, times):
  space = label_spaces.get(label_space)
  scores = metrics.scores(np.eye(space.num_classes, dtype=np.int64), space)
  text = tables.score_tables(scores, Interval(0.9, 1.0))
  assert text.count("category ") == times  # the header of a table, and a score
