import pathlib
import re

import numpy as np
import pytest

from flax_unet.data import label_spaces
from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.metrics.score import Score
from flax_unet.evaluation.report import comparison, comparison_page
from flax_unet.evaluation.report.finished_runs import Run

SPACE = label_spaces.get("2_classes")
_DOUBT = Score("doubt", "doubt", "how unsure it is", higher_is_better=False)
_FIGURE = (
  '<figure class="picture"><b>{name}</b><img src="data:image/i{of}" alt="image">'
  '<img src="data:image/l{of}" alt="label"><img src="data:image/p{of}" alt="prediction"></figure>'
)


def _run(folder, right, seed=0, lr=0.1, doubt=None):
  """A run on 12 images with that many of 100 pixels of each class right."""
  confusions = np.array([[[right, 100 - right], [100 - right, right]]] * 12)
  confusions[3] = [
    [100 - right, right],
    [0, 100],
  ]  # an image that gets worse as the others get better
  scores = segmentation.scores(confusions.sum(0), SPACE)
  table = segmentation.SCORES[:1]
  if doubt is not None:
    scores, table = {"doubt": doubt}, [_DOUBT]
  scores["definitions"] = {score.name: score._asdict() for score in table}
  ids = np.array([f"image_{index:02d}" for index in range(12)])
  config = {"seed": seed, "lr": lr}
  return Run((folder,), config, {"step": 10}, scores, ids, confusions, is_pictured=doubt is None)


def _write(folder, runs, histories=None, **more):
  evaluations = [
    comparison_page.Compared(name, groups, comparison.compare(groups))
    for name, found in {"val": runs, **more}.items()
    for groups in [comparison.group(found)]
  ]
  folder.mkdir(exist_ok=True)
  comparison_page.write(
    folder / "index.html",
    title="a < b",
    command="flax-unet compare",
    program="compare",
    evaluations=evaluations,
    histories=histories or {},
  )
  return (folder / "index.html").read_text(encoding="utf-8")


def test_curves_have_the_colour_of_their_group(tmp_path):
  folders = [tmp_path / name for name in ("a", "b", "c")]
  runs = [_run(folders[0], 50), _run(folders[1], 60, seed=1), _run(folders[2], 70, lr=0.2)]
  curve = {"train/loss": ([1, 2, 3], [3.0, 2.0, 1.0]), "val/mean_iou": ([3], [0.5])}
  page = _write(tmp_path / "page", runs, dict.fromkeys(folders[:2] + folders[2:], curve))
  titles = re.findall(r'aria-label="([^"]*) by step"', page)
  assert titles == ["Training loss", "Mean IoU, val"]
  assert re.findall(r'<polyline class="line (\w+)"', page) == ["s0", "s0", "s1"] * 2
  assert "event files" not in page
  assert "<h1>a &lt; b</h1>" in page


def test_runs_without_curves_are_named(tmp_path):
  runs = [_run(tmp_path / "a", 50), _run(tmp_path / "b", 60, lr=0.2)]
  page = _write(tmp_path / "page", runs, {tmp_path / "a": {"train/loss": ([1, 2], [3.0, 2.0])}})
  assert f"curves are missing: {tmp_path / 'b'}</p>" in page


def test_evaluations_without_scores_by_class_have_no_intervals(tmp_path):
  folders = tmp_path / "a", tmp_path / "b"
  doubts = [_run(folders[0], 50, doubt=0.5), _run(folders[1], 60, lr=0.2, doubt=0.25)]
  runs = [_run(folders[0], 50), _run(folders[1], 60, lr=0.2)]
  page = _write(tmp_path / "page", runs, doubt=doubts)
  headings = re.findall("<h2>(.*)</h2>", page)
  of_classes = ["Difference in mean IoU, val", "Differences in IoU, val", "iou by class, val"]
  assert [name for name in headings if "iff" in name or "class" in name] == [
    "Settings that differ",
    *of_classes,
    "Images that differ most, val",
    "Images that differ most, doubt",
  ]
  assert "-0.2500" in page  # the difference in doubt
  # The only image that gets worse.
  assert re.search(r"loses</h3>\s*.*\s*.*\s*.*\s*.*\s*<tbody>\s*<tr><th>image_03<", page)


def test_pictures_are_shown_if_both_groups_have_them(tmp_path):
  runs = [_run(tmp_path / "a", 50), _run(tmp_path / "b", 60, lr=0.2)]
  for run in runs:
    report = run.folder / "report"
    report.mkdir(parents=True)
    names = ["image_03"] + ["image_00"] * (run is runs[0])
    figures = "".join(_FIGURE.format(name=name, of=run.folder.name + name) for name in names)
    (report / "index.html").write_text(figures)
  page = _write(tmp_path / "page", runs)
  assert re.findall(r'<img src="([^"]*)" alt="([^"]*)"', page) == [
    ("data:image/iaimage_03", "image"),
    ("data:image/laimage_03", "label"),
    ("data:image/paimage_03", "#1"),
    ("data:image/pbimage_03", "#2"),
  ]


def test_many_groups_have_tables_in_parts_with_all_columns(tmp_path):
  runs = [_run(tmp_path / str(index), 50 + index, lr=index) for index in range(8)]
  page = _write(tmp_path / "page", runs)
  for section, parts in (("Scores on 12 images", 2), ("Difference in iou by class", 3)):
    text = page[page.index(f"<h2>{section}</h2>") :].partition("</section>")[0]
    assert text.count("<table") == parts
    assert re.findall(r">(#\d - #1)<", text) == [f"#{number} - #1" for number in range(2, 9)]
  assert re.findall(r"<h1>(.*)</h1>", page) == ["a &lt; b"]
  assert page.count('class="forest"') == 7
  assert 's0 dashed">#5' in page  # other than the colour of #1


@pytest.mark.parametrize(
  ("paths", "names"),
  [
    ([["r/full_0", "r/full_1"], ["r/quick"]], ["full (2 runs)", "quick"]),
    ([["r/a/seed_0", "r/a/seed_1"], ["r/b/seed_0"]], ["a/seed (2 runs)", "b/seed_0"]),
    ([["r/x", "r/y"], ["r/z"]], ["x (2 runs)", "z"]),
    ([["r/alone"]], ["alone"]),
  ],
)
def test_groups_are_named_by_what_their_runs_share(paths, names):
  groups = [[_run(pathlib.Path(path), 50) for path in group] for group in paths]
  assert comparison_page.group_names(groups) == names


def test_titles_name_few_groups():
  groups = [[_run(pathlib.Path(f"r/{name}"), 50)] for name in "abcd"]
  titles = [comparison_page.title(groups[:number]) for number in range(1, 5)]
  assert titles == ["a", "a and b compared", "a, b and c compared", "4 groups of runs compared"]


def test_pages_are_recognized(tmp_path):
  _write(tmp_path / "page", [_run(tmp_path / "a", 50)])
  assert comparison_page.is_of(tmp_path / "page/index.html", "compare")
  assert not comparison_page.is_of(tmp_path / "page/index.html", "repeat")
