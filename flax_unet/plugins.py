"""Resolves names in configurations: entries of a table or, with a dot, imports."""

import ast
import dataclasses
import importlib
import types
from collections.abc import Mapping
from typing import Any

from flax_unet import errors


def resolve(kind: str, name: str, table: Mapping[str, Any], base: type = object) -> Any:
  """Returns the object that a name stands for.

  Args:
    kind: what error messages call it, such as "loss in config.loss".
    name: a key of the table, or `package.module.Name`, which is imported.
    table: the known objects by name; a string is itself such a dotted name.
    base: if the module lacks the name, only subclasses of this are suggested.

  Raises:
    UserError: the name does not exist, or cannot be imported; the message says why.
  """
  if "." not in name:
    if name not in table:
      raise errors.unknown(kind, name, [*table, "<package.module.Name>"])
    found = table[name]
    return resolve(kind, found, {}, base) if isinstance(found, str) else found
  module_name, _, attribute = name.rpartition(".")
  try:
    module = importlib.import_module(module_name)
  except Exception as error:  # a module may raise anything while it is imported
    raise errors.UserError(
      f"{kind} '{name}': {module_name} cannot be imported ({errors.described(error)})"
    ) from error
  if not hasattr(module, attribute):
    own = _defined_in(module, base)
    advice = errors.advice(attribute, own) if own else "nothing of this kind is defined there"
    raise errors.UserError(
      f"{kind} '{name}': {module.__file__ or module_name} has no '{attribute}': {advice}"
    )
  return getattr(module, attribute)


def _defined_in(module: types.ModuleType, base: type) -> list[str]:
  """The public names of what a module or its submodules define: subclasses of `base`.

  All classes and functions if `base` is `object`.
  """
  names = []
  for name, value in vars(module).items():
    fits = issubclass(value, base) if isinstance(value, type) else base is object
    where = getattr(value, "__module__", None) or ""
    is_own = where == module.__name__ or where.startswith(f"{module.__name__}.")
    if fits and is_own and callable(value) and not name.startswith("_"):
      names.append(name)
  return names


def parse_call(kind: str, text: str) -> tuple[str, dict[str, Any]]:
  """Splits `name` or `name(argument=value, ..)` into name and arguments.

  Raises:
    UserError: it is neither.
  """
  try:
    return call_of(ast.parse(text.strip(), mode="eval").body)
  except (SyntaxError, ValueError) as error:
    raise errors.UserError(
      f"{kind} = '{text}': give a name, or a name with arguments, such as name(argument=1.0)"
    ) from error


def call_of(node: ast.expr) -> tuple[str, dict[str, Any]]:
  """Returns name and arguments of an expression; see `parse_call`.

  Raises:
    ValueError: it is a different kind of expression.
  """
  if not isinstance(node, ast.Call):
    return dotted(node), {}
  if node.args:
    raise ValueError("arguments without a name")
  return dotted(node.func), {
    str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords
  }


def dotted(node: ast.expr) -> str:
  """Returns the name, possibly dotted, that an expression consists of.

  Raises:
    ValueError: it is a different kind of expression.
  """
  if isinstance(node, ast.Attribute):
    return f"{dotted(node.value)}.{node.attr}"
  if isinstance(node, ast.Name):
    return node.id
  raise ValueError("no name")


def build_dataclass(
  kind: str,
  where: str,
  name: str,
  arguments: Mapping[str, Any],
  table: Mapping[str, Any],
  base: type,
  **defaults: Any,
) -> Any:
  """Builds the frozen dataclass that a name stands for, such as a loss.

  Args:
    kind: what error messages call it: "loss".
    where: the configuration key: "config.loss".
    name: see `resolve`.
    arguments: values of its fields.
    table: see `resolve`.
    base: the class that it must extend.
    **defaults: used for fields that it has and `arguments` lacks.

  Raises:
    UserError: there is no such class, or it does not take the arguments.
  """
  found = resolve(f"{kind} in {where}", name, table, base)
  if not (isinstance(found, type) and issubclass(found, base) and dataclasses.is_dataclass(found)):
    article = "an" if kind[0] in "aeiou" else "a"
    raise errors.UserError(
      f"{where}: '{name}' is not {article} {kind}, a frozen dataclass that extends "
      f"{base.__module__}.{base.__name__}"
    )
  known = [field.name for field in dataclasses.fields(found)]
  for key in arguments:
    if key not in known:
      raise errors.unknown(f"argument of '{name}' in {where}", key, known)
  defaults = {key: value for key, value in defaults.items() if key in known}
  return build(f"{where}: {name}", found, {**defaults, **arguments})


def build(kind: str, function: Any, arguments: Mapping[str, Any]) -> Any:
  """Calls what a name stands for with arguments from the configuration.

  Raises:
    UserError: it does not take them; the message says which.
  """
  try:
    return function(**arguments)
  except (TypeError, ValueError) as error:
    raise errors.UserError(f"{kind}{errors.place(error)}: {error}") from error
