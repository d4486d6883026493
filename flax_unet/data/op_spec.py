"""Parses preprocessing strings such as `"label_map|random_crop(512, 1024)|flip_lr"`.

Grammar: ops separated by `|`; an op is a name, optionally with numbers in parentheses, positional
or by keyword, as in a Python call. `registry` has the names; the arguments are the ops' attributes.
A name with a dot, `my_package.my_module.MyOp`, is imported.
"""

import ast
import dataclasses
import functools
import inspect
from collections.abc import Callable

import numpy as np

from flax_unet import errors, plugins
from flax_unet.data import affine, crops, degrade, images, ops, scale_crop
from flax_unet.data.border_weights import BorderWeights
from flax_unet.data.elastic import Elastic
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.intensity import Intensity
from flax_unet.data.label_spaces import LabelSpace
from flax_unet.data.ops import Example, Op, check_example
from flax_unet.data.padding import PadToMultiple
from flax_unet.data.photometric import Photometric
from flax_unet.errors import UserError


def registry(label_space: LabelSpace) -> dict[str, Callable[..., Op]]:
  """Returns the factory of each op by its name in configurations."""
  return {
    "label_map": functools.partial(ops.LabelMap, label_space),
    "border_weights": BorderWeights,
    "resize": ops.Resize,
    "resize_image": ops.ResizeImage,
    "random_scale": ops.RandomScale,
    "random_crop": crops.RandomCrop,
    "balanced_crop": crops.BalancedCrop,
    "flip_lr": ops.FlipLR,
    "photometric": Photometric,
    "intensity": Intensity,
    "rotate": affine.Rotate,
    "affine": affine.Affine,
    "elastic": Elastic,
    "cutout": degrade.Cutout,
    "blur": degrade.Blur,
    "jpeg": degrade.Jpeg,
    "pad_to_multiple": PadToMultiple,
  }


@dataclasses.dataclass(frozen=True)
class Chain(Op):
  """Checks an example, then applies ops in order; decodes the image when an op needs it."""

  ops: tuple[Op, ...]

  def __call__(self, example: Example, rng: np.random.Generator) -> Example:
    """See base class.

    Raises:
      UserError: the example is malformed, see `check_example`, or an op refuses it or fails.
    """
    check_example(example, self.image_format)
    for op in self.ops:
      if op.needs_array:
        example = _decoded(example)
      with errors.in_own_code(f"example '{example['id']}': preprocessing op {type(op).__name__}"):
        example = op(example, rng)
    return _decoded(example)

  @property
  def focused_share(self) -> float:
    """See base class."""
    return max(op.focused_share for op in self.ops)

  def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """See base class."""
    for op in self.ops:
      size = op.output_size(size)
    return size


def _decoded(example: Example) -> Example:
  return {**example, "image": images.decoded(example["image"])}


def parse(spec: str, label_space: LabelSpace, image_format: ImageFormat = RGB) -> Chain:
  """Turns a preprocessing string into one op.

  Args:
    spec: for example `"label_map|random_crop(512, 1024, cat_max_ratio=0.75)|flip_lr"`.
    label_space: what `label_map` maps to.
    image_format: that of the images.

  Returns:
    A picklable callable `(example, rng) -> example` that applies the ops from left to right.

  Raises:
    UserError: the string is malformed, names an unknown op, or gives an op wrong arguments. The
      message is one line with the op and the arguments that it takes.
  """
  factories = registry(label_space)
  parsed = [_parse_op(text.strip(), spec, factories, image_format) for text in spec.split("|")]
  return Chain(scale_crop.fuse(parsed), image_format=image_format)


def _parse_op(
  text: str, spec: str, factories: dict[str, Callable[..., Op]], image_format: ImageFormat
) -> Op:
  if not text:
    raise UserError(f"preprocessing '{spec}' has an empty op; ops are separated by one '|'")
  name, args, kwargs = _parse_call(text)
  factory = plugins.resolve("preprocessing op", name, factories, Op)
  if "." in name and not (isinstance(factory, type) and issubclass(factory, Op)):
    raise UserError(
      f"'{name}' is not a preprocessing op (a frozen dataclass that extends flax_unet.data.ops.Op)"
    )
  signature = inspect.signature(factory)
  parameters = [p for name, p in signature.parameters.items() if name != "image_format"]
  signature = signature.replace(parameters=parameters)
  try:
    bound = signature.bind(*args, **kwargs)
    for key, value in bound.arguments.items():
      _check_type(key, value, signature.parameters[key].annotation)
    return factory(*args, **kwargs, image_format=image_format)
  except (TypeError, ValueError) as error:
    takes = ", ".join(str(parameter) for parameter in signature.parameters.values())
    raise UserError(f"bad arguments in '{text}': {error}; use {name}({takes})") from error


def _parse_call(text: str) -> tuple[str, list, dict]:
  """Splits `name(1, key=2)` into name, positional and keyword arguments."""
  try:
    node = ast.parse(text, mode="eval").body
    if not isinstance(node, ast.Call):
      return plugins.dotted(node), [], {}
    args = [ast.literal_eval(argument) for argument in node.args]
    kwargs = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    if None in kwargs or len(kwargs) < len(node.keywords):
      raise ValueError("a keyword is starred or repeated")
    return plugins.dotted(node.func), args, kwargs
  except (SyntaxError, ValueError, TypeError) as error:
    raise UserError(
      f"cannot parse op '{text}': write a name, or a name with numbers: random_crop(512, 1024)"
    ) from error


def _check_type(key: str, value: object, expected: type) -> None:
  allowed = (int, float) if expected is float else (expected,)
  if isinstance(value, bool) or not isinstance(value, allowed):
    raise TypeError(f"{key} must be of type {expected.__name__}, not {value!r}")
