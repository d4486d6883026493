"""The command `flax-unet`: every program of the package under one name."""

import importlib
import sys

from flax_unet import errors, terminal

# Command: module in `flax_unet.tools`, implied arguments, and what it does.
COMMANDS = {
  "train": ("train", (), "train a network, or resume a run"),
  "evaluate": ("train", ("--mode=evaluate",), "score a run's checkpoint"),
  "predict": ("train", ("--mode=predict",), "predict masks for images"),
  "score": ("score", (), "score masks predicted by any program"),
  "compare": ("compare", (), "compare runs side by side"),
  "repeat": (
    "repeat",
    (),
    "train with several seeds or folds, and report mean and standard deviation",
  ),
  "inspect": ("inspect_data", (), "inspect the data of a configuration"),
  "convert": ("convert", (), "convert weights from and to PyTorch"),
  "export": ("export", (), "export a network to one file"),
  "run-exported": ("run_exported", (), "predict with an exported file"),
  "plan": ("plan", (), "check whether training fits on a device"),
  "show-config": ("show_config", (), "list the settings of a configuration"),
}


def main() -> None:
  """Runs the command named by the first argument."""
  name = sys.argv[1] if len(sys.argv) > 1 else "--help"
  if name in ("--help", "-h", "help"):
    print("Usage: flax-unet COMMAND [FLAGS]; flax-unet COMMAND --help shows its flags.\n")
    for command, (_, _, what) in COMMANDS.items():
      print(f"  {command:14s}{what}")
    return
  if name not in COMMANDS:
    sys.exit(f"error: {errors.unknown('command', name, COMMANDS)}")
  module, implied, _ = COMMANDS[name]
  terminal.PROGRAM[:] = ["flax-unet", name]
  sys.argv[1:2] = implied
  importlib.import_module(f"flax_unet.tools.{module}").run()


if __name__ == "__main__":
  main()
