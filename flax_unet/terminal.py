"""What the terminal shows: our own messages, and of libraries only warnings."""

import logging
import pathlib

import absl.logging

_PACKAGE = str(pathlib.Path(__file__).parent)


class _OwnMessages(logging.Filter):
  """Lets through warnings, and messages of this package and of clu's writers."""

  def filter(self, record: logging.LogRecord) -> bool:
    ours = record.pathname.startswith(_PACKAGE) or "/clu/" in record.pathname
    return ours or record.levelno >= logging.WARNING


def set_up() -> None:
  """Makes absl's log short enough to read along."""
  absl.logging.set_verbosity(absl.logging.INFO)
  handler = absl.logging.get_absl_handler()
  handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
  handler.addFilter(_OwnMessages())
