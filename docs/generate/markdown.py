"""Turns docstrings and tables into Markdown."""

import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_SECTIONS = {"Args": "Arguments", "Attributes": "", "Returns": "Returns", "Raises": "Raises"}
_FROM_PROGRAM = ("image_format", "label_space", "lr", "steps", "end_lr", "power")
_CODE = re.compile(r"(`[^`]*`)")
_URL = re.compile(r"https?://[^\s<>()]+[^\s<>().,:;]")
_PAGE = re.compile(r"\bdocs/((?:\w+/)?([\w-]+))\.md\b")  # as docstrings name pages of the manual


def join(title: str, *blocks: str) -> str:
  """Returns a page of blocks, which says first that it is generated."""
  note = "<!-- Made from the code by `python -m docs.generate`: change the code instead. -->"
  return "\n\n".join([note, f"# {title}", *(block for block in blocks if block)]) + "\n"


def text(plain: str) -> str:
  """Escapes what Markdown would read as markup, outside of code; makes links of addresses."""
  parts = _CODE.split(plain)
  parts[::2] = map(_outside_of_code, parts[::2])
  return "".join(parts)


def _outside_of_code(plain: str) -> str:
  escaped = re.sub(r"([<*\[])", r"\\\1", plain)
  linked = _URL.sub(lambda url: f"<{url[0]}>", escaped)
  return _PAGE.sub(lambda page: f"[{page[2].replace('_', ' ')}](../{page[1]}.md)", linked)


def code(source: str) -> str:
  """Returns code for a line of text."""
  return f"`{source}`"


def block(source: str, language: str = "python") -> str:
  """Returns code as a block."""
  return f"```{language}\n{source}\n```"


def call(name: str, function: Any) -> str:
  """Returns the call of a part as a configuration has it, with the defaults of its arguments."""
  arguments = [
    key if parameter.default is parameter.empty else f"{key}={parameter.default!r}"
    for key, parameter in inspect.signature(function).parameters.items()
    if key not in _FROM_PROGRAM
  ]
  return f"{name}({', '.join(arguments)})" if arguments else name


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a table; empty without rows."""
  lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
  if not lines:
    return ""
  return "\n".join(
    "| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *lines]
  )


def docstring(thing: Any, leave_out: Sequence[str] = (), attributes: str = "Attributes") -> str:
  """Returns the docstring of an object as Markdown.

  Args:
    thing: an object with a docstring in Google's style, or its text.
    leave_out: titles of sections that do not belong on the page.
    attributes: what the page calls the section of attributes.
  """
  raw = thing if isinstance(thing, str) else thing.__doc__
  blocks = []
  for title, lines in _sections(inspect.cleandoc(raw)):
    if title in leave_out:
      continue
    if not title:
      blocks.append(_body(lines))
    elif title == "Returns":
      blocks.append(f"**Returns**\n\n{_body(_dedented(lines))}")
    else:
      items = "\n".join(f"- {code(name)}: {text(what)}" for name, what in _items(lines))
      shown = attributes if title == "Attributes" else _SECTIONS[title]
      blocks.append(f"**{shown}**\n\n{items}")
  return "\n\n".join(blocks)


def first_sentence(thing: Any) -> str:
  """Returns the first sentence of a docstring, without its full stop."""
  paragraph = inspect.cleandoc(thing.__doc__).split("\n\n")[0].replace("\n", " ")
  return re.split(r"(?<!et al)\.(?: |$)", paragraph)[0]


def described(classes: Iterable[type], section: str = "Attributes") -> dict[str, str]:
  """Returns what the docstrings of classes say of each attribute; the first that does counts."""
  found: dict[str, str] = {}
  for cls in classes:
    for title, lines in _sections(inspect.cleandoc(cls.__doc__ or "")):
      if title == section:
        found = {**dict(_items(lines)), **found}
  return found


def _sections(doc: str) -> Iterator[tuple[str, list[str]]]:
  """Splits a docstring into its body, with an empty title, and its sections."""
  title, lines = "", []
  for line in doc.split("\n"):
    if line.rstrip(":") in _SECTIONS and line.endswith(":"):
      yield title, lines
      title, lines = line[:-1], []
    elif title and line and not line.startswith(" "):  # text behind a section
      yield title, lines
      title, lines = "", [line]
    else:
      lines.append(line)
  yield title, lines


def _body(lines: Sequence[str]) -> str:
  """Escapes paragraphs, but not the lines that are indented as code."""
  groups = itertools.groupby(lines, key=lambda line: line.startswith("    "))
  parts = ("\n".join(group) if is_code else text("\n".join(group)) for is_code, group in groups)
  return "\n".join(parts).strip("\n")


def _items(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
  """Yields the entries `name: text` of a section."""
  entries: list[str] = []
  for line in _dedented(lines):
    if line.startswith(" "):
      entries[-1] += f" {line.strip()}"
    elif line:
      entries.append(line)
  for entry in entries:
    name, _, what = entry.partition(": ")
    yield name, what


def _dedented(lines: Sequence[str]) -> list[str]:
  return inspect.cleandoc("\n".join(["", *lines])).split("\n")
