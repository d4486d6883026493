"""The flag `--config`, and `--config.KEY=VALUE` to override settings of the file."""

import ast
import itertools
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_dict, config_flags

from flax_unet import base_config, errors, files
from flax_unet.planning import rules

CONFIG = "config.json"  # in a run folder


class _OrNone(flags.ArgumentParser):
  """Parses "None" as None, and anything else with another parser."""

  def __init__(self, parser: flags.ArgumentParser):
    super().__init__()
    self._parser = parser

  def parse(self, argument: Any) -> Any:
    return None if argument == "None" else self._parser.parse(argument)

  def flag_type(self) -> str:
    return f"{self._parser.flag_type()} or None"


class _Literal(flags.ArgumentParser):
  """Parses a value of unknown type as a Python literal, or else as a string."""

  def parse(self, argument: Any) -> Any:
    try:
      return ast.literal_eval(argument)
    except (SyntaxError, ValueError):
      return argument

  def flag_type(self) -> str:
    return "value"


def from_json(content: Any) -> Any:
  """Restores a configuration from JSON; sequences become tuples again."""
  if isinstance(content, dict):
    return ml_collections.ConfigDict({key: from_json(value) for key, value in content.items()})
  return tuple(map(from_json, content)) if isinstance(content, list) else content


def complete(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Adds settings that a run's configuration lacks because an earlier version wrote it."""
  defaults = base_config.get_config()
  groups = [(config, defaults)]
  for name in ("input", "images", "plan"):
    groups.append((config.get(name, defaults[name]), defaults[name]))
  groups += [(group, base_config.evaluation()) for group in config.get("evals", {}).values()]
  given = config.get("input", {})
  for data in (given.get("data", {}), *given.get("extra_data", {}).values()):
    if data.get("name") == "folder":
      groups.append((data, base_config.folder_data("", "")))
  for group, defaults in groups:
    for key in defaults:
      if key not in group:
        group[key] = defaults[key]
  return config


def of_run(arguments: list[str]) -> list[str]:
  """Adds the run's configuration to a command line that only names the run folder.

  Args:
    arguments: the command line of a program with the flags `config`, `mode` and `workdir`.

  Returns:
    The same arguments; to evaluate or predict, with `--config=<workdir>/config.json` in front, so
    that settings can follow it.
  """
  given = {}
  for argument, following in itertools.pairwise([*arguments[1:], ""]):
    name, is_pair, value = argument.partition("=")
    given[name.lstrip("-")] = value if is_pair else following
  if given.get("mode") not in ("evaluate", "predict") or "config" in given:
    return arguments
  if not given.get("workdir"):
    return arguments
  return [*arguments[:1], f"--config={given['workdir']}/{CONFIG}", *arguments[1:]]


class _FromAnyFolder(config_flags.config_flags.ConfigFileFlagParser):
  """Loads a configuration, wherever the program is started.

  `configs/NAME.py` is the file that ships with the program, unless the current folder has its own.
  A configuration can import others from its package. The `config.json` of a run is a configuration,
  too.
  """

  def parse(self, path: str) -> Any:
    if path.endswith(".json"):
      file = pathlib.Path(path).expanduser()
      if not file.exists():
        raise errors.UserError(
          f"{file.parent} holds no run: train first, or name another --workdir"
        )
      config = complete(from_json(files.read_json(file)))
      add_evaluations(config, sys.argv)
      config.lock()
      return config
    name, colon, arguments = path.partition(":")
    file = pathlib.Path(name).expanduser()
    ours = pathlib.Path(__file__).parent / file
    if file.parts[:1] == ("configs",) and not file.exists() and ours.exists():
      file = ours
    root = file.absolute().parent
    while (root / "__init__.py").exists():
      root = root.parent
    sys.path.insert(0, str(root))
    if not file.exists():
      raise errors.UserError(f"--config={path}: there is no file {file}")
    config = super().parse(f"{file}{colon}{arguments}")
    add_evaluations(config, sys.argv)
    return config


def add_evaluations(config: Any, arguments: list[str]) -> None:
  """Adds evaluations that `--config.evals.NAME.type=..` names, as copies of the first."""
  for argument in arguments:
    match = re.match(r"--?config\.evals\.(\w+)\.type(=|$)", argument)
    evals = config.get("evals") if isinstance(config, ml_collections.ConfigDict) else None
    if match and evals and match[1] not in evals:
      first = next(iter(evals.values()))
      with config.unlocked():
        evals[match[1]] = first.copy_and_resolve_references()


def settle(flag_values: flags.FlagValues = flags.FLAGS) -> None:
  """Lets the settings on the command line override what the file says of them elsewhere.

  A length, in steps or epochs, replaces the other; and what is given is not planned.
  """
  flag = flag_values["config"]
  config, given = flag.value, config_flags.get_override_values(flag)
  if not isinstance(config, ml_collections.ConfigDict):
    return
  _settle_length(config, given)
  if names := config.get("plan", {}).get("rules"):
    known = [name for name in names if name in rules.RULES]  # the planner refuses others
    dropped = [name for name in known if set(rules.keys([name], config)) & given.keys()]
    left = [name for name in names if name not in dropped]
    config.plan.rules = tuple(left)


def _settle_length(config: ml_collections.ConfigDict, given: Mapping[str, Any]) -> None:
  lengths = [key for key in ("total_steps", "total_epochs") if given.get(key) is not None]
  if len(lengths) != 1 or not hasattr(config, "total_steps"):
    return  # if both are given, a later check says what is wrong
  (key,) = lengths
  for other in {"total_steps", "total_epochs"} - {key} - set(given):
    with config.unlocked():
      config[other] = config_dict.placeholder(int)


def define(flag_values: flags.FlagValues = flags.FLAGS) -> flags.FlagHolder:
  """Defines the flag `config`. Settings can be emptied, as in `--config.total_steps=None`."""
  for kind, parser in (
    (int, flags.IntegerParser()),
    (float, flags.FloatParser()),
    (str, flags.ArgumentParser()),
    (type(None), _Literal()),
    (object, _Literal()),
  ):
    config_flags.register_flag_parser_for_type(kind, _OrNone(parser))
  holder = config_flags.DEFINE_config_file(
    "config",
    None,
    "The configuration, FILE[:ARGUMENTS], such as configs/cityscapes.py:width=32.",
    flag_values,
  )
  flag_values["config"].parser = _FromAnyFolder("config")
  return holder
