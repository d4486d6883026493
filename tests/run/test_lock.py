import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from flax_unet.errors import UserError
from flax_unet.run import lock

_OWNER = """
import pathlib, sys, time
from flax_unet.run import lock
with lock.hold(pathlib.Path(sys.argv[1])):
  print("locked", flush=True)
  time.sleep(1000)
"""


@pytest.fixture
def owner(tmp_path):
  """A process that owns `tmp_path / "run"`."""
  command = [sys.executable, "-c", _OWNER, str(tmp_path / "run")]
  environment = os.environ | {"PYTHONPATH": str(pathlib.Path(lock.__file__).parents[2])}
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()


def test_a_folder_has_one_owner_and_is_free_when_that_is_killed(tmp_path, owner):
  folder = tmp_path / "run"
  before = (folder / lock.NAME).read_bytes()
  with pytest.raises(UserError) as error, lock.hold(folder):
    pass
  since = json.loads(before)["since"]
  assert str(error.value) == (
    f"{folder} is in use by process {owner.pid} on {socket.gethostname()}, since {since}: wait "
    "until it has ended, or choose another folder with --workdir=DIR"
  )
  assert (folder / lock.NAME).read_bytes() == before
  owner.send_signal(signal.SIGKILL)
  owner.wait()
  with lock.hold(folder):
    assert json.loads((folder / lock.NAME).read_text())["pid"] == os.getpid()
  assert list(folder.iterdir()) == []


def _foreign(folder):
  path = folder / lock.NAME
  path.write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "2026-01-01 00:00:00"}))
  return path


def test_a_lock_of_another_machine_counts_while_it_shows_signs_of_life(tmp_path, monkeypatch):
  path = _foreign(tmp_path)
  times = iter(range(100))
  monkeypatch.setattr(lock, "_modified", lambda path: next(times))
  with pytest.raises(UserError, match="in use by process 7 on elsewhere"), lock.hold(tmp_path):
    pass
  assert path.exists()


def test_a_lock_that_another_machine_left_is_taken_over(tmp_path, monkeypatch):
  _foreign(tmp_path)
  monkeypatch.setattr(lock, "_WATCH_SECONDS", 1.0)
  with lock.hold(tmp_path):
    pass
  assert list(tmp_path.iterdir()) == []


def test_an_owner_shows_signs_of_life(tmp_path, monkeypatch):
  monkeypatch.setattr(lock, "_BEAT_SECONDS", 0.05)
  with lock.hold(tmp_path):
    before = lock._modified(tmp_path / lock.NAME)
    deadline = time.monotonic() + 100
    while lock._modified(tmp_path / lock.NAME) == before:
      assert time.monotonic() < deadline


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog):
  def no_locks(file, operation):
    raise OSError(95, "Operation not supported")

  monkeypatch.setattr(lock.fcntl, "flock", no_locks)
  with lock.hold(tmp_path):
    pass
  assert "this file system has no locks (Operation not supported)" in caplog.text
