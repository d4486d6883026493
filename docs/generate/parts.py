"""The pages of the parts that a configuration names: networks, losses, ops, scores and so on."""

import inspect
from typing import Any

import numpy as np

from docs.generate import markdown
from docs.generate.markdown import code, docstring
from flax_unet import plugins
from flax_unet.data import classes_file, op_spec
from flax_unet.data import label_spaces as spaces
from flax_unet.evaluation.evaluators import spec as evaluator_spec
from flax_unet.evaluation.metrics import audit, score, segmentation
from flax_unet.losses import class_weights
from flax_unet.losses import spec as loss_spec
from flax_unet.models import registry
from flax_unet.models.base import variable_shapes
from flax_unet.planning import rules
from flax_unet.weights import dialects

_OWN = "../python.md#your-own-network-loss-op-evaluator-and-data-set"
_NETWORKS = f"""\
`config.model_name` is one of these, and `config.model` holds its attributes; `model=NAME` after the
colon of a configuration sets both. [Networks](../networks.md) compares them, and says which weights
they take. A [custom network]({_OWN}) is one class."""
_LOSSES = f"""\
`config.loss` is one of these, with arguments as in a call, or a weighted sum, such as
`cross_entropy + 0.5 * dice`. A [custom loss]({_OWN}) is one class."""
_CLASS_WEIGHTS = """\
`config.class_weights` is one number for each class, or one of these rules, which compute weights
from the number of pixels of each class in the training labels. They apply to the losses that have
`class_weights`."""
_OPS = f"""\
`config.input.pp` and `config.evals.<name>.pp` are ops joined by a bar, applied from left to right:

```text
label_map|random_scale(0.5, 2.0)|random_crop(256, 256)|flip_lr
```

Arguments are given by position or by name. A [custom op]({_OWN}) is one class."""
_SCORES = f"""\
`config.evals.<name>.type` is one of these evaluators, and `config.best` names a score of an
evaluation, such as `val/mean_iou`. [Metrics](../metrics.md) explains the definitions. A
[custom evaluator]({_OWN}) is one class."""
_AUDIT = """\
Every report, and `flax-unet score`, lists what other programs compute under this name, from the
same predictions."""
_PLANNING = """\
`config.plan.rules` names the rules that choose the settings not given, from the data and the
machine. They apply in this order. [Own data](../own-data.md#what-a-run-chooses-by-itself) shows a
plan with its reasons, and [rules.py](../../flax_unet/planning/rules.py) says where each number is
from."""
_LABEL_SPACES = """\
`config.label_space` is one of the names below, `<N>_classes`, `<N>_classes_ignore_<I>`, or the path
of a [classes file](#classes-files). [Own data](../own-data.md#classes) has examples."""
_WEIGHTS = """\
The programs whose weights `config.init_from` and `flax-unet convert` read, and how their tensor
names map to ours. [Weights](../weights.md) explains their use."""
_ATTRIBUTES = ("attribute", "default", "meaning")


def networks() -> str:
  """The page of networks: docstrings, and the attributes that are not another network's."""
  classes = {
    name: plugins.resolve("network", name, registry.NETWORKS) for name in registry.NETWORKS
  }
  rows = {name: _attributes(name, network) for name, network in classes.items()}
  of_all = [row for row in rows["unet"] if all(row in others for others in rows.values())]
  blocks = [_NETWORKS, "## All networks", markdown.table(_ATTRIBUTES, of_all)]
  shown = set()
  for name, network in classes.items():
    module = inspect.getmodule(network)
    blocks += [f"## {name}", "" if module in shown else docstring(module)]
    blocks.append(docstring(network, ("Attributes",)))
    shown.add(module)
    ancestor = _registered_ancestor(network, classes)
    known = [*of_all, *rows.get(ancestor, ())]
    blocks.append(markdown.table(_ATTRIBUTES, [row for row in rows[name] if row not in known]))
    if ancestor:
      blocks.append(f"All others are as in [{ancestor}](#{ancestor}).")
    blocks.append(f"Paths of parameters, for `config.lr_mult`, begin with {_parameters(name)}.")
  return markdown.join("Network attributes", *blocks)


def _parameters(name: str) -> str:
  """Returns the layers at the top of a network's tree of parameters."""
  model = registry.build(name, registry.attributes(name), num_classes=2)
  layers = variable_shapes(model)["params"]
  return ", ".join(code(f"{layer}/") for layer in layers)


def _attributes(name: str, network: type) -> list[tuple[str, str, str]]:
  """Returns name, default and meaning of the attributes of a network."""
  meanings = markdown.described(network.__mro__)
  return [
    (code(key), code(repr(value)), markdown.text(meanings[key]))
    for key, value in registry.attributes(name).items()
  ]


def _registered_ancestor(network: type, classes: dict[str, type]) -> str:
  """Returns the name of the nearest base of a network that has one; empty if none has."""
  for base in network.__mro__[1:]:
    for name, other in classes.items():
      if other is base:
        return name
  return ""


def losses() -> str:
  """The page of losses and rules for class weights."""
  blocks = [_LOSSES]
  for name, spelled in loss_spec.SUMS.items():
    blocks.append(f"{code(name)} stands for {code(spelled)}.")
  for name in loss_spec.LOSSES:
    loss = plugins.resolve("loss", name, loss_spec.LOSSES)
    blocks += [
      f"## {name}",
      markdown.block(markdown.call(name, loss)),
      docstring(loss, attributes="Arguments"),
    ]
  blocks += ["## Class weights", _CLASS_WEIGHTS]
  for name, rule in class_weights.RULES.items():
    blocks += [f"### {name}", docstring(rule)]
  return markdown.join("Losses", *blocks)


def ops() -> str:
  """The page of preprocessing ops."""
  factories = op_spec.registry(spaces.CITYSCAPES_19)
  made = {name: getattr(factory, "func", factory) for name, factory in factories.items()}
  rows = [
    (f"[{name}](#{name})", markdown.text(markdown.first_sentence(op))) for name, op in made.items()
  ]
  blocks = [_OPS, markdown.table(("op", "what it does"), rows)]
  for name, op in made.items():
    blocks += [
      f"## {name}",
      markdown.block(markdown.call(name, factories[name])),
      docstring(op, attributes="Arguments"),
    ]
  return markdown.join("Preprocessing ops", *blocks)


def scores() -> str:
  """The page of evaluations, their scores, and the definitions of the audit."""
  blocks = [_SCORES]
  for name in evaluator_spec.EVALUATORS:
    evaluator = plugins.resolve("evaluator", name, evaluator_spec.EVALUATORS)
    blocks += [
      f"## {name}",
      markdown.block(markdown.call(name, evaluator)),
      docstring(evaluator, attributes="Arguments"),
    ]
    table = (*evaluator.table, score.LOSS)
    blocks += ["Scores of a split:", _score_table(table)]
    blocks += ["Scores of each class:", _score_table(evaluator.class_table)]
  blocks += ["## How scores are counted", docstring(segmentation)]
  blocks += ["## What else gets called mean IoU", _AUDIT]
  rows = [(line.name, markdown.text(line.definition)) for line in _audit()]
  blocks.append(markdown.table(("name in reports", "definition"), rows))
  return markdown.join("Evaluations and scores", *blocks)


def _audit() -> list[audit.Row]:
  """Returns the lines of an audit, here of an image of one pixel of each of two classes."""
  label = np.array([[0, 1]], np.uint8)
  extra = audit.extra_counts(label, label, num_classes=2)
  return audit.definitions(np.eye(2, dtype=np.int64)[None], extra) + audit.ceilings(extra)


def _score_table(table: Any) -> str:
  rows = [
    (
      code(line.name),
      line.title,
      markdown.text(line.definition),
      "higher" if line.higher_is_better else "lower",
    )
    for line in table
  ]
  return markdown.table(("name", "title", "definition", "better"), rows)


def planning() -> str:
  """The page of the rules that choose settings."""
  blocks = [_PLANNING]
  for name, rule in rules.RULES.items():
    chosen = ", ".join(map(code, rule.keys))
    blocks += [f"## {name}", f"Chooses {chosen}.", docstring(rule.choose)]
  return markdown.join("Planning rules", *blocks)


def label_spaces() -> str:
  """The page of label spaces."""
  blocks = [_LABEL_SPACES, docstring(spaces.get)]
  blocks += ["## Classes files", docstring(classes_file)]
  for name, space in spaces.LABEL_SPACES.items():
    rows = [
      (str(index), class_name, str(label_id), " ".join(map(str, color)))
      for index, (class_name, label_id, color) in enumerate(
        zip(space.class_names, space.index_to_id, space.colors, strict=True)
      )
    ]
    ignored = [str(key) for key, index in space.id_to_index.items() if index >= len(rows)]
    blocks += [f"## {name}", markdown.table(("class", "name", "mask value", "RGB"), rows)]
    blocks.append(f"Ignored mask values: {', '.join(ignored)}.")
  return markdown.join("Label spaces", *blocks)


def weights() -> str:
  """The page of weight formats."""
  blocks = [_WEIGHTS]
  for module in dialects.READ:
    name = module.__name__.rpartition(".")[2]
    can = "read and written" if module in dialects.WRITTEN else "read"
    blocks += [f"## {name}", docstring(module), f"Files are {can}."]
  return markdown.join("Weight formats", *blocks)
