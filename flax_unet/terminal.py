"""Terminal output: our own messages, and only warnings from libraries."""

import logging
import os
import pathlib
import shlex
import sys
import warnings
from collections.abc import Mapping

import absl.logging
from absl import flags

PROGRAM: list[str] = []  # how this command was called; empty if as a Python file

# In the environment of the runs that `repeat` starts: it says itself how to go on.
PART_OF_STUDY = "FLAX_UNET_PART_OF_STUDY"

_PACKAGE = str(pathlib.Path(__file__).parent)


# Orbax, and asyncio with it, log many lines about failures that reach us as exceptions;
# tensorflow-datasets warns about data that it has not prepared yet.
_TALKATIVE = ("/orbax/", "/asyncio/", "/tensorflow_datasets/")


class _OwnMessages(logging.Filter):
  """Passes this package's messages and libraries' warnings."""

  def filter(self, record: logging.LogRecord) -> bool:
    if record.pathname.startswith(_PACKAGE):
      return True
    talkative = any(name in record.pathname for name in _TALKATIVE)
    return record.levelno >= logging.WARNING and not talkative


def set_up() -> None:
  """Makes absl's log lines short; `--verbosity` still decides how many there are."""
  if not flags.FLAGS["verbosity"].present:
    absl.logging.set_verbosity(absl.logging.INFO)
  warnings.filterwarnings("ignore", module="PIL")  # they do not name the file
  handler = absl.logging.get_absl_handler()
  handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
  quiet_libraries()


def quiet_libraries() -> None:
  """Hides what libraries log, except for warnings that matter to users."""
  if not logging.root.handlers:  # in notebooks and programs without `absl.app.run`
    absl.logging.use_absl_handler()
  # The logger too, because a program may have handlers of its own.
  for place in (absl.logging.get_absl_handler(), absl.logging.get_absl_logger()):
    if not any(isinstance(known, _OwnMessages) for known in place.filters):
      place.addFilter(_OwnMessages())


def command_line() -> str:
  """Returns the command line that repeats this command."""
  module = getattr(sys.modules["__main__"], "__spec__", None)
  script = ["-m", module.name.removesuffix(".__main__")] if module else [sys.argv[0]]
  return shlex.join([*(PROGRAM or ["python", *script]), *sys.argv[1:]])


def to_resume() -> str:
  """Returns ". To resume: " and the command, or "" in a process whose parent says it instead."""
  return "" if PART_OF_STUDY in os.environ else f". To resume: {command_line()}"


def counted(number: int, noun: str) -> str:
  """Formats a number with its noun: "1 image", "2,975 images"."""
  return f"{number:,} {noun}{'s' * (number != 1)}"


def memory(size: float) -> str:
  """Formats a number of bytes: "1.50 GiB", "12.00 MiB"."""
  return f"{size / 2**30:.2f} GiB" if size >= 2**27 else f"{size / 2**20:.2f} MiB"


def aligned(facts: Mapping[str, str]) -> str:
  """Formats names and values, one pair per line."""
  width = max(map(len, facts)) + 2
  return "\n".join(["", *(f"  {name:{width}s}{value}" for name, value in facts.items())])
