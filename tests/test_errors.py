import os
import pathlib
import signal
import subprocess
import sys

import jax
import pytest
from absl import app

from flax_unet import errors


@pytest.fixture(autouse=True)
def _signals():
  """Restores the signal handlers that a command sets."""
  before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
  yield
  for signum, handler in before.items():
    signal.signal(signum, handler)


def _run(monkeypatch, error):
  """Runs a command that fails, and returns its exit code."""
  monkeypatch.setattr(app, "run", lambda main, **kwargs: main([]))

  def main(arguments):
    raise error

  with pytest.raises(SystemExit) as caught:
    errors.run(main)
  return caught.value.code


@pytest.mark.parametrize(
  ("error", "code"),
  [
    (errors.UserError("what to do"), "error: what to do"),  # Python prints it, and exits with 1
    (FileNotFoundError(2, "No such file", "x.png"), "error: No such file: 'x.png'"),
    (OSError("Failed loading\n  Attempted:\n    the reason"), "error: the reason"),
    (OSError(), "error: OSError"),
    (KeyboardInterrupt(), 130),
    (BrokenPipeError(), 0),
  ],
)
def test_failures_that_the_user_can_mend_are_one_line(monkeypatch, error, code):
  assert _run(monkeypatch, error) == code


@pytest.mark.parametrize(
  "error", [jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GB\n..."), MemoryError("9 GB")]
)
def test_too_little_memory_comes_with_what_to_do(monkeypatch, error):
  message = _run(monkeypatch, error)
  assert message.startswith("error: out of memory (") and "9 GB)" in message
  assert "\n" not in message and "config.input.batch_size" in message


def test_mistakes_of_ours_keep_their_traceback(monkeypatch):
  monkeypatch.setattr(app, "run", lambda main, **kwargs: main([]))
  with pytest.raises(ZeroDivisionError):
    errors.run(lambda arguments: 1 / 0)


@pytest.mark.parametrize(
  ("name", "hint"), [("dise", "did you mean 'dice'? choose from"), ("focal", "choose from")]
)
def test_an_unknown_name_comes_with_the_nearest(name, hint):
  message = f"unknown loss '{name}': {hint} cross_entropy, dice"
  assert str(errors.unknown("loss", name, ["dice", "cross_entropy"])) == message


_SLEEPS = """
import signal, sys, time
from flax_unet import errors
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of shells ignore it
def main(arguments):
  try:
    print("ready", flush=True)
    time.sleep(60)
  finally:
    print("cleaned up", flush=True)
errors.run(main)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line_after_all_is_cleaned_up(signum):
  root = str(pathlib.Path(errors.__file__).parents[1])
  with subprocess.Popen(
    [sys.executable, "-c", _SLEEPS],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {"PYTHONPATH": root},
  ) as process:
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signum)
    out, err = process.communicate(timeout=30)
  assert (process.returncode, out, err) == (
    128 + signum,
    "cleaned up\n",
    f"Stopped by {signum.name}.\n",
  )
