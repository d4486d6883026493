"""Shows all settings of a configuration, and which of them differ from the defaults.

    python -m flax_unet.tools.show_config --config=FILE[:ARGUMENTS] [--config.KEY=VALUE ...]
    python -m flax_unet.tools.show_config --config=RUN/config.json

A line that starts with `*` is a setting that differs from `flax_unet/base_config.py`, followed by
the default. `--changes` shows only these.
"""

from typing import Any

from absl import flags

from flax_unet import base_config, config_flag, errors, nested

_CONFIG = config_flag.define()
_CHANGES = flags.DEFINE_bool("changes", False, "Show only what differs from the defaults.")
_NEW = object()


def main(_):
  """Runs the program; see above."""
  config_flag.settle()
  defaults = nested.flatten(base_config.get_config().to_dict())
  evaluation = nested.flatten(base_config.evaluation().to_dict())
  for key, value in nested.flatten(_CONFIG.value.to_dict()).items():
    group, _, rest = key.partition(".")
    default = defaults.get(key, _NEW)
    if group == "evals":  # of any name
      default = evaluation.get(rest.partition(".")[2], _NEW)
    if line := _line(key, value, default):
      print(line)


def _line(key: str, value: Any, default: Any) -> str:
  if value == default:
    return "" if _CHANGES.value else f"  config.{key} = {value!r}"
  was = "no default" if default is _NEW else f"default: {default!r}"
  return f"* config.{key} = {value!r}  # {was}"


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flag_as_required("config")
  errors.run(main)


if __name__ == "__main__":
  run()
