import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.data import label_spaces, op_spec
from flax_unet.errors import UserError
from flax_unet.evaluation.evaluation import Evaluation
from flax_unet.evaluation.evaluators import spec
from flax_unet.evaluation.evaluators.base import Evaluator
from flax_unet.evaluation.inference import passes
from flax_unet.evaluation.metrics import boundary
from flax_unet.evaluation.metrics.score import Score
from flax_unet.losses import spec as loss_spec

SPACE = label_spaces.CITYSCAPES_CATEGORIES
RNG = np.random.default_rng(0)
SOURCE = [
  {
    "image": RNG.integers(0, 256, (16, 24, 3), np.uint8),
    "label": RNG.integers(0, 34, (16, 24), np.uint8),
    "id": f"picture_{index}",
  }
  for index in range(7)
]


@dataclasses.dataclass(frozen=True)
class Certainty(Evaluator):
  """The mean highest logit, on the device; the mean brightness of correct pixels, on the host."""

  table = (Score("certainty", "certainty", "mean of the highest logit"),)

  def count_on_device(self, logits, predictions, labels):
    assert predictions.shape == labels.shape
    return {"sum": logits.max(-1).sum(axis=(1, 2))}

  def count(self, picture, num_classes):
    assert num_classes == 7
    right = picture.label == picture.prediction
    return {"brightness": picture.image[right].sum(), "right": right.sum()}

  def scores(self, confusions, counts, label_space):
    assert counts["right"].sum() == np.trace(confusions.sum(0))
    return {
      "certainty": float(counts["sum"].sum() / (len(confusions) * 16 * 24)),
      "brightness": float(counts["brightness"].sum() / counts["right"].sum() / 3),
    }


def _evaluate(model, variables, evaluator=None, source=SOURCE, batch_size=4, **options):
  evaluate = Evaluation(
    source, op_spec.parse("label_map", SPACE), model, SPACE, batch_size=batch_size,
    evaluator=evaluator, **options,
  )  # fmt: skip
  return evaluate(variables)


def _logits(kernel, model):
  for example in SOURCE:
    yield (example["image"] / 255 - np.array(model.mean)) / np.array(model.stddev) @ kernel


def test_an_evaluator_from_outside_counts_on_device_and_host(pixelwise_unet):
  model, variables, kernel = pixelwise_unet(depth=1)
  result = _evaluate(model, variables, Certainty())
  logits = np.stack(list(_logits(kernel, model)))
  labels = np.stack([SPACE.to_index(example["label"]) for example in SOURCE])
  images = np.stack([example["image"] for example in SOURCE])
  assert result.values == {"certainty": pytest.approx(logits.max(-1).mean(), rel=1e-5)}
  right = logits.argmax(-1) == labels
  assert result.scores["brightness"] == pytest.approx(images[right].mean())


@pytest.mark.parametrize("devices", [1, 2])
def test_devices_change_nothing(monkeypatch, pixelwise_unet, devices):
  some = jax.local_devices()[:devices]
  monkeypatch.setattr(jax, "local_device_count", lambda: devices)
  monkeypatch.setattr(jax, "local_devices", lambda: some)
  model, variables, kernel = pixelwise_unet(depth=1)
  expected = np.mean([logits.max(-1).mean() for logits in _logits(kernel, model)])
  result = _evaluate(model, variables, Certainty())
  assert result.scores["certainty"] == pytest.approx(expected, rel=1e-5)


def test_without_pictures_there_are_no_scores(pixelwise_unet):
  model, variables, _ = pixelwise_unet(depth=1)
  evaluation = Evaluation([], op_spec.parse("label_map", SPACE), model, SPACE, batch_size=4,
                          evaluator=spec.parse("type", "boundary"),
                          loss=loss_spec.parse("cross_entropy"))  # fmt: skip
  rows = evaluation._no_rows(variables)
  assert {key: value.shape for key, value in rows["host"].items()} == {
    "intersections": (0, 7),
    "unions": (0, 7),
    "f_scores": (0, 7),
  }
  assert rows["confusion"].shape == (0, 7, 7)
  scores = evaluation._scores(rows)
  assert all(np.isnan(scores[key]) for key in ("mean_boundary_iou", "mean_boundary_f", "loss"))


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "cross_entropy + 0.5 * lovasz"])
@pytest.mark.parametrize("options", [passes.WHOLE, passes.Options(scales=(1.0, 1.0))])
def test_the_loss_is_that_of_the_split_as_one_batch(pixelwise_unet, loss, options):
  model, variables, kernel = pixelwise_unet(depth=1)
  built = loss_spec.parse(loss)
  result = _evaluate(model, variables, loss=built, options=options)
  logits = jnp.stack(list(_logits(kernel, model))).astype(jnp.float32)
  labels = jnp.stack([SPACE.to_index(example["label"]) for example in SOURCE])
  assert result.scores["loss"] == pytest.approx(float(built(logits, labels)), rel=1e-4)
  assert result.table[-1].name == "loss" and not result.table[-1].higher_is_better


def test_boundaries_are_counted_over_the_split(pixelwise_unet):
  model, variables, kernel = pixelwise_unet(depth=1)
  result = _evaluate(model, variables, spec.parse("type", "boundary(width=0.05)"))
  totals, f_scores = np.zeros((2, 7)), []
  for example, logits in zip(SOURCE, _logits(kernel, model), strict=True):
    pair = SPACE.to_index(example["label"]), logits.argmax(-1).astype(np.uint8)
    totals += boundary.strip_overlap(*pair, 7, 0.05)
    f_scores.append(boundary.f_scores(*pair, 7))
  assert result.scores["mean_boundary_iou"] == pytest.approx(np.mean(totals[0] / totals[1]))
  assert result.scores["mean_boundary_f"] == pytest.approx(np.nanmean(np.nanmean(f_scores, 0)))
  assert list(result.values) == ["mean_boundary_iou", "mean_boundary_f"]


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("boundry", r"evaluator in config.evals.val.type 'boundry': did you mean 'boundary'"),
    ("boundary(widht=1)", "argument of 'boundary' in config.evals.val.type 'widht': did you mean"),
    ("boundary(width=2.0)", "boundary: width = 2.0: it must be above 0 and below 1"),
    ("no_module.Nothing", "no_module cannot be imported"),
    ("flax_unet.errors.UserError", "is not an evaluator, a frozen dataclass that extends"),
    ("boundary(", "give a name, or a name with arguments"),
  ],
)
def test_what_is_no_evaluator_is_refused(text, message):
  with pytest.raises(UserError, match=message):
    spec.parse("config.evals.val.type", text)
