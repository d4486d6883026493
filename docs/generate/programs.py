"""The page of command-line programs: docstrings and flags of `flax_unet.tools`."""

import ast
import pathlib
from typing import Any

from docs.generate import markdown
from docs.generate.markdown import code
from flax_unet import cli

_TOOLS = pathlib.Path(cli.__file__).parent / "tools"
_INTRODUCTION = """\
Each program is started as `flax-unet COMMAND`, or as `python -m flax_unet.tools.NAME`; `python
main.py` is `flax-unet train`. `--help` lists the flags. Exit codes: 0 for success, 1 for an
error, 130 and 143 when stopped by Ctrl-C and SIGTERM."""
_CONFIG = (
  "`--config`",
  "",
  "The configuration, `FILE[:ARGUMENTS]`; `--config.KEY=VALUE` changes a setting.",
)


def page() -> str:
  """Returns the page; commands that share a program share a section."""
  commands: dict[str, list[tuple[str, str]]] = {}
  for command, (module, _, what) in cli.COMMANDS.items():
    commands.setdefault(module, []).append((command, what))
  blocks = [_INTRODUCTION]
  for module, named in commands.items():
    source = (_TOOLS / f"{module}.py").read_text()
    tree = ast.parse(source)
    rows = [(code(f"flax-unet {command}"), what) for command, what in named]
    blocks += [f"## {module}", markdown.table(("command", "what it does"), rows)]
    blocks += [markdown.docstring(ast.get_docstring(tree)), _flags(tree, source)]
  return markdown.join("Command-line programs", *blocks)


def _flags(tree: ast.Module, source: str) -> str:
  rows = [_CONFIG] if "config_flag.define()" in source else []
  rows += _defined(tree)
  if "adopt_module_key_flags(prediction_flags)" in source:
    rows += _defined(ast.parse((_TOOLS / "prediction_flags.py").read_text()))
  return markdown.table(("flag", "default", "meaning"), rows)


def _defined(tree: ast.Module) -> list[tuple[str, str, str]]:
  """Returns flag, default and meaning of each flag that a module defines."""
  rows = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "").startswith("DEFINE_"):
      kind = node.func.attr.removeprefix("DEFINE_")
      name, default, *rest = [ast.literal_eval(argument) for argument in node.args]
      choices = rest.pop(0) if kind == "enum" else ()
      what = rest[0] + (f" One of {', '.join(choices)}." if choices else "")
      rows.append((code(f"--{name}"), _default(default), markdown.text(what)))
  return rows


def _default(value: Any) -> str:
  if value is None or value == "":
    return ""
  return code(",".join(value) if isinstance(value, list) else str(value))
