"""The flag `--config`, and `--config.KEY=VALUE` for what differs from the file."""

from typing import Any

from absl import flags
from ml_collections import config_flags


class _OrNone(flags.ArgumentParser):
  """Parses "None" as None, and all else as another parser does."""

  def __init__(self, parser: flags.ArgumentParser):
    super().__init__()
    self._parser = parser

  def parse(self, argument: Any) -> Any:
    return None if argument == "None" else self._parser.parse(argument)

  def flag_type(self) -> str:
    return f"{self._parser.flag_type()} or None"


def define(flag_values: flags.FlagValues = flags.FLAGS) -> flags.FlagHolder:
  """Defines the flag `config`. Settings can be emptied, as in `--config.total_steps=None`."""
  for kind, parser in (
    (int, flags.IntegerParser()),
    (float, flags.FloatParser()),
    (str, flags.ArgumentParser()),
  ):
    config_flags.register_flag_parser_for_type(kind, _OrNone(parser))
  return config_flags.DEFINE_config_file(
    "config", None, "The experiment: FILE[:ARGUMENTS].", flag_values
  )
