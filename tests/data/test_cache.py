"""Cached examples equal those of the source, and incomplete ones are not read."""

import collections
import itertools
import logging
import shutil

import cv2
import jax
import numpy as np
import pytest

from flax_unet.data import cache, images, label_spaces, op_spec, pipeline
from flax_unet.errors import UserError


class _Counting:
  """Random images of different sizes; counts how often each is read."""

  def __init__(self, num=5, bad=()):
    self.asked = collections.Counter()
    self._num, self._bad = num, bad

  def __len__(self):
    return self._num

  def __getitem__(self, index):
    self.asked[index] += 1
    if index in self._bad:
      raise UserError(f"{index} is bad")
    rng = np.random.default_rng(index)
    return {
      "image": rng.integers(256, size=(16, 24 + index, 3)).astype(np.uint8),
      "label": rng.integers(34, size=(16, 24 + index)).astype(np.uint8),
      "id": f"picture_{index}_ä",
    }


def _assert_same(got, expected):
  assert got.keys() == expected.keys()
  assert (got["id"], type(got["id"])) == (expected["id"], str)
  for key in ("image", "label"):
    np.testing.assert_array_equal(got[key], expected[key])
    assert got[key].dtype == np.uint8


def test_each_example_is_asked_for_once(tmp_path):
  source = _Counting()
  cached = cache.CachedSource(source, tmp_path)
  assert len(cached) == 5
  for _ in range(3):
    for index in range(5):
      _assert_same(cached[index], _Counting()[index])
  assert source.asked == dict.fromkeys(range(5), 1)


def test_an_image_that_waits_is_kept_decoded(tmp_path):
  example = _Counting()[0]
  encoded = cv2.imencode(".png", example["image"][..., ::-1])[1].tobytes()
  waiting = {**example, "image": images.decode_later(encoded, "a")}
  cached = cache.on_disk([waiting], tmp_path, {})
  for _ in range(2):  # decoded, then read
    _assert_same(cached[0], example)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_with_and_without(tmp_path, workers):
  spec = "label_map|random_scale(0.5, 2.0)|random_crop(12, 16)|flip_lr|photometric"
  op = op_spec.parse(spec, label_spaces.CITYSCAPES_30)

  def batches(source):
    # Batches of nearly all examples, so that threads of both workers read the same ones at once.
    iterator = pipeline.train_batches(source, op, batch_size=4, seed=0, workers=workers)
    taken = list(itertools.islice(iterator, 6))
    iterator.close()
    return taken

  expected = batches(_Counting())
  cached = cache.CachedSource(_Counting(), tmp_path)
  for got in (batches(cached), batches(cached)):
    jax.tree.map(np.testing.assert_array_equal, got, expected)
  assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i}.npy" for i in range(5)]


@pytest.mark.parametrize("length", [0, 60, 200, 700])
def test_what_is_cut_short_is_decoded_again(tmp_path, length):
  source = _Counting()
  cached = cache.CachedSource(source, tmp_path)
  _assert_same(cached[3], _Counting()[3])
  path = tmp_path / "3.npy"
  whole = path.read_bytes()
  path.write_bytes(whole[:length])
  _assert_same(cached[3], _Counting()[3])
  assert source.asked[3] == 2
  assert path.read_bytes() == whole


def test_a_write_that_fails_leaves_nothing_to_read(tmp_path, monkeypatch):
  def disk_full(descriptor):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(cache.os, "fsync", disk_full)
  with pytest.raises(OSError, match="No space left"):
    cache.CachedSource(_Counting(), tmp_path)[0]
  assert not list(tmp_path.iterdir())


def test_bad_examples_stay_bad(tmp_path):
  cached = cache.CachedSource(_Counting(bad=[2]), tmp_path)
  for _ in range(2):
    with pytest.raises(UserError, match="2 is bad"):
      cached[2]


def test_the_size_is_said_beforehand(tmp_path, caplog):
  facts = {"split": "train"}
  with caplog.at_level(logging.INFO, logger="absl"):
    cached = cache.on_disk(_Counting(num=1000, bad=[0]), tmp_path, facts)
    cached[7]
    assert cache.on_disk(_Counting(num=1000, bad=[0]), tmp_path, facts).folder == cached.folder
  said = [record.getMessage() for record in caplog.records]
  # 16 x 25 pixels of four bytes.
  assert said[0].endswith(": 1000 of about 0.0016 MB, 0.0016 GB in all, 0 already there")
  assert said[1].endswith(", 1 already there")
  assert str(cached.folder) in said[0]


def test_other_data_have_another_folder(tmp_path):
  folders = [
    cache.on_disk(_Counting(num), tmp_path, {"split": split}).folder
    for num, split in [(5, "train"), (4, "train"), (5, "validation")]
  ]
  assert len(set(folders)) == 3


def test_too_little_room_is_an_error_with_the_numbers(tmp_path, monkeypatch):
  usage = shutil.disk_usage(tmp_path)._replace(free=5000)
  monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: usage)
  three = _Counting(num=3)  # 16 x 24 pixels of four bytes each: 4608 in all
  cached = cache.on_disk(three, tmp_path, {})
  assert len(cached) == 3
  with pytest.raises(
    UserError, match=r"6.14e-06 GB more in .*, where 5e-06 GB are free.*cache_dir"
  ):
    cache.on_disk(_Counting(num=4), tmp_path, {})
