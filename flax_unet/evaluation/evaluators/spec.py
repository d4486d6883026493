"""Parses `config.evals.<name>.type`: an evaluator, optionally with arguments.

segmentation
boundary(width=0.01)
my_package.my_module.MyEvaluator(threshold=0.5)
"""

from flax_unet import errors, plugins
from flax_unet.evaluation.evaluators.base import Evaluator

EVALUATORS = {
  "segmentation": "flax_unet.evaluation.evaluators.segmentation.Segmentation",
  "boundary": "flax_unet.evaluation.evaluators.boundary.Boundary",
}


def parse(where: str, spec: str) -> Evaluator:
  """Builds an evaluator.

  Args:
    where: the key in the configuration.
    spec: its value.

  Raises:
    UserError: the spec is malformed, or the evaluator or an argument is unknown.
  """
  call = plugins.parse_call(where, spec)
  built = plugins.build_dataclass("evaluator", where, *call, EVALUATORS, Evaluator)
  if not built.table:
    raise errors.UserError(f"{where}: '{call[0]}' has an empty table of scores")
  return built
