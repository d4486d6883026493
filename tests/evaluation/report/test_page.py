import base64
import dataclasses
import html.parser
import json

import cv2
import numpy as np
import pytest

from flax_unet.data import label_spaces
from flax_unet.evaluation.evaluation import Result
from flax_unet.evaluation.evaluators.base import Evaluator, Picture
from flax_unet.evaluation.evaluators.segmentation import Segmentation
from flax_unet.evaluation.metrics import audit, counting, segmentation
from flax_unet.evaluation.metrics.score import Score
from flax_unet.evaluation.report import curves, report, report_pictures

SPACE = label_spaces.CITYSCAPES_19


@dataclasses.dataclass(frozen=True)
class Certainty(Evaluator):
  """An evaluator from outside the package."""

  table = (Score("mean_certainty", "mean certainty", "how certain it is"),)
  class_table = (Score("certainty", "certainty", "how certain it is of a class"),)

  def scores(self, confusions, counts, label_space):
    return {}


RUN_INFO = {
  "parameters": 31_000_000,
  "flops_per_step": 4.6e12,
  "seconds": 3725.4,
  "devices": ["TPU v5e", "TPU v5e"],
  "command": "python main.py --config=configs/cityscapes.py '--config.input.pp=label_map|flip_lr'",
  "git_commit": "0123abc-dirty",
  "data": {"name": "cityscapes", "splits": {"train": {"examples": 2975, "bytes": 6_000_000_000}}},
  "versions": {"jax": "0.10.2"},
  "params_digest": "feed",
}


class Page(html.parser.HTMLParser):
  """The elements of an HTML file, with their attributes and the text inside them."""

  def __init__(self, path):
    super().__init__()
    self.path = path
    self.source = path.read_text()
    self.elements, self._open = [], []
    self.feed(self.source)

  def handle_starttag(self, tag, attrs):
    element = {"tag": tag, "attrs": dict(attrs), "text": "", "inside": list(self._open)}
    self.elements.append(element)
    if tag not in ("meta", "link", "img", "input"):
      self._open.append(element)

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    if self._open and self._open[-1]["tag"] == tag:
      self._open.pop()

  def handle_endtag(self, tag):
    assert self._open.pop()["tag"] == tag, f"</{tag}> where another element is open"

  def handle_data(self, data):
    for element in self._open:
      element["text"] += data

  def all(self, tag, within=None):
    return [
      element
      for element in self.elements
      if element["tag"] == tag
      and (within is None or any(outer["attrs"].get("id") == within for outer in element["inside"]))
    ]

  def cells(self, row):
    """The texts and values of a table row."""
    inside = [e for e in self.elements if any(outer is row for outer in e["inside"])]
    texts = [" ".join(e["text"].split()) for e in inside if e["tag"] in ("th", "td")]
    return texts, [e["attrs"]["value"] for e in inside if e["tag"] == "data"]


def _pictures(number, height, width):
  """Smooth images with blobs as labels, and predictions that get worse from one to the next."""
  rng = np.random.default_rng(0)
  pictures = []
  for index in range(number):
    coarse = rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    label = rng.choice(np.array([*range(16), 255], np.uint8), (height // 8, width // 8))
    label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
    prediction = np.where(label == 255, 3, label).astype(np.uint8)
    prediction[: height * index // (number + 1)] = 2
    pictures.append(Picture(f"city_{index:06d}", image, label, prediction))
  return pictures


def _write(folder, pictures, run_info=RUN_INFO, shown=2, **overrides):
  """Writes and returns the HTML report on an evaluation of these images."""
  confusions = np.stack([counting.count(p.label, p.prediction, 19)[:, :19] for p in pictures])
  extra = audit.sum_counts(audit.extra_counts(p.label, p.prediction, 19) for p in pictures)
  result = Result(
    places=np.arange(len(pictures)) * 2,  # every other example could not be used
    ids=np.array([picture.id for picture in pictures]),
    confusions=confusions,
    scores=segmentation.scores(confusions.sum(0), SPACE),
    evaluator=Segmentation(),
    examples=pictures[:shown],
    extra=extra,
    skipped=[],
  )
  steps = list(range(10, 10_010, 10))
  content = {
    "step": 10_000,
    "results": {"val": result, **overrides.pop("more", {})},
    "history": {
      "loss": (steps, [1 / step for step in steps]),
      "learning_rate": (steps, [0.01] * len(steps)),
      "val/mean_iou": ([5000, 10_000], [0.25, 0.5]),
      "images_per_second": (steps, [40.0] * len(steps)),
    },
    "label_space": SPACE,
    **overrides,
  }
  headlines = {name: result.table[0] for name, result in content["results"].items()}
  content["panels"] = curves.panels(content["history"], headlines)
  (folder / "report").mkdir(parents=True, exist_ok=True)
  report.write_page(
    folder / "report",
    run=folder.name,
    config={"seed": 0, "input": {"pp": "a|b", "n": None}},
    run_info=run_info or {},
    predict=lambda places: [pictures[place // 2] for place in places],
    **content,
  )
  return Page(folder / "report/index.html"), content


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """The HTML report of a run, and its metrics.json."""
  folder = tmp_path_factory.mktemp("runs") / "my <run>"
  page, content = _write(folder, _pictures(6, 64, 128))
  report.write_scores(
    folder / "report",
    step=content["step"],
    results=content["results"],
    label_space=SPACE,
    settings={},
  )
  return page, json.loads((folder / "report/metrics.json").read_text())["evals"]["val"]


def _as_text(value):
  return "" if value is None else repr(value)


def test_headline_numbers_are_those_of_metrics_json(run):
  page, scores = run
  headline = [e for e in page.all("data") if "headline" in str(e["inside"][2]["attrs"])]
  expected = [
    scores["mean_iou"],
    *scores["mean_iou_interval"],
    *(
      scores[key]
      for key in (
        "category_iou",
        "pixel_accuracy",
        "mean_accuracy",
        "mean_f1",
        "mean_dice",
        "frequency_weighted_iou",
      )
    ),
  ]
  assert [e["attrs"]["value"] for e in headline] == [repr(value) for value in expected]
  assert [e["text"] for e in headline] == [f"{value:.4f}" for value in expected]


@pytest.mark.parametrize(("number", "says_little"), [(9, True), (10, False)])
def test_an_interval_from_few_pictures_says_so(tmp_path, number, says_little):
  page, _ = _write(tmp_path / "run", _pictures(number, 32, 32))
  assert ("unreliable with so few (9)" in page.source) == says_little


def test_classes_are_sorted_and_have_the_numbers_of_metrics_json(run):
  page, scores = run
  rows = [page.cells(row) for row in page.all("tr", "classes")][1:-1]
  names = [texts[0] for texts, _ in rows]
  per_class = scores["per_class"]
  assert sorted(names) == sorted(SPACE.class_names)
  ious = [-1.0 if per_class[name]["iou"] is None else per_class[name]["iou"] for name in names]
  assert ious == sorted(ious, reverse=True)
  assert ious[-1] == -1.0  # truck, bus and train have no pixel at all
  for name, (texts, values) in zip(names, rows, strict=True):
    keys = ("iou", "f1", "precision", "recall")
    assert values == [_as_text(per_class[name][key]) for key in keys]
    iou = per_class[name]["iou"]
    assert texts[2] == ("-" if iou is None else f"{iou:.4f}")
    assert texts[-1] == f"{100 * per_class[name]['share']:.2f} %"


def test_the_audit_is_that_of_metrics_json(run):
  page, scores = run
  rows = [page.cells(row) for row in page.all("tr", "audit")][1:]
  assert {texts[0]: values[0] for texts, values in rows} == {
    name: _as_text(value) for name, value in scores["audit"].items()
  }
  micro = next(texts for texts, _ in rows if texts[0] == "micro IoU")
  assert micro[3] == f"{scores['audit']['micro IoU'] - scores['mean_iou']:+.4f}"


def test_the_confusion_matrix_has_all_counts(run):
  page, _ = run
  (script,) = [e for e in page.all("script") if e["attrs"].get("id") == "counts"]
  content = json.loads(script["text"])
  assert content["names"] == list(SPACE.class_names)
  counts = sum(counting.count(p.label, p.prediction, 19)[:, :19] for p in _pictures(6, 64, 128))
  assert content["counts"] == counts.tolist()
  # The numbers in the cells are percentages of the row.
  texts = [e for e in page.all("text", "confusion") if "cell" in e["attrs"]["class"]]
  assert texts[0]["text"] == f"{100 * counts[0, 0] / counts[0].sum():.0f}"
  most = page.cells(page.all("tr", "confusion")[1])[0]
  wrong = counts - np.diag(np.diag(counts))
  row, column = np.unravel_index(np.argmax(wrong), wrong.shape)
  assert most[:3] == [SPACE.class_names[row], SPACE.class_names[column], f"{wrong.max():,}"]


def test_every_picture_can_be_decoded_at_its_size(run):
  page, _ = run
  images = page.all("img")
  mistakes = page.all("img", "mistakes")
  others = [e["attrs"]["alt"] for e in images if e not in mistakes]
  assert others == ["image", "label", "prediction", "errors"] * 3
  of_class = "missed (orange) and falsely predicted (blue)"
  assert {e["attrs"]["alt"] for e in mistakes} == {"image", "label", "prediction", of_class}
  for element in images:
    header, _, content = element["attrs"]["src"].partition(",")
    assert header in ("data:image/png;base64", "data:image/jpeg;base64")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded.shape == (int(element["attrs"]["height"]), int(element["attrs"]["width"]), 3)
    if element["attrs"]["alt"] == "prediction":
      colors = np.unique(decoded.reshape(-1, 3), axis=0).tolist()
      assert all(color in SPACE.colors.tolist() for color in colors)


def test_worst_and_best_pictures(run):
  page, _ = run
  mistakes = page.all("figcaption", "mistakes")
  captions = [
    " ".join(e["text"].split())
    for e in page.all("figcaption")
    if "city" in e["text"] and e not in mistakes
  ]
  assert [caption.split()[0] for caption in captions] == [
    "city_000005",
    "city_000004",
    "city_000000",
  ]
  confusion = counting.count(*_pictures(6, 64, 128)[5][2:], 19)[:, :19]
  expected = f"mean IoU {segmentation.mean_iou(confusion):.4f} pixel accuracy "
  assert captions[0].split(" ", 1)[1].startswith(expected)


def test_the_page_needs_nothing_else(run):
  page, _ = run
  for element in page.elements:
    for name in ("src", "href", "srcset", "action", "poster", "data"):
      if element["tag"] == "a":  # leads elsewhere, and is not needed to show the page
        continue
      assert element["attrs"].get(name, "data:").startswith("data:")
  without_pictures = "".join(
    part.partition('"')[2] for part in page.source.split('src="data:image')
  )
  assert "://" not in without_pictures
  assert "@import" not in page.source and "url(" not in page.source


def test_what_it_takes_to_repeat_it(run):
  page, _ = run
  (command,) = page.all("pre")
  assert command["text"] == (
    "git checkout 0123abc\npython main.py \\\n  --config=configs/cityscapes.py \\\n"
    "  '--config.input.pp=label_map|flip_lr'"
  )
  text = " ".join(page.all("body")[0]["text"].split())
  for fact in (
    "31 M",
    "4.6 T",
    "1:02:05",
    "2 x TPU v5e",
    "2,975 (6 GB)",
    "0.10.2",
    "feed",
  ):
    assert fact in text
  assert "files differed from this commit." in text
  settings = [page.cells(row)[0] for row in page.all("tr", "repeat")]
  assert settings == [["seed", "0"], ["input.pp", "a|b"], ["input.n", "null"]]
  assert page.all("h1")[0]["text"] == "my <run>"


def test_curves_reach_from_the_first_to_the_last_step(run):
  page, _ = run
  lines = {}
  for line in page.all("polyline"):
    (chart,) = [e for e in line["inside"] if e["tag"] == "svg"]
    points = [tuple(map(float, p.split(","))) for p in line["attrs"]["points"].split()]
    lines[chart["attrs"]["aria-label"]] = points
  assert list(lines) == ["Loss by step", "Mean IoU by step", "Learning rate by step"]
  # The plot is 298 units wide, from x = 46; 180 units up from y = 194 are a mean IoU of 0.6.
  expected = [(46 + 298 / 2, 194 - 180 * 0.25 / 0.6), (46 + 298, 194 - 180 * 0.5 / 0.6)]
  assert lines["Mean IoU by step"] == expected
  assert 300 < len(lines["Loss by step"]) <= 400
  (best,) = [e for e in page.all("text") if e["attrs"].get("class", "").startswith("best")]
  assert best["text"] == "0.5000"


def test_facts_that_are_not_known_are_left_out(tmp_path):
  """With several processes FLOPs are unknown, and older runs have fewer facts."""
  page, _ = _write(
    tmp_path / "run", _pictures(1, 32, 32), run_info={"flops_per_step": None, "cpus": 2}
  )
  assert [e["text"] for e in page.all("dt", "repeat")][:1] == ["CPU cores"]


def test_without_run_info_history_and_audit(tmp_path):
  page, _ = _write(tmp_path / "run", _pictures(1, 32, 32), run_info=None, history={})
  assert not page.all("pre") and not page.all("polyline")
  headings = [e["text"] for e in page.all("h2")][-2:]
  assert headings == ["Worst images", "Reproduce this run"]  # the only image has no mistakes
  assert len(page.all("img")) == 4  # listed as the worst but not as the best too


def test_several_evaluations_are_compared(tmp_path):
  pictures = _pictures(2, 32, 32)
  confusions = np.ones((3, 19, 19), np.int64)
  test = Result(
    places=np.arange(3),
    ids=np.array(["a", "b", "c"]),
    confusions=confusions,
    scores={"mean_certainty": 0.5, "per_class": {"road": {"certainty": 0.25}}},
    evaluator=Certainty(),
    examples=[],
    extra={},
    skipped=["example 'x' cannot be decoded"],
  )
  page, _ = _write(tmp_path / "run", pictures, more={"test": test})
  rows = [page.cells(row) for row in page.all("tr", "evaluations")][1:]
  assert [texts[0] for texts, _ in rows] == ["val", "test"]
  # Scores of an evaluator from outside appear under their titles.
  assert page.cells(page.all("tr", "evaluations")[0])[0][-1] == "Mean certainty"
  assert rows[1][1] == ["0.5"]
  classes = [page.cells(row) for row in page.all("tr", "classes-test")]
  assert classes[0][0] == ["Class", "Certainty", ""]
  assert classes[1] == (["road", "", "0.2500"], ["0.25"])


def test_large_pictures_make_no_large_page(tmp_path):
  pictures = _pictures(6, 1024, 2048)
  page, _ = _write(tmp_path / "run", pictures)
  of_classes = page.all("img", "mistakes")
  assert {e["attrs"]["width"] for e in of_classes} == {"480"}
  others = [e for e in page.all("img") if e not in of_classes]
  assert {e["attrs"]["width"] for e in others} == {"720"}
  # A usual report has nine images, and one for each of up to 20 classes.
  assert _size(others) / len(others) < 3e6 / 36
  assert _size(of_classes) / len(of_classes) < 3.2e6 / 80


def _size(images):
  return sum(len(element["attrs"]["src"]) for element in images)


def test_the_worst_mistakes_of_a_class_are_those_of_its_matrices(run):
  page, scores = run
  confusions = np.stack(
    [counting.count(p.label, p.prediction, 19)[:, :19] for p in _pictures(6, 64, 128)]
  )
  summaries = [" ".join(e["text"].split()) for e in page.all("summary", "mistakes")]
  wrong = [name for name, item in scores["per_class"].items() if item["iou"] not in (1, None)]
  assert len(summaries) == len(wrong)
  worst = min(wrong, key=lambda name: scores["per_class"][name]["iou"])
  index = SPACE.class_names.index(worst)
  total = confusions.sum(0)
  missed = total[index].sum() - total[index, index]
  claimed = total[:, index].sum() - total[index, index]
  assert summaries[0] == (
    f"{worst} IoU {scores['per_class'][worst]['iou']:.4f}, {missed:,} pixels missed, "
    f"{claimed:,} falsely predicted"
  )
  row = page.cells(page.all("tr", "mistakes")[1])[0]
  by_image = confusions[:, index].sum(1) + confusions[:, :, index].sum(1)
  by_image -= 2 * confusions[:, index, index]
  image = int(by_image.argmax())
  assert row[0] == f"city_{image:06d}"
  assert row[1] == f"{segmentation.class_iou(confusions[image])[index]:.4f}"
  assert row[2] == f"{confusions[image, index].sum() - confusions[image, index, index]:,}"
  assert row[4] == f"{confusions[image, :, index].sum() - confusions[image, index, index]:,}"


def test_files_beside_the_page_are_linked(tmp_path):
  report_folder = tmp_path / "run/report"
  report_folder.mkdir(parents=True)
  for name in ("confusion_val.png", "image_scores_val.csv"):
    (report_folder / name).touch()
  page, _ = _write(tmp_path / "run", _pictures(1, 32, 32))
  links = [(e["attrs"]["href"], e["text"]) for e in page.all("a")]
  assert links == [
    ("confusion_val.png", "confusion matrix (PNG)"),
    ("image_scores_val.csv", "scores of every image (CSV)"),
  ]


def test_pictures_can_be_read_back(run):
  page, _ = run
  found = report_pictures.read(page.path)
  shown = {e["attrs"]["src"] for e in page.all("img")}
  assert {"city_000000", "city_000004", "city_000005"} <= set(found)
  assert all(panel in shown for panels in found.values() for panel in panels.values())


def test_without_pictures_the_mistakes_are_tables(tmp_path):
  page, _ = _write(tmp_path / "run", _pictures(3, 32, 32), shown=0)
  assert page.all("summary", "mistakes") and not page.all("img")
