"""Reports failures that the user can fix: one line and a non-zero exit code."""

import contextlib
import difflib
import functools
import os
import pathlib
import re
import signal
import sys
import sysconfig
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

from absl import app, flags

from flax_unet import nested

_SHUTDOWN_SECONDS = 5  # for threads to end, after a save in progress has finished

_LIBRARIES = tuple(
  f"{folder}{os.sep}"
  for folder in (
    *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")),
    os.path.dirname(__file__),
  )
)

_HELP = ("--help", "-help", "-h", "--helpshort")


class UserError(ValueError):
  """A mistake that the user can fix. Its text is all they see: what, where, and what to do."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
  """Returns the error for an unknown name; it suggests the closest choice and lists all."""
  return UserError(f"unknown {kind} '{name}': {advice(name, choices)}")


def advice(name: str, choices: Iterable[str]) -> str:
  """Says what an unknown name could have been: the closest choice, and all of them."""
  choices = sorted(choices)
  near = difflib.get_close_matches(name, choices, n=1)
  hint = f"did you mean '{near[0]}'? " if near else ""
  return f"{hint}choose from {', '.join(choices)}"


def described(error: BaseException) -> str:
  """Describes an error of the user's own code in one line: "KeyError at mine.py:3: 'sum'"."""
  reason = (str(error).splitlines() or [""])[0]
  return f"{type(error).__name__}{place(error)}: {reason}"


def place(error: BaseException) -> str:
  """Returns " at FILE:LINE", the innermost line of the user's own code that an error came through.

  Own code is all but this package, Python's library and installed packages; "" if there is none.
  """
  own = [
    frame
    for frame in traceback.extract_tb(error.__traceback__)
    if not frame.filename.startswith(("<", *_LIBRARIES))
  ]
  if not own:
    return ""
  file = pathlib.Path(own[-1].filename)
  here = pathlib.Path.cwd()
  return f" at {file.relative_to(here) if file.is_relative_to(here) else file}:{own[-1].lineno}"


@contextlib.contextmanager
def in_own_code(where: str) -> Iterator[None]:
  """Turns an error of the user's own code into a `UserError` that names its line.

  Args:
    where: what the message begins with.
  """
  try:
    yield
  except (UserError, MemoryError):
    raise
  except Exception as error:
    if not place(error):
      raise
    raise UserError(f"{where} fails ({described(error)})") from error


class _Terminated(BaseException):
  """SIGTERM, which ends a command as Ctrl-C does."""


def run(main: Callable[[list[str]], int | None], **kwargs) -> NoReturn:
  """Parses flags and runs a command like `absl.app.run`, but ends it differently.

  If flags are malformed, `main` raises a `UserError`, the system refuses a file or memory runs out,
  prints `error: ` and the message to stderr and exits with code 1. After Ctrl-C or SIGTERM, says so
  and exits with 130 or 143. Any other exception is a bug of ours and keeps its traceback. Whatever
  fails, the process is gone within seconds.
  """
  signal.signal(signal.SIGTERM, functools.partial(_terminate, os.getpid()))
  if os.getcwd() not in sys.path:  # modules of the user's own, as with `python -m`
    sys.path.append(os.getcwd())
  try:
    app.run(main, flags_parser=functools.partial(_parse_flags, main.__module__), **kwargs)
  except SystemExit as error:
    _exit(error.code)
  except BrokenPipeError:  # the reader of our output has closed it
    sys.stdout = None  # leaves nothing to flush at exit
    _exit(0)
  except (UserError, OSError) as error:
    _exit(f"error: {_one_line(error)}")
  except KeyboardInterrupt:
    _stop(signal.SIGINT)
  except _Terminated:
    _stop(signal.SIGTERM)
  except (MemoryError, RuntimeError) as error:  # XLA raises a RuntimeError
    if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
      _watch_shutdown(1)
      raise
    _exit(
      f"error: out of memory ({(str(error).splitlines() or ['of the machine'])[0]}). Use a smaller "
      "config.input.batch_size, or set config.accumulate_steps=K, config.model.remat=True or "
      "config.model.dtype=bfloat16"
    )
  except BaseException:
    _watch_shutdown(1)
    raise


def _terminate(main_process: int, signum: int, frame: types.FrameType | None) -> NoReturn:
  del frame
  if os.getpid() != main_process:  # forked by a pool, and inherited this handler
    os._exit(128 + signum)
  raise _Terminated


def _stop(signum: signal.Signals) -> NoReturn:
  for number in (signal.SIGINT, signal.SIGTERM):  # we are already stopping
    signal.signal(number, signal.SIG_IGN)
  print(f"Stopped by {signum.name}.", file=sys.stderr)
  _exit(128 + signum)


def _exit(code: int | str | None) -> NoReturn:
  """Exits as `sys.exit` does; a message is printed and means code 1."""
  if code:
    _watch_shutdown(code if isinstance(code, int) else 1)
  raise SystemExit(code) from None


def _watch_shutdown(code: int) -> None:
  """Ends the process a few seconds after the main thread: threads of libraries may hang."""

  def watch() -> None:
    threading.main_thread().join()
    time.sleep(_SHUTDOWN_SECONDS)
    os._exit(code)

  threading.Thread(target=watch, daemon=True).start()


def _parse_flags(program: str, arguments: list[str]) -> list[str]:
  """Parses flags, including `--config` with its settings.

  Args:
    program: the module that defines the program's own flags.
    arguments: the command line.

  Returns:
    The remaining arguments.

  Raises:
    UserError: a flag or a setting is unknown, a value is malformed, or the configuration refuses
      its arguments or imports a missing module.
  """
  if any(argument in _HELP for argument in arguments[1:]):
    print(_help(sys.modules[program]))
    raise SystemExit(0)
  try:
    return flags.FLAGS(arguments)
  except (AttributeError, KeyError) as error:
    raise UserError(_unknown_setting(error)) from error
  except ModuleNotFoundError as error:
    raise UserError(
      f"the configuration imports a missing module ({error}): install it, or start the program in "
      "the folder that contains it"
    ) from error
  except flags.Error as error:
    # absl and ml_collections each wrap what we raise, the latter in an error of the same type.
    ours, context = None, error
    while context := context.__context__:
      ours = context if isinstance(context, UserError) else ours
    if ours:
      raise ours from None
    if "before a value for --config was specified" in str(error):
      first = next(item for item in arguments if re.match(r"--?(no)?config\.", item))
      raise UserError(f"{first} comes before its configuration: put --config=FILE first") from error
    if "Error whilst parsing config file" in str(error):
      # What `get_config` raised; ml_collections and absl each wrapped it once.
      raise error.__context__.__context__ from None
    raise UserError(str(error)) from error


def _help(program: types.ModuleType) -> str:
  """Describes the program and its own flags."""
  own = {flag.name: flag for flag in flags.FLAGS.get_key_flags_for_module(program.__name__)}
  for module, defined in flags.FLAGS.flags_by_module_dict().items():
    if module in (sys.argv[0], "__main__") or module.startswith("flax_unet"):
      own |= {flag.name: flag for flag in defined}
  lines = [(program.__doc__ or "").strip(), ""]
  for flag in sorted(own.values(), key=lambda flag: flag.name != "config"):
    default = "" if flag.default is None else f" (default: {flag.default_as_str})"
    lines.append(f"  --{flag.name}: {flag.help}{default}")
  return "\n".join([*lines, "", "  --helpfull shows the flags of all libraries."])


def _unknown_setting(error: AttributeError | KeyError) -> str:
  """Extracts the unknown key, and the closest known one, from ml_collections' error."""
  (reason,) = error.args
  reason = reason.args[0] if isinstance(reason, KeyError) else reason
  if match := re.match(r'Key "(\w+)" does not exist and cannot be added', reason):
    # Set by a configuration: ml_collections' own message lists all settings with their values.
    from flax_unet import base_config

    known = [key.split(".")[-1] for key in nested.flatten(base_config.get_config().to_dict())]
    near = difflib.get_close_matches(match[1], known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "flax_unet/base_config.py has all settings"
    return f"the configuration sets '{match[1]}', which is not a setting: {hint}"
  name, _, hint = reason.partition("\n")
  if not name.startswith("'"):
    return reason
  return f"the configuration has no setting {name}. {hint}"


def _one_line(error: Exception) -> str:
  """Returns the message, or its last line, where ml_collections gives the reason."""
  lines = str(error).splitlines() or [type(error).__name__]
  return re.sub(r"^\[Errno \d+\] ", "", lines[-1].strip())
