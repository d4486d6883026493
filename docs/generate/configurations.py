"""The page of the configurations that ship with the program, and of published recipes."""

import importlib
import pathlib

from docs.generate import markdown
from flax_unet import recipes

_CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
_INTRODUCTION = """\
`--config=configs/NAME.py:ARGUMENTS` names one of these files.
[Configurations](../configurations.md) explains how to change their settings and how to write your
own."""


def page() -> str:
  """Returns the page: the docstring of each configuration, with its arguments."""
  blocks = [_INTRODUCTION]
  for path in sorted(_CONFIGS.glob("[a-z]*.py")):
    module = importlib.import_module(f"flax_unet.configs.{path.stem}")
    blocks += [f"## {path.stem}", markdown.docstring(module)]
  blocks += ["## Published recipes", markdown.docstring(recipes)]
  for name, recipe in recipes.ALL.items():
    blocks += [f"### {name}", markdown.docstring(recipe)]
  return markdown.join("Configuration files", *blocks)
