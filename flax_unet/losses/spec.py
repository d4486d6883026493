"""Parses `config.loss`: a loss with its arguments, or a weighted sum of several.

cross_entropy
focal(gamma=1.5)
cross_entropy(label_smoothing=0.1) + 0.5 * dice
my_package.my_module.MyLoss(threshold=0.7)
"""

import ast
from typing import Any

from flax_unet import errors, plugins
from flax_unet.losses.base import Loss, WeightedSum

LOSSES = {
  "cross_entropy": "flax_unet.losses.pixelwise.CrossEntropy",
  "ohem": "flax_unet.losses.ohem.OHEM",
  "focal": "flax_unet.losses.pixelwise.Focal",
  "dice": "flax_unet.losses.overlap.Dice",
  "tversky": "flax_unet.losses.overlap.Tversky",
  "lovasz": "flax_unet.losses.lovasz.Lovasz",
}
SUMS = {"cross_entropy_dice": "cross_entropy + dice"}  # as nnU-Net trains (Isensee et al. 2021)


def parse(spec: str, class_weights: tuple[float, ...] | None = None) -> Loss:
  """Builds a loss.

  Args:
    spec: see the module's docstring.
    class_weights: for losses that have this argument but are not given it in the spec.

  Raises:
    UserError: the spec is malformed, or a loss or an argument is unknown.
  """
  spec = SUMS.get(spec.strip(), spec)
  try:
    terms = _terms(ast.parse(spec, mode="eval").body)
  except (SyntaxError, ValueError) as error:
    raise errors.UserError(
      f"config.loss = '{spec}': give a loss or a sum of several, such as 'cross_entropy' or "
      "'focal(gamma=2.0) + 0.5 * dice'"
    ) from error
  weights = {"class_weights": class_weights} if class_weights else {}
  built = tuple(
    (factor, plugins.build_dataclass("loss", "config.loss", *call, LOSSES, Loss, **weights))
    for factor, call in terms
  )
  return built[0][1] if len(built) == 1 and built[0][0] == 1 else WeightedSum(built)


def _terms(node: ast.expr) -> list[tuple[float, tuple[str, dict[str, Any]]]]:
  """Returns factor, name and arguments of each term."""
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
    return _terms(node.left) + _terms(node.right)
  factor = 1.0
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
    factor, node = float(ast.literal_eval(node.left)), node.right
  return [(factor, plugins.call_of(node))]
