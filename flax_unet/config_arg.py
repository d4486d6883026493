"""The arguments of a configuration: what follows the colon in `--config=FILE:ARGUMENTS`."""

import ast
from typing import Any

import ml_collections

from flax_unet import errors


def parse(arg: str | None, **defaults: Any) -> ml_collections.ConfigDict:
  """Parses the arguments of a configuration.

  `"paper,width=32"` sets the switch `paper` and the field `width`; a value gets the type of its
  default.

  Args:
    arg: comma-separated switches and `name=value` pairs; or None.
    **defaults: every argument of the configuration with its default, False for a switch.

  Raises:
    UserError: an argument is unknown (the message lists the known ones) or has the wrong type.
  """
  values = dict(defaults)
  for item in (arg or "").split(","):
    name, is_pair, text = (part.strip() for part in item.partition("="))
    if not name:
      continue
    if name not in defaults:
      hint = " (commas separate arguments: give a path with a comma as a setting, such as "
      hint += "--config.input.data.images=DIR)"
      error = errors.unknown("argument of the configuration", name, defaults)
      is_path = "/" in name or (not is_pair and "/" in arg)
      raise errors.UserError(f"{error}{hint * is_path}")
    default = defaults[name]
    if not is_pair and default is not False:
      raise errors.UserError(
        f"argument '{name}' of the configuration needs a value, for example {name}={default}"
      )
    try:
      value = ast.literal_eval(text) if is_pair and not isinstance(default, str) else text or True
    except (SyntaxError, ValueError):
      value = text
    if type(default) is float and type(value) is int:
      value = float(value)
    if type(value) is not type(default):
      raise errors.UserError(
        f"argument {item} of the configuration: give "
        + ("True or False" if default is False else f"a value like {name}={default}")
      )
    values[name] = value
  return ml_collections.ConfigDict(values)
