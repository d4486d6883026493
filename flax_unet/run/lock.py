"""Locks a run folder, so that only one process at a time owns it."""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import IO, Any

from absl import logging

from flax_unet import errors

NAME = ".lock"
_BEAT_SECONDS = 2.0  # how often an owner touches its lock file
_WATCH_SECONDS = 7.0  # how long to watch another machine's lock file for a sign of life


@contextlib.contextmanager
def hold(workdir: pathlib.Path) -> Iterator[None]:
  """Owns a run folder for the duration of the block; creates the folder if it is missing.

  The lock is `flock` on the file `.lock`, which the kernel releases however the process ends. The
  file names the owner. On some network file systems, locks held by other machines are not visible;
  so a lock file that another machine left is watched for a while: a live owner touches it every two
  seconds.

  Raises:
    UserError: another process owns the folder, or the folder is not writable.
  """
  path, is_new = workdir / NAME, not workdir.exists()
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    file = _take(path)
    _write_owner(file)
  except OSError as error:
    raise errors.UserError(
      f"cannot write to {workdir} ({error.strerror}): choose another folder with --workdir=DIR"
    ) from error
  ended = threading.Event()
  beat = threading.Thread(target=_beat, args=(file, ended), daemon=True)
  beat.start()
  try:
    yield
  finally:
    ended.set()
    beat.join()
    path.unlink(missing_ok=True)
    file.close()  # releases the lock
    if is_new:
      with contextlib.suppress(OSError):  # unless it is empty
        workdir.rmdir()


def _take(path: pathlib.Path) -> IO[str]:
  """Opens and locks the file; raises `UserError` if its owner is alive."""
  while True:
    file = path.open("a+")
    try:
      locked = _lock(path, file)
      if locked and not _is_same_file(path, file):
        file.close()  # its owner has just exited and removed it
        continue
      owner = _read_owner(file)
      if owner and (not locked or owner.get("host") != socket.gethostname()):
        _watch(path, owner)
      return file
    except BaseException:
      file.close()
      raise


def _lock(path: pathlib.Path, file: IO[str]) -> bool:
  """Locks the file; returns False if the file system does not support locks."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    raise _in_use(path, _read_owner(file)) from None
  except OSError as error:
    logging.warning(
      "%s: this file system has no locks (%s), so two processes started within a few seconds can "
      "both get the folder",
      path.parent,
      error.strerror,
    )
    return False
  return True


def _is_same_file(path: pathlib.Path, file: IO[str]) -> bool:
  try:
    return os.path.samestat(path.stat(), os.fstat(file.fileno()))
  except FileNotFoundError:
    return False


def _watch(path: pathlib.Path, owner: dict[str, Any]) -> None:
  """Waits for a sign of life from an owner on another machine."""
  logging.info(
    "%s was locked by a process on %s: watching for %.0f seconds to see if it is alive",
    path.parent,
    owner.get("host"),
    _WATCH_SECONDS,
  )
  before = _modified(path)
  deadline = time.monotonic() + _WATCH_SECONDS
  while time.monotonic() < deadline:
    time.sleep(0.5)
    if _modified(path) != before:
      raise _in_use(path, owner)


def _modified(path: pathlib.Path) -> int:
  with path.open() as file:  # opening the file makes network file systems refresh its time
    return os.fstat(file.fileno()).st_mtime_ns


def _in_use(path: pathlib.Path, owner: dict[str, Any]) -> errors.UserError:
  who = "another process"
  if owner:
    who = f"process {owner.get('pid')} on {owner.get('host')}, since {owner.get('since')}"
  return errors.UserError(
    f"{path.parent} is in use by {who}: wait until it has ended, or choose another folder with "
    "--workdir=DIR"
  )


def _read_owner(file: IO[str]) -> dict[str, Any]:
  """The content of the lock file; an empty dict if it is empty or not ours."""
  file.seek(0)
  try:
    owner = json.loads(file.read())
  except ValueError:
    return {}
  return owner if isinstance(owner, dict) else {}


def _write_owner(file: IO[str]) -> None:
  file.truncate(0)
  since = time.strftime("%Y-%m-%d %H:%M:%S")
  json.dump({"host": socket.gethostname(), "pid": os.getpid(), "since": since}, file)
  file.flush()


def _beat(file: IO[str], ended: threading.Event) -> None:
  while not ended.wait(_BEAT_SECONDS):
    with contextlib.suppress(OSError):  # training itself reports a full disk or a lost mount
      os.utime(file.fileno())
