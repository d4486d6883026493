"""The page of settings: names, defaults and comments, as flax_unet/base_config.py has them."""

import ast
import inspect
import io
import itertools
import tokenize
from collections.abc import Callable, Iterator
from typing import NamedTuple

from docs.generate import markdown
from flax_unet import base_config

_INTRODUCTION = """\
Every setting of a configuration, with its default and its comment in
[base_config.py](../../flax_unet/base_config.py). [Configurations](../configurations.md) explains
how to change them: `--config.input.batch_size=16` on the command line, or `config.input.batch_size
= 16` in a file."""

_ELSEWHERE = {"evaluation()": "[each evaluation](#each-evaluation)"}  # defaults with a section


class Setting(NamedTuple):
  """A setting: its dotted name, the source of its default, its comment, and its line."""

  name: str
  default: str
  comment: str
  line: int


def page() -> str:
  """Returns the page."""
  blocks = [_INTRODUCTION]
  for title, description, group in groups(base_config.get_config):
    blocks += [f"## {title}", markdown.text(description), _table("", group)]
  for title, prefix, function in (
    ("Each evaluation", "evals.<name>.", base_config.evaluation),
    ("Folders of images and masks", "input.data.", base_config.folder_data),
  ):
    first = f"`base_config.{function.__name__}`: {markdown.first_sentence(function)}."
    settings = [setting for *_, group in groups(function) for setting in group]
    blocks += [f"## {title}", first, _table(prefix, settings)]
  return markdown.join("Settings", *blocks)


def groups(function: Callable) -> Iterator[tuple[str, str, list[Setting]]]:
  """Yields title, description and settings of each paragraph of a function.

  A paragraph that begins with a comment has its title from it, up to a colon or a full stop.
  """
  source = inspect.getsource(function)
  comments = _comments(source)
  lines = source.split("\n")
  settings = list(_settings(source, comments, lines))
  starts = [number for number in range(1, len(lines)) if not lines[number - 1].strip()]
  for start, end in itertools.pairwise([*starts, len(lines) + 1]):
    inside = [setting for setting in settings if start < setting.line + 1 <= end]
    if not inside:
      continue
    heading = []
    for number in itertools.count(start + 1):
      if not lines[number - 1].strip().startswith("#"):
        break
      heading.append(comments[number])
    title, _, rest = " ".join(heading).partition(": ")
    yield title.rstrip("."), rest[:1].upper() + rest[1:], inside


def _comments(source: str) -> dict[int, str]:
  """Returns the comment on each line that has one."""
  tokens = tokenize.generate_tokens(io.StringIO(source).readline)
  return {
    token.start[0]: token.string.removeprefix("#").strip()
    for token in tokens
    if token.type == tokenize.COMMENT
  }


def _settings(source: str, comments: dict[int, str], lines: list[str]) -> Iterator[Setting]:
  function = ast.parse(source).body[0]
  given = dict(zip(reversed(function.args.args), reversed(function.args.defaults), strict=False))
  arguments = {argument.arg: given.get(argument) for argument in function.args.args}
  for node in function.body:
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Attribute):
      continue
    for name, value, line in _leaves(node.targets[0].attr, node.value, node.lineno):
      comment = comments.get(line) or _comment_above(line, comments, lines)
      if isinstance(value, ast.Name) and value.id in arguments:
        value = arguments[value.id]  # None: without a default
      default = _default(ast.get_source_segment(source, value)) if value else "has to be given"
      yield Setting(name, default, comment, line)


def _leaves(name: str, value: ast.expr, line: int) -> Iterator[tuple[str, ast.expr, int]]:
  """Yields name, default and line of each setting of a group, or of a single one."""
  is_arguments = name in ("optax", "lists", "folders")  # values of one setting
  if not isinstance(value, ast.Dict) or not value.keys or is_arguments:
    yield name, value, line
    return
  for key, inner in zip(value.keys, value.values, strict=True):
    yield from _leaves(f"{name}.{key.value}", inner, key.lineno)


def _comment_above(line: int, comments: dict[int, str], lines: list[str]) -> str:
  """Returns the comment that lines above share, unless they begin a paragraph."""
  above = line - 1
  while above not in comments and lines[above - 1].strip():
    above -= 1
  if above not in comments or not lines[above - 1].strip().startswith("#"):
    return ""
  found = []
  while lines[above - 1].strip().startswith("#"):
    found.insert(0, comments[above])
    above -= 1
  return " ".join(found) if lines[above - 1].strip() else ""


def _default(source: str) -> str:
  """Returns a default as users write it; placeholders are None."""
  if source.startswith("placeholder("):
    kind = source[len("placeholder(") : -1]
    return "`None`" if kind == "object" else f"`None` or {kind}"
  return _ELSEWHERE.get(source) or markdown.code(source)


def _table(prefix: str, settings: list[Setting]) -> str:
  rows = [
    (markdown.code(prefix + setting.name), setting.default, markdown.text(setting.comment))
    for setting in settings
  ]
  return markdown.table(("setting", "default", "meaning"), rows)
