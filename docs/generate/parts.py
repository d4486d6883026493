"""The pages of the parts that a configuration names: networks, losses, ops, scores and so on."""

import inspect
from typing import Any

from docs.generate import markdown
from docs.generate.markdown import code, docstring
from flax_unet import plugins
from flax_unet.data import label_spaces as spaces
from flax_unet.data import op_spec
from flax_unet.evaluation.evaluators import spec as evaluator_spec
from flax_unet.evaluation.metrics import audit, score, segmentation
from flax_unet.losses import class_weights
from flax_unet.losses import spec as loss_spec
from flax_unet.models import registry
from flax_unet.planning import rules
from flax_unet.weights import dialects

_OWN = "[Your own](../python.md#your-own-network-loss-op-evaluator-and-data-set)"


def networks() -> str:
  """The page of networks: docstrings, and the attributes with their defaults."""
  blocks = [
    "`config.model_name` is one of these, and `config.model` holds its attributes; `model=NAME` after the colon of a "
    "configuration\nsets both. [Networks](../networks.md) compares them, and says which weights they take. "
    f"{_OWN} network needs one class."
  ]
  shown = set()
  for name in registry.NETWORKS:
    network = plugins.resolve("network", name, registry.NETWORKS)
    module = inspect.getmodule(network)
    meanings = markdown.described(network.__mro__)
    rows = [
      (code(key), code(repr(value)), markdown.text(meanings[key]))
      for key, value in registry.attributes(name).items()
    ]
    blocks += [f"## {name}", "" if module in shown else docstring(module)]
    blocks += [docstring(network, ("Attributes",)), markdown.table(_ATTRIBUTES, rows)]
    shown.add(module)
  return markdown.join("Networks", *blocks)


_ATTRIBUTES = ("attribute", "default", "meaning")


def losses() -> str:
  """The page of losses and rules for class weights."""
  blocks = [
    "`config.loss` is one of these, with arguments as in a call, or a weighted sum: `cross_entropy + 0.5 * dice`. "
    f"{_OWN} loss\nneeds one class."
  ]
  for name, spelled in loss_spec.SUMS.items():
    blocks.append(f"{code(name)} stands for {code(spelled)}.")
  for name in loss_spec.LOSSES:
    loss = plugins.resolve("loss", name, loss_spec.LOSSES)
    blocks += [f"## {name}", markdown.block(_call(name, loss)), docstring(loss)]
  blocks += [
    "## Class weights",
    "`config.class_weights` is one number for each class, or one of these rules, which take the pixels of each class in "
    "the\ntraining labels. They apply to the losses that have `class_weights`.",
  ]
  for name, rule in class_weights.RULES.items():
    blocks += [f"### {name}", docstring(rule)]
  return markdown.join("Losses", *blocks)


def ops() -> str:
  """The page of preprocessing ops."""
  blocks = [
    "`config.input.pp` and `config.evals.<name>.pp` are ops joined by a bar, applied from left to right:",
    markdown.block("label_map|random_scale(0.5, 2.0)|random_crop(256, 256)|flip_lr", "text"),
    f"Arguments are given by position or by name. {_OWN} op needs one class.",
  ]
  for name, factory in op_spec.registry(spaces.CITYSCAPES_19).items():
    op = getattr(factory, "func", factory)
    blocks += [f"## {name}", markdown.block(_call(name, factory)), docstring(op)]
  return markdown.join("Preprocessing ops", *blocks)


def _call(name: str, factory: Any) -> str:
  """Returns the call of a part with its arguments and defaults."""
  parameters = [
    parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for key, parameter in inspect.signature(factory).parameters.items()
    if key not in ("image_format", "label_space")
  ]
  signature = inspect.Signature(parameters)
  return f"{name}{signature}" if parameters else name


def scores() -> str:
  """The page of evaluations, their scores, and the definitions of the audit."""
  blocks = [
    "`config.evals.<name>.type` is one of these evaluators, and `config.best` names a score of an evaluation, such as "
    f"`val/mean_iou`.\n[Metrics](../metrics.md) explains the definitions. {_OWN} evaluator needs one class."
  ]
  for name in evaluator_spec.EVALUATORS:
    evaluator = plugins.resolve("evaluator", name, evaluator_spec.EVALUATORS)
    blocks += [f"## {name}", markdown.block(_call(name, evaluator)), docstring(evaluator)]
    table = (*evaluator.table, score.LOSS)
    blocks += ["Scores of a split:", _score_table(table)]
    blocks += ["Scores of each class:", _score_table(evaluator.class_table)]
  blocks += ["## How scores are counted", docstring(segmentation)]
  blocks += ["## What else gets called mean IoU", docstring(audit)]
  return markdown.join("Evaluations and scores", *blocks)


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
  blocks = [
    "`config.plan.rules` names the rules that choose what is left open, from the data and the machine; they apply in "
    "this order.\n[Own data](../own-data.md#what-a-run-chooses-by-itself) shows a plan with its reasons, and "
    "[rules.py](../../flax_unet/planning/rules.py)\nwhere each number is from."
  ]
  for name, rule in rules.RULES.items():
    chosen = ", ".join(map(code, rule.keys))
    blocks += [f"## {name}", f"Chooses {chosen}.", docstring(rule.choose)]
  return markdown.join("Planning rules", *blocks)


def label_spaces() -> str:
  """The page of label spaces."""
  blocks = [
    "`config.label_space` is one of these names, `<N>_classes`, `<N>_classes_ignore_<I>`, or the path of a classes "
    "file,\n`FILE.csv`, see [own data](../own-data.md#classes).",
    docstring(spaces.get),
  ]
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
  """The page of the dialects of weights."""
  blocks = [
    "The programs whose weights `config.init_from` and `flax-unet convert` read, and how names there become names here."
    "\n[Weights](../weights.md) explains their use."
  ]
  for module in dialects.READ:
    name = module.__name__.rpartition(".")[2]
    can = "read and written" if module in dialects.WRITTEN else "read"
    blocks += [f"## {name}", docstring(module), f"Files are {can}."]
  return markdown.join("Dialects of weights", *blocks)
