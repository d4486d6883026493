"""Parses `config.evals.<name>.type`: an evaluator, perhaps with arguments.

segmentation
boundary(width=0.01)
my_package.my_module.MyEvaluator(threshold=0.5)
"""

import dataclasses

from flax_unet import errors, plugins
from flax_unet.evaluation.evaluators.base import Evaluator

EVALUATORS = {
  "segmentation": "flax_unet.evaluation.evaluators.segmentation.Segmentation",
  "boundary": "flax_unet.evaluation.evaluators.boundary.Boundary",
}


def parse(where: str, spec: str) -> Evaluator:
  """Builds an evaluator.

  Args:
    where: the key of the configuration.
    spec: its value.

  Raises:
    UserError: it is malformed, or the evaluator or an argument unknown.
  """
  name, arguments = plugins.parse_call(where, spec)
  evaluator = plugins.resolve(f"evaluator in {where}", name, EVALUATORS)
  if not (
    isinstance(evaluator, type)
    and issubclass(evaluator, Evaluator)
    and dataclasses.is_dataclass(evaluator)
  ):
    raise errors.UserError(
      f"{where}: '{name}' is not an evaluator, a frozen dataclass that extends "
      "flax_unet.evaluation.evaluators.base.Evaluator"
    )
  known = [field.name for field in dataclasses.fields(evaluator)]
  for key in arguments:
    if key not in known:
      raise errors.unknown(f"argument of '{name}' in {where}", key, known)
  built = plugins.build(f"{where}: {name}", evaluator, arguments)
  if not built.table:
    raise errors.UserError(f"{where}: '{name}' has an empty table of scores")
  return built
