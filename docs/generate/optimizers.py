"""The page of optimizers and schedules."""

import importlib.metadata

from docs.generate import markdown
from docs.generate.markdown import code
from flax_unet.training import optimizer, schedules

_INTRODUCTION = """\
`config.optax_name` is the name of an optimizer of [optax](https://optax.readthedocs.io/en/latest/api/optimizers.html), or
a dotted name such as `optax.contrib.muon`; `config.optax` holds its arguments but for the learning rate."""


def page() -> str:
  """Returns the page. It lists the optimizers of the installed optax, and says which one that is."""
  rows = [
    (code(name), markdown.text(markdown.first_sentence(function)))
    for name, function in sorted(optimizer.optimizers().items())
  ]
  blocks = [
    _INTRODUCTION,
    markdown.docstring(optimizer.make, ("Returns", "Raises")),
    f"## Optimizers of optax {version()}",
    markdown.table(("name", "what it is"), rows),
    "## Learning-rate factors",
    markdown.docstring(optimizer.Multipliers),
    "## Schedules",
    "`config.schedule.decay_type` is one of these, with arguments as in a call; `lr` and `steps` are given by the program, "
    "`end_lr`\nand `power` by `config.schedule`. A linear warm-up of `config.schedule.warmup_steps` comes first.",
  ]
  for name, decay in schedules.DECAYS.items():
    blocks += [f"### {name}", markdown.docstring(decay)]
  return markdown.join("Optimizers and schedules", *blocks)


def version() -> str:
  """Returns the version of the installed optax."""
  return importlib.metadata.version("optax")
