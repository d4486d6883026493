"""What the terminal shows: our own messages, and of libraries only warnings."""

import logging
import pathlib
import shlex
import sys
import warnings
from collections.abc import Mapping

import absl.logging
from absl import flags

PROGRAM: list[str] = []  # how this command was called; empty: as a Python file

_PACKAGE = str(pathlib.Path(__file__).parent)


# Orbax, and asyncio for it, tell in many lines of failures that reach us as exceptions;
# tensorflow-datasets warns of data that it has not prepared yet.
_TALKATIVE = ("/orbax/", "/asyncio/", "/tensorflow_datasets/")


class _OwnMessages(logging.Filter):
  """Lets through this package's messages, and libraries' warnings."""

  def filter(self, record: logging.LogRecord) -> bool:
    if record.pathname.startswith(_PACKAGE):
      return True
    talkative = any(name in record.pathname for name in _TALKATIVE)
    return record.levelno >= logging.WARNING and not talkative


def set_up() -> None:
  """Makes absl's log short enough to read along; `--verbosity` has the last word on how much."""
  if not flags.FLAGS["verbosity"].present:
    absl.logging.set_verbosity(absl.logging.INFO)
  warnings.filterwarnings("ignore", module="PIL")  # it does not say of which file
  handler = absl.logging.get_absl_handler()
  handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
  handler.addFilter(_OwnMessages())


def command_line() -> str:
  """The command that does the same again."""
  return shlex.join([*(PROGRAM or ["python", sys.argv[0]]), *sys.argv[1:]])


def counted(number: int, noun: str) -> str:
  """A number with its noun: "1 picture", "2,975 pictures"."""
  return f"{number:,} {noun}{'s' * (number != 1)}"


def aligned(facts: Mapping[str, str]) -> str:
  """Names and values, one below the other."""
  width = max(map(len, facts)) + 2
  return "\n".join(["", *(f"  {name:{width}s}{value}" for name, value in facts.items())])
