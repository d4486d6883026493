"""Files that have not changed are read once; what has changed, or was wrong, is read again."""

import contextlib
import os
import pathlib
import sqlite3

import cv2
import numpy as np
import pytest

from flax_unet import errors
from flax_unet.data import checked
from flax_unet.data.pair_files import Pair

_PAST = 1_700_000_000


def _write(path: pathlib.Path, content: bytes) -> pathlib.Path:
  path.write_bytes(content)
  return path


@pytest.fixture
def pairs(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  monkeypatch.setattr(checked, "_RECENT_NS", -1)  # the files of a test are always recent
  folder = tmp_path / "data"
  folder.mkdir()
  return [
    Pair(f"{n}", _write(folder / f"{n}.jpg", b"image"), _write(folder / f"{n}.png", b"%d" % n))
    for n in range(600)
  ]


def _read(pairs, identity=None, bad=()):
  """Returns the results, and the indices that were read."""
  read = []

  def content(index):
    read.append(index)
    if index in bad:
      return errors.UserError(f"{index} is bad")
    return pairs[index].label.read_bytes()

  found = checked.results(pairs, content, identity or {}, "train")
  return found, sorted(read)


def test_unchanged_files_are_read_once(pairs):
  expected = [b"%d" % n for n in range(600)]
  assert _read(pairs) == (expected, list(range(600)))
  assert _read(pairs) == (expected, [])
  assert _read(pairs[::-1]) == (expected[::-1], [])


def test_changed_files_are_read_again(pairs):
  _read(pairs)
  _write(pairs[3].label, b"another size")
  _write(pairs[5].label, b"6")
  os.utime(pairs[7].image, (_PAST, _PAST))
  pairs[9] = pairs[9]._replace(extra=_write(pairs[9].image.with_suffix(".npy"), b"more"))
  pairs[11] = pairs[11]._replace(id="another")
  found, read = _read(pairs)
  assert read == [3, 5, 7, 9, 11]
  assert (found[3], found[5]) == (b"another size", b"6")


def test_another_identity_is_another_check(pairs):
  _read(pairs, {"label_space": "a"})
  assert _read(pairs, {"label_space": "b"})[1] == list(range(600))


def test_errors_are_not_kept(pairs):
  found, _ = _read(pairs, bad=(2,))
  assert str(found[2]) == "2 is bad"
  assert _read(pairs) == ([b"%d" % n for n in range(600)], [2])


def test_an_interrupted_check_goes_on_where_it_stopped(pairs):
  def stop_at_300(index):
    if index == 300:
      raise KeyboardInterrupt
    return pairs[index].label.read_bytes()

  with pytest.raises(KeyboardInterrupt):
    checked.results(pairs, stop_at_300, {}, "train")
  assert _read(pairs)[1] == list(range(256, 600))


def test_a_file_that_has_just_changed_is_read_again(pairs, monkeypatch):
  monkeypatch.undo()
  monkeypatch.setenv("XDG_CACHE_HOME", str(pairs[0].image.parent.parent / "cache"))
  _read(pairs)
  assert _read(pairs)[1] == list(range(600))


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_cache_is_not_used(pairs, content):
  _read(pairs)
  (file,) = (pairs[0].image.parent.parent / "cache").rglob("*.sqlite")
  file.write_bytes(content)
  assert _read(pairs)[1] == list(range(600))


def _rows(pairs, statement):
  (file,) = (pairs[0].image.parent.parent / "cache").rglob("*.sqlite")
  with contextlib.closing(sqlite3.connect(file)) as database, database:
    database.execute(statement)


@pytest.mark.parametrize("result", ["'abc'", "NULL", "7", "x'00'", "x'" + "00" * 20 + "'"])
def test_a_row_that_was_changed_is_read_again(pairs, result):
  expected, _ = _read(pairs)
  _rows(pairs, f"UPDATE results SET result = {result}")
  assert _read(pairs) == (expected, list(range(600)))


def test_rows_of_other_files_do_not_fit(pairs):
  expected, _ = _read(pairs)
  _rows(pairs, "UPDATE results SET result = (SELECT result FROM results LIMIT 1)")
  found, read = _read(pairs)
  assert found == expected and len(read) == 599


def test_another_file_in_its_place_is_read(pairs):
  _read(pairs)
  other = _write(pairs[0].label.with_suffix(".new"), b"7")
  state = pairs[0].label.stat()
  os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
  os.replace(other, pairs[0].label)
  found, read = _read(pairs)
  assert (found[0], read) == (b"7", [0])


def test_a_folder_is_opened_from_what_was_found_before(tmp_path, monkeypatch):
  from flax_unet import base_config
  from flax_unet.data import folder, label_spaces

  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  monkeypatch.setattr(checked, "_RECENT_NS", -1)
  for name in ("images", "labels"):
    (tmp_path / name).mkdir()
    for index in range(10):
      pixels = np.random.default_rng(index).integers(0, 3, (8, 8), np.uint8)
      cv2.imwrite(str(tmp_path / name / f"{index}.png"), pixels)
  data = base_config.folder_data(str(tmp_path / "images"), str(tmp_path / "labels"))

  def facts():
    dataset = folder.FolderDataset(data, label_spaces.get("3_classes"))
    for split in ("train", "validation"):
      dataset.split(split)
    return dataset.fingerprint(), dataset.digests()

  first = facts()
  with monkeypatch.context() as context:
    context.setattr(folder.FolderSource, "inspect", None)  # nothing may be read
    assert facts() == first
  mask = tmp_path / "labels" / "4.png"
  mask.write_bytes(mask.read_bytes()[:-20])
  with pytest.raises(errors.UserError, match=r"4\.png"):
    facts()
