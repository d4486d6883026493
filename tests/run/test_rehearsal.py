"""Parts of one's own that break their contract are refused in one line, before data are opened."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet import errors
from flax_unet.data import label_spaces
from flax_unet.data.image_format import RGB
from flax_unet.evaluation.evaluators.base import Evaluator
from flax_unet.evaluation.evaluators.boundary import Boundary
from flax_unet.evaluation.evaluators.segmentation import Segmentation
from flax_unet.evaluation.metrics.score import Score
from flax_unet.losses import spec as losses
from flax_unet.losses.base import Loss
from flax_unet.models import base
from flax_unet.run import rehearsal

SPACE = label_spaces.get("3_classes")


@dataclasses.dataclass(frozen=True)
class Returns(Loss):
  """A loss whose sums are something else."""

  sums_are: object = None

  def sums(self, logits, labels, weights):
    return self.sums_are(logits) if callable(self.sums_are) else self.sums_are

  def value(self, sums):
    return sums["sum"] if isinstance(sums, dict) else sums


@pytest.mark.parametrize(
  ("sums", "message"),
  [
    (None, "its value is None, not one float32"),
    ({"total": 1}, r"KeyError at \S*py:\d+: 'sum'"),
    (lambda x: x.sum(-1), r"its value is float32 of shape \[2, 16, 16\], not one float32"),
    (lambda x: x.argmax(), r"its value is int32 of shape \[\], not one float32"),
    (lambda x: np.asarray(x).sum(), "TracerArrayConversionError"),
    (lambda x: (x * jnp.ones((5, 7))).sum(), "TypeError|ValueError"),
    (lambda x: jnp.log(x.min()), "its value is nan on the random logits of an untrained network"),
    (lambda x: jnp.sqrt(x - x).sum(), "its gradient is nan on the random logits"),
    (lambda x: x.nothing, r"\(AttributeError at \S*test_rehearsal.py:\d+: "),
  ],
)
def test_a_loss_that_breaks_its_contract(sums, message):
  with pytest.raises(errors.UserError, match=message) as info:
    rehearsal.loss(Returns(sums), "config.loss = 'x.Returns'", 3)
  assert str(info.value).startswith("config.loss = 'x.Returns'")
  assert "\n" not in str(info.value)


@pytest.mark.parametrize("spec", [*losses.LOSSES, "cross_entropy_dice"])
def test_our_losses_pass(spec):
  rehearsal.loss(losses.parse(spec), "config.loss", 3)


@dataclasses.dataclass(frozen=True)
class Answers(Evaluator):
  """An evaluator whose methods return what the test wants."""

  table = (Score("doubt", "Doubt", "How sure it is.", higher_is_better=False),)
  device: object = dataclasses.field(default_factory=dict)
  host: object = dataclasses.field(default_factory=dict)
  answer: object = dataclasses.field(default_factory=lambda: {"doubt": 0.5})

  def count_on_device(self, logits, predictions, labels):
    return self.device(logits) if callable(self.device) else self.device

  def count(self, picture, num_classes):
    return self.host

  def scores(self, confusions, counts, label_space):
    return self.answer(counts) if callable(self.answer) else self.answer


@pytest.mark.parametrize(
  ("methods", "message"),
  [
    ({"answer": None}, "scores returns None; give a dictionary"),
    ({"answer": {}}, "scores does not return 'doubt', which is in its table"),
    ({"answer": {"doubt": 1.0, "other": 2.0}}, "returns 'other', which is not in its table"),
    ({"answer": {"doubt": np.zeros(3)}}, r"'doubt' as float64 of shape \[3\]; give one number"),
    ({"answer": {"doubt": "high"}}, "'doubt' as a str; give one number"),
    ({"answer": lambda counts: counts["nothere"]}, r"scores fails \(KeyError at .*: 'nothere'"),
    ({"device": lambda x: {"sum": x.sum()}}, r"'sum' of shape \[\] for a batch of 1"),
    ({"device": lambda x: None}, "count_on_device returns None; give a dictionary"),
    ({"device": lambda x: x}, r"count_on_device returns float32 of shape \[1, 16, 16, 3\]"),
    ({"device": lambda x: x.nope}, r"count_on_device fails \(AttributeError"),
    ({"host": 3}, "count returns a int; give a dictionary"),
  ],
)
def test_an_evaluator_that_breaks_its_contract(methods, message):
  with pytest.raises(errors.UserError, match=message) as info:
    rehearsal.evaluator(Answers(**methods), "config.evals.val.type = 'x'", SPACE, RGB)
  assert str(info.value).startswith("config.evals.val.type = 'x'")
  assert "\n" not in str(info.value)


def test_our_evaluators_pass():
  for evaluator in (Segmentation(), Boundary(), Answers()):
    rehearsal.evaluator(evaluator, "here", SPACE, RGB)


class NoTrain(base.Network):
  """A network without the argument `train`."""

  def __call__(self, images):
    return jax.nn.one_hot(images[..., 0].astype(int), self.num_classes)


def test_a_network_that_breaks_its_contract():
  with pytest.raises(errors.UserError, match=r"NoTrain fails .TypeError.*: .*'train'") as info:
    rehearsal.network(NoTrain(3), None)
  assert str(info.value).startswith("config.model_name: ")
