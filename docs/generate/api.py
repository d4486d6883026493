"""The page of the Python API: signatures and docstrings."""

import ast
import inspect
import textwrap
from typing import Any

import flax_unet
from docs.generate import markdown
from flax_unet import base_config
from flax_unet.data import datasets, label_space, ops
from flax_unet.data.image_format import ImageFormat
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.evaluators import base as evaluators
from flax_unet.evaluation.metrics.score import Score
from flax_unet.losses import base as losses
from flax_unet.models import base as models
from flax_unet.models import layers

# What own parts extend and get.
_INTERFACES = (
  models.Network,
  models.Geometry,
  losses.Loss,
  losses.MeanLoss,
  ops.Op,
  evaluators.Evaluator,
  evaluators.Picture,
  Score,
  datasets.Dataset,
  datasets.Source,
  LabelSpace,
  ImageFormat,
)
# What they are written with.
_HELPERS = (losses.classes_of, losses.pixel_weights, models.normalize, layers.ImageDropout)
_IGNORED = """\
The class index of a pixel that counts neither in the loss nor in any score; see [ignored
pixels](../metrics.md#ignored-pixels)."""
_FOR_CONFIGURATIONS = (
  base_config.get_config,
  base_config.set_network,
  base_config.set_images,
  base_config.folder_data,
  base_config.add_data,
  base_config.evaluation,
  base_config.test_evaluation,
)


def page() -> str:
  """Returns the page."""
  blocks = ["[From Python](../python.md) has examples, which run as they are."]
  blocks += ["## flax_unet"]
  for name in flax_unet.__all__:
    blocks += _described(getattr(flax_unet, name), "flax_unet")
  blocks += ["## For configurations: flax_unet.base_config"]
  for function in _FOR_CONFIGURATIONS:
    blocks += _described(function, "base_config")
  blocks += ["## For your own parts", "The classes to extend, and the objects that they receive."]
  for interface in _INTERFACES:
    blocks += _described(interface, interface.__module__)
  value = f"{label_space.__name__}.IGNORED = {label_space.IGNORED}"
  blocks += ["## Helpers for your own parts", "### IGNORED", markdown.block(value), _IGNORED]
  for helper in _HELPERS:
    blocks += _described(helper, helper.__module__)
  return markdown.join("Python API", *blocks)


def _described(thing: Any, module: str) -> list[str]:
  """Returns heading, signature and docstring of a function, or of a class and its methods."""
  blocks = [f"### {thing.__name__}"]
  if not inspect.isclass(thing):
    return [*blocks, markdown.block(f"{module}.{_signature(thing)}"), markdown.docstring(thing)]
  blocks += [markdown.block(f"class {module}.{thing.__name__}"), markdown.docstring(thing)]
  for name, member in vars(thing).items():
    function = getattr(member, "fget", member)  # of a property
    is_public = name in ("__call__", "__getitem__") or not name.startswith("_")
    if is_public and inspect.isfunction(function) and _says_something(function):
      signature = _signature(function) if function is member else name
      blocks += [f"#### `{thing.__name__}.{name}`", markdown.block(signature)]
      blocks.append(markdown.docstring(function))
  return blocks


def _says_something(function: Any) -> bool:
  return bool(function.__doc__) and not function.__doc__.startswith("See base class")


def _signature(function: Any) -> str:
  """Returns name, arguments and result of a function as its source has them."""
  node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
  given = node.args
  defaults = [None] * (len(given.args) - len(given.defaults)) + given.defaults
  arguments = [_argument(*pair) for pair in zip(given.args, defaults, strict=True)]
  arguments += [f"*{_argument(given.vararg)}"] if given.vararg else []
  arguments += ["*"] if given.kwonlyargs and not given.vararg else []
  arguments += [_argument(*pair) for pair in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
  arguments += [f"**{_argument(given.kwarg)}"] if given.kwarg else []
  shown = ", ".join(argument for argument in arguments if argument != "self")
  return f"{node.name}({shown})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def _argument(argument: ast.arg, default: ast.expr | None = None) -> str:
  if default is None:
    return ast.unparse(argument)
  return f"{ast.unparse(argument)} = {ast.unparse(default)}"
