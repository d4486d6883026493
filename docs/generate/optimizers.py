"""The page of optimizers and schedules."""

import importlib.metadata

from docs.generate import markdown
from docs.generate.markdown import code
from flax_unet.training import optimizer, schedules

_INTRODUCTION = """\
`config.optax_name` is the name of an optimizer of
[optax](https://optax.readthedocs.io/en/latest/api/optimizers.html), which documents their
arguments, or a dotted name such as `optax.contrib.muon`. `config.optax` holds the arguments
except for the learning rate, which follows the schedule, and the weight decay, `config.wd`. Weight
decay is decoupled if the optimizer has its own, as in `adamw`; otherwise it is added to the
gradient, as in PyTorch's SGD. `config.grad_clip_norm` clips the global norm of the gradient
first."""
_SCHEDULES = """\
`config.schedule.decay_type` is one of these, with arguments as in a call. The program gives `lr`
and `steps`; `end_lr` and `power` are in `config.schedule`. A linear warm-up of
`config.schedule.warmup_steps` comes first."""


def page() -> str:
  """Returns the page, which says which version of optax it lists the optimizers of."""
  rows = [
    (code(name), markdown.text(markdown.first_sentence(function)))
    for name, function in sorted(optimizer.optimizers().items())
  ]
  blocks = [
    _INTRODUCTION,
    f"## Optimizers of optax {version()}",
    markdown.table(("name", "what it is"), rows),
    "## Learning-rate factors",
    markdown.docstring(optimizer.Multipliers),
    "## Schedules",
    _SCHEDULES,
  ]
  for name, decay in schedules.DECAYS.items():
    call = markdown.block(markdown.call(name, decay))
    blocks += [f"### {name}", call, markdown.docstring(decay)]
  return markdown.join("Optimizers and schedules", *blocks)


def version() -> str:
  """Returns the version of the installed optax."""
  return importlib.metadata.version("optax")
