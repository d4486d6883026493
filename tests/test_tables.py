from flax_unet import tables

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
