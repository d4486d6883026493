"""How a failure that the user can mend is reported: one line, and a non-zero exit code."""

import difflib
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

from absl import app


class UserError(ValueError):
  """A mistake that the user can mend. Its text is all that they see: what, where, what to do."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
  """The error for a name that is none of the choices: names the nearest and all there are."""
  choices = sorted(choices)
  near = difflib.get_close_matches(name, choices, n=1)
  hint = f"did you mean '{near[0]}'? " if near else ""
  return UserError(f"unknown {kind} '{name}': {hint}there are {', '.join(choices)}")


def run(main: Callable[[list[str]], int | None], **kwargs) -> NoReturn:
  """Parses flags and runs a command, as `absl.app.run` does, but for its failures.

  Where flags are malformed, `main` raises a `UserError` or the system refuses a file, prints
  `error: ` and the message to stderr and exits with code 1; with 130 after Ctrl-C. Other exceptions
  are ours, and keep their traceback.
  """
  try:
    app.run(main, **kwargs)
  except BrokenPipeError:  # what reads our output has seen enough
    sys.stdout = None  # nor is there anything to flush on the way out
    raise SystemExit(0) from None
  except (UserError, OSError) as error:
    raise SystemExit(f"error: {error}") from None
  except KeyboardInterrupt:
    raise SystemExit(130) from None
