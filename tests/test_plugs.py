"""Everything that plugs in from outside the package: each is a class with a dotted name."""

import json
import subprocess
import sys
import textwrap

import ml_collections
import numpy as np
import pytest

import flax_unet
from flax_unet import base_config
from flax_unet.evaluation.inference.exported import ExportedPredictor
from flax_unet.evaluation.report import finished_runs
from flax_unet.run import events, loop, reporting, serving, trained

PLUGS = textwrap.dedent(
  '''
  import dataclasses

  import flax.linen as nn
  import jax.numpy as jnp
  import numpy as np
  import optax

  from flax_unet.data.ops import Op
  from flax_unet.evaluation.evaluators.base import Evaluator
  from flax_unet.evaluation.metrics.score import Score
  from flax_unet.losses.base import Loss, classes_of, ratio
  from flax_unet.models.base import Geometry, Network


  class Halving(Network):
    """Sees the picture at half its resolution: even sizes fit."""

    width: int = 4

    @property
    def geometry(self):
      return Geometry(multiple=2, context=4, name="halving")

    @nn.compact
    def __call__(self, images, *, train):
      x = nn.relu(nn.Conv(self.width, (3, 3), strides=2)(images))
      x = nn.BatchNorm(not train, momentum=0.5, axis_name=self.axis_name)(x)
      return jnp.repeat(jnp.repeat(nn.Conv(self.num_classes, (3, 3))(x), 2, 1), 2, 2)


  @dataclasses.dataclass(frozen=True)
  class Hinge(Loss):
    """The multi-class hinge loss, weighted by the pixels."""

    margin: float = 1.0

    def sums(self, logits, labels, weights):
      truth = nn.one_hot(classes_of(labels), logits.shape[-1])
      right = (logits * truth).sum(-1)
      wrong = jnp.where(truth > 0, -jnp.inf, logits).max(-1)
      return {
        "loss": (jnp.maximum(0, self.margin + wrong - right) * weights).sum(),
        "pixels": weights.sum(),
      }

    def value(self, sums):
      return ratio(sums["loss"], sums["pixels"])


  def signs(learning_rate, beta=0.9):
    """The sign of the momentum (a Lion without its second average)."""
    return optax.chain(
      optax.trace(beta), optax.scale_by_sign(), optax.scale_by_learning_rate(learning_rate)
    )


  @dataclasses.dataclass(frozen=True)
  class Centre(Op):
    """Pixels count the less the further they are from the middle of the picture."""

    least: float
    most: float = 1.0

    def __call__(self, example, rng):
      height, width = example["label"].shape
      y, x = np.abs(np.linspace(-1, 1, height)), np.abs(np.linspace(-1, 1, width))
      weights = self.most - (self.most - self.least) * np.maximum.outer(y, x)
      return {**example, "weights": weights.astype(np.float32)}


  @dataclasses.dataclass(frozen=True)
  class Doubt(Evaluator):
    """The share of pixels whose highest probability is below a threshold."""

    threshold: float = 0.5

    table = (
      Score("doubtful", "doubtful pixels", "share below the threshold", higher_is_better=False),
    )
    class_table = (Score("doubtful", "doubtful pixels", "share below the threshold"),)

    def count_on_device(self, logits, predictions, labels):
      doubtful = nn.softmax(logits).max(-1) < self.threshold
      classes = nn.one_hot(predictions, logits.shape[-1])
      return {
        "doubtful": (classes * doubtful[..., None]).sum((1, 2)), "pixels": classes.sum((1, 2))
      }

    def scores(self, confusions, counts, label_space):
      doubtful, pixels = counts["doubtful"].sum(0), counts["pixels"].sum(0)
      shares = doubtful / np.maximum(pixels, 1)
      return {
        "doubtful": float(doubtful.sum() / pixels.sum()),
        "per_class": {
          name: {"doubtful": float(share)}
          for name, share in zip(label_space.class_names, shares, strict=True)
        },
      }


  class Stripes:
    """Vertical stripes of three grey values."""

    def __init__(self, data, label_space):
      self.num_classes = label_space.num_classes

    def split(self, name):
      return [self._draw(name, index) for index in range(8)]

    def fingerprint(self):
      return {"name": "stripes", "splits": {"train": {"examples": 8}}}

    def digests(self):
      return {}

    def _draw(self, name, seed):
      rng = np.random.default_rng(seed)
      label = np.repeat(rng.integers(0, self.num_classes, 6), 8)[None].repeat(32, axis=0)
      image = 80 * label[..., None] + rng.integers(0, 40, (32, 48, 3))
      return {
        "image": image.astype(np.uint8), "label": label.astype(np.uint8), "id": f"{name}_{seed}"
      }
  '''
)


def _config(seed):
  config = base_config.get_config()
  config.update_from_flattened_dict(
    {
      "seed": seed,
      "total_steps": 10,
      "label_space": "3_classes",
      "input.data.name": "plugs.Stripes",
      "input.pp": "label_map|plugs.Centre(0.2)|flip_lr",
      "input.workers": 0,
      "model_name": "plugs.Halving",
      "loss": "plugs.Hinge(margin=2.0) + 0.5 * dice",
      "optax_name": "plugs.signs",
      "lr": 0.01,
      "wd": 0.0,
      "schedule.warmup_steps": 0,
      "evals.val.log_steps": 5,
      "best": "doubt/doubtful",
    }
  )
  config.model = ml_collections.ConfigDict({"width": 6})
  config.optax = ml_collections.ConfigDict({"beta": 0.8})
  doubt = base_config.evaluation()
  doubt.type = "plugs.Doubt(threshold=0.6)"
  doubt.log_steps = 5
  config.evals = {"val": config.evals.val, "doubt": doubt}
  return config


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  """Two runs of ten steps that differ in their seed."""
  folder = tmp_path_factory.mktemp("plugs")
  (folder / "plugs.py").write_text(PLUGS)
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(folder))
    runs = [folder / "a", folder / "b"]
    for seed, run in enumerate(runs):
      assert loop.train(_config(seed), run) == 0
    yield runs


def _scores(folder):
  return json.loads((folder / "report/metrics.json").read_text())["evals"]


def test_they_learn(runs):
  steps, losses = events.scalars(runs[0])["doubt/loss"]
  assert steps == [5, 10] and losses[1] < losses[0]
  assert _scores(runs[0])["val"]["mean_iou"] > 0.6


def test_terminal_tensorboard_and_metrics_json_have_the_score(runs):
  score = _scores(runs[0])["doubt"]
  assert 0 < score["doubtful"] < 1
  assert score["definitions"]["doubtful"]["title"] == "doubtful pixels"
  tensorboard = events.scalars(runs[0])["doubt/doubtful"]
  assert tensorboard[0] == [5, 10] and tensorboard[1][1] == pytest.approx(score["doubtful"])
  results = reporting.evaluate(trained.config_of(runs[0]), runs[0], "newest", runs[0] / "again")
  assert results["doubt"].scores["doubtful"] == pytest.approx(score["doubtful"])
  text = reporting.report.text("doubt", results["doubt"])
  assert f"doubtful pixels  {score['doubtful']:.4f}" in text
  assert "mean IoU" not in text


def test_the_page_shows_the_score(runs):
  page = (runs[0] / "report/index.html").read_text()
  score = _scores(runs[0])["doubt"]
  assert "Doubtful pixels</th>" in page
  assert page.count(f'<data value="{score["doubtful"]}">') >= 1
  assert f'<data value="{score["per_class"]["1"]["doubtful"]}">' in page
  assert 'aria-label="Doubtful pixels by step"' in page


def test_runs_are_compared_in_it(runs):
  assert finished_runs.shared_evaluations(runs) == ["doubt", "val"]
  command = [sys.executable, "-m", "flax_unet.tools.compare", *map(str, runs)]
  compared = subprocess.run(command, capture_output=True, text=True, check=True)
  lines = compared.stdout.splitlines()
  mean = np.mean([_scores(run)["doubt"]["doubtful"] for run in runs])
  assert any(line.startswith("doubtful pixels") and f"{mean:.4f} ± " in line for line in lines)
  assert "doubtful pixels by class, doubt" in lines


def test_the_exported_file_predicts_as_the_run(runs, tmp_path):
  file = tmp_path / "model.jaxexport"
  serving.export_run(runs[0], "best", file, None)
  image = np.random.default_rng(0).integers(0, 256, (33, 50, 3), np.uint8)
  ((_, exported),) = ExportedPredictor(file)([(0, image)])
  np.testing.assert_array_equal(exported, flax_unet.load(runs[0], "best").predict(image))


def test_the_weights_of_an_op_reach_the_loss(runs, tmp_path):
  config = _config(0)
  config.input.pp = "label_map|plugs.Centre(0.0, 0.0)"
  config.total_steps = config.log_training_steps = 1
  assert loop.train(config, tmp_path) == 0
  assert events.scalars(tmp_path)["train/loss"] == ([1], [0.0])
