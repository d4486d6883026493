"""Remembers what was found in files, so that a large data set is read once, not at every start.

Results are written to the user's cache folder as they come, so an interrupted check resumes where
it stopped. A file counts as unchanged while its path, inode, size and times are the same.
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from flax_unet import caches, errors, terminal
from flax_unet.data.pair_files import Pair

Result = bytes | errors.UserError

_FOLDER = "flax_unet_checked"
_BLOCK = 256  # results are kept after so many
_SECONDS = 10  # between messages about the progress
# A file may change again within one tick of a coarse clock, so recent changes are not trusted.
_RECENT_NS = 2_000_000_000
_LOCKED_SECONDS = 0.5  # to wait for another process that writes
_SEAL = 8  # bytes of a row's checksum


def results(
  pairs: Sequence[Pair], read: Callable[[int], Result], identity: Mapping[str, Any], split: str
) -> list[Result]:
  """Reads pairs of files on all cores, except those with known results; logs the progress.

  Args:
    pairs: the pairs of a split.
    read: returns the result for an index. Errors are not kept.
    identity: what a result depends on besides the pair, for JSON.
    split: what messages call the split.
  """
  found: list[Result] = []
  start = logged = time.monotonic()
  num_read = 0
  with (
    contextlib.closing(_Cache(identity)) as cache,
    concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
  ):
    for first in range(0, len(pairs), _BLOCK):
      block = range(first, min(first + _BLOCK, len(pairs)))
      keys = dict(zip(block, pool.map(_key, pairs[first : block.stop]), strict=True))
      known = cache.find(list(keys.values()))
      missing = [index for index in block if keys[index] not in known]
      new = dict(zip(missing, pool.map(read, missing), strict=True))
      cache.add({keys[index]: result for index, result in new.items()})
      found += [new[index] if index in new else known[keys[index]] for index in block]
      num_read += len(missing)
      if time.monotonic() - logged > _SECONDS and len(found) < len(pairs):
        logged = time.monotonic()
        minutes = (logged - start) / len(found) * (len(pairs) - len(found)) / 60
        logging.info(
          "Checked %s of %s of %s, about %.0f min more",
          *(f"{len(found):,}", terminal.counted(len(pairs), "image"), split, max(1, minutes)),
        )
  if num_read < len(pairs):
    logging.info("%s of them were checked before", f"{len(pairs) - num_read:,}")
  return found


def _key(pair: Pair) -> bytes | None:
  """Identifies a pair and the state of its files; None if one is missing or has just changed."""
  digest = hashlib.sha256(pair.id.encode())
  for path in pair.files:
    try:
      stat = path.stat()
    except OSError:
      return None
    changed = (stat.st_mtime_ns, stat.st_ctime_ns)
    identity = (str(path.absolute()), stat.st_size, stat.st_dev, stat.st_ino, *changed)
    if time.time_ns() - max(changed) < _RECENT_NS:
      return None
    digest.update(repr(identity).encode("utf-8", "surrogateescape"))
  return digest.digest()


def _seal(key: bytes, result: bytes) -> bytes:
  """A checksum of a row: databases have none of their own."""
  return hashlib.sha256(key + result).digest()[:_SEAL]


def _is_intact(key: bytes, sealed: object) -> bool:
  return isinstance(sealed, bytes) and sealed[:_SEAL] == _seal(key, sealed[_SEAL:])


class _Cache:
  """Results by the state of their files; empty if there is no cache folder."""

  def __init__(self, identity: Mapping[str, Any]):
    self._database = None
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    if folder := caches.folder(_FOLDER):
      try:
        file = folder / f"{digest[:32]}.sqlite"
        self._database = sqlite3.connect(file, timeout=_LOCKED_SECONDS)
        self._database.execute("CREATE TABLE IF NOT EXISTS results (key BLOB PRIMARY KEY, result)")
      except sqlite3.Error as error:
        self._give_up(error)

  def find(self, keys: Sequence[bytes | None]) -> dict[bytes, bytes]:
    """Returns the results that are there, by key."""
    if not self._database:
      return {}
    query = f"SELECT key, result FROM results WHERE key IN ({', '.join('?' * len(keys))})"
    try:
      rows = self._database.execute(query, keys).fetchall()
    except sqlite3.Error as error:
      self._give_up(error)
      return {}
    return {key: sealed[_SEAL:] for key, sealed in rows if _is_intact(key, sealed)}

  def add(self, new: Mapping[bytes | None, Result]) -> None:
    """Keeps results, except for errors."""
    rows = [
      (key, _seal(key, result) + result)
      for key, result in new.items()
      if key and isinstance(result, bytes)
    ]
    if self._database and rows:
      try:
        with self._database:
          self._database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?)", rows)
      except sqlite3.Error as error:
        self._give_up(error)

  def close(self) -> None:
    """Closes the file."""
    if self._database:
      self._database.close()
      self._database = None

  def _give_up(self, error: sqlite3.Error) -> None:
    """Continues without the cache: it is damaged or locked, or the disk is full."""
    logging.info("Continuing without the cache folder %s (%s)", _FOLDER, error)
    self.close()
