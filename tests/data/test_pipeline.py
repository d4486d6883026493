import dataclasses
import itertools
import multiprocessing
import re

import cv2
import jax
import numpy as np
import pytest

from flax_unet.data import label_spaces, op_spec, ops, order, pipeline
from flax_unet.errors import UserError

AUGMENTATION = "label_map|random_scale(0.5, 2.0)|random_crop(12, 16)|flip_lr|photometric"


def _op(spec):
  return op_spec.parse(spec, label_spaces.CITYSCAPES_30)


def _source(num, height=16, width=24):
  """Random images with valid label ids."""
  rng = np.random.default_rng(0)
  return [
    {
      "image": rng.integers(0, 256, (height, width, 3), np.uint8),
      "label": rng.integers(0, 34, (height, width), np.uint8),
      "id": f"picture_{index}",
    }
    for index in range(num)
  ]


def _train(num_batches, *, num=7, spec=AUGMENTATION, source=None, **kwargs):
  kwargs = {"batch_size": 4, "seed": 0} | kwargs
  batches = pipeline.train_batches(source or _source(num), _op(spec), **kwargs)
  taken = list(itertools.islice(batches, num_batches))
  batches.close()
  return taken


def _flat(batch):
  """A batch without the device axis."""
  return {key: x.reshape(-1, *x.shape[2:]) for key, x in batch.items()}


def _assert_equal(got, expected):
  assert len(got) == len(expected)
  for one, other in zip(got, expected, strict=True):
    assert one.keys() == other.keys()
    jax.tree.map(np.testing.assert_array_equal, one, other)


def _ids(batches):
  return [str(name) for batch in batches for name in batch["id"].reshape(-1)]


def test_a_batch_is_as_promised():
  (batch,) = _train(1, batch_size=8)
  assert {key: (x.shape, x.dtype.kind) for key, x in batch.items()} == {
    "image": ((4, 2, 12, 16, 3), "u"),
    "label": ((4, 2, 12, 16), "u"),
    "mask": ((4, 2), "b"),
    "id": ((4, 2), "U"),
    "skipped": ((4, 2), "U"),
  }
  assert batch["image"].dtype == batch["label"].dtype == np.uint8
  assert batch["mask"].all()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers):
  batches = _train(5, workers=workers)
  _assert_equal(batches, _train(5))
  # Copies, not views of shared memory, which would have to outlive them.
  assert {type(x) for batch in batches for x in batch.values()} == {np.ndarray}


def test_starting_later_equals_skipping():
  # 3 of the 7 images into the second epoch.
  _assert_equal(_train(3, start=2), _train(5)[2:])


@pytest.mark.parametrize("start", [0, 3])
def test_prefetching_changes_nothing(start):
  _assert_equal(_train(4, start=start, prefetch=1), _train(4, start=start, prefetch=8))


def test_every_epoch_has_each_example_once_in_another_order():
  ids = _ids(_train(21, num=7))
  epochs = [ids[start : start + 7] for start in range(0, len(ids), 7)]
  assert len(epochs) == 12
  for epoch in epochs:
    assert sorted(epoch) == [f"picture_{index}" for index in range(7)]
  assert len({tuple(epoch) for epoch in epochs}) == 12


def test_order_and_augmentation_follow_the_seed():
  first, again, other = _train(4), _train(4), _train(4, seed=1)
  _assert_equal(first, again)
  assert _ids(first) != _ids(other)


def test_augmentation_differs_by_epoch_and_example():
  spec = "label_map|random_crop(4, 4)"
  batches = _train(12, num=1, spec=spec)
  crops = {crop.tobytes() for batch in batches for crop in _flat(batch)["image"]}
  assert len(crops) > 40  # of 48; there are 13 * 21 places to crop from


def test_image_and_label_stay_together():
  rows, columns = np.indices((48, 72)) // 12
  label = np.where((rows + columns) % 2, 33, 4).astype(np.uint8)
  source = [{"image": np.stack([label] * 3, -1), "label": label, "id": "board"}]
  op = op_spec.parse(
    "random_scale(0.5, 2.0)|random_crop(24, 36)|flip_lr", label_spaces.CITYSCAPES_30
  )
  batches = pipeline.train_batches(source, op, batch_size=8, seed=0)
  batch = _flat(next(batches))
  batches.close()
  valid = batch["label"] != 255
  assert valid.mean() > 0.9
  assert (batch["label"][valid] == 33).mean() == pytest.approx(0.5, abs=0.1)
  # Bilinear and nearest differ at edges, by at most half of the step.
  difference = np.abs(batch["image"][..., 0].astype(int) - batch["label"])[valid]
  assert difference.max() <= (33 - 4) / 2 + 1
  assert (difference == 0).mean() > 0.8


def _eval(source, batch_size=4, **kwargs):
  return pipeline.eval_batches(source, _op("label_map"), batch_size=batch_size, **kwargs)


@pytest.mark.parametrize("devices", [1, 2])
def test_content_does_not_depend_on_devices(monkeypatch, devices):
  expected = _train(4) + list(_eval(_source(7)))
  monkeypatch.setattr(jax, "local_device_count", lambda: devices)
  got = _train(4) + list(_eval(_source(7)))
  assert got[0]["image"].shape == (devices, 4 // devices, 12, 16, 3)
  _assert_equal([_flat(batch) for batch in got], [_flat(batch) for batch in expected])


def _on_process(monkeypatch, process, make):
  """The function's result in one of two processes, each with two of the four devices."""
  with monkeypatch.context() as patch:
    patch.setattr(jax, "process_count", lambda: 2)
    patch.setattr(jax, "process_index", lambda: process)
    patch.setattr(jax, "local_device_count", lambda: 2)
    return make()


@pytest.mark.parametrize("start", [0, 2])
def test_two_processes_share_the_batches_of_one(monkeypatch, start):
  shares = [_on_process(monkeypatch, p, lambda: _train(4, start=start)) for p in range(2)]
  assert shares[0][0]["image"].shape == (2, 1, 12, 16, 3)
  for first, second, batch in zip(*shares, _train(4, start=start), strict=True):
    # The processes take turns in the global order.
    expected = {key: (x[::2], x[1::2]) for key, x in _flat(batch).items()}
    _assert_equal([_flat(first)], [{key: pair[0] for key, pair in expected.items()}])
    _assert_equal([_flat(second)], [{key: pair[1] for key, pair in expected.items()}])


def _evaluated(batches):
  """The entries of evaluation batches that count, concatenated."""
  flat = [_flat(batch) for batch in batches]
  return {
    key: [
      x for batch in flat for x, counts in zip(batch[key], batch["mask"], strict=True) if counts
    ]
    for key in flat[0]
  }


def test_two_processes_evaluate_each_example_once(monkeypatch):
  source = _source(7)
  shares = [_on_process(monkeypatch, p, lambda: list(_eval(source))) for p in range(2)]
  indices = sorted(int(index) for share in shares for index in _evaluated(share)["index"])
  assert indices == list(range(7))


@pytest.mark.parametrize(
  ("num", "batch_size", "num_batches", "workers"),
  [(7, 4, 2, 0), (7, 4, 2, 2), (8, 4, 2, 0), (3, 8, 1, 0)],
)
def test_evaluation_sees_each_example_once_and_pads_the_rest(num, batch_size, num_batches, workers):
  source = _source(num)
  batches = list(_eval(source, batch_size, workers=workers))
  assert [batch["mask"].size for batch in batches] == [batch_size] * num_batches
  assert sum(int(batch["mask"].sum()) for batch in batches) == num
  evaluated = _evaluated(batches)
  assert evaluated["id"] == [example["id"] for example in source]
  assert [int(index) for index in evaluated["index"]] == list(range(num))
  assert {tuple(size.tolist()) for size in evaluated["size"]} == {(16, 24)}
  for image, label, example in zip(evaluated["image"], evaluated["label"], source, strict=True):
    np.testing.assert_array_equal(image, example["image"])
    np.testing.assert_array_equal(label, label_spaces.CITYSCAPES_30.to_index(example["label"]))
  last = _flat(batches[-1])
  assert (last["label"][~last["mask"]] == 255).all()


def test_evaluation_batches_hold_one_size():
  source = _source(7)
  for index in (1, 2, 4):
    source[index] = {**_source(1, height=12, width=20)[0], "id": f"small_{index}"}
  batches = list(_eval(source))
  assert sorted(batch["image"].shape[2:4] for batch in batches) == [(12, 20), (16, 24)]
  evaluated = _evaluated(batches)
  assert sorted(int(index) for index in evaluated["index"]) == list(range(7))
  for index, name in zip(evaluated["index"], evaluated["id"], strict=True):
    assert name == source[index]["id"]


def test_pictures_of_two_sizes_in_a_training_batch_are_refused():
  source = _source(1) + _source(3, height=12)
  batches = pipeline.train_batches(source, _op("label_map"), batch_size=4, seed=0)
  with pytest.raises(
    UserError, match=r"the same size, 'picture_\d' is \d+ x 24 pixels but 'picture_\d'"
  ):
    next(batches)
  batches.close()


def test_batches_are_sent_ahead_in_order_to_all_devices():
  class Batches:
    """Counts the items taken from it."""

    taken, closed = 0, False

    def __iter__(self):
      return self

    def __next__(self):
      if self.taken == 5:
        raise StopIteration
      self.taken += 1
      return {"image": np.full((4, 1, 2), self.taken), "id": np.full((4, 1), f"{self.taken}")}

    def close(self):
      self.closed = True

  batches, seen = Batches(), []
  for batch in pipeline.to_devices(batches, prefetch=2):
    seen.append((int(batch["image"][0, 0, 0]), batch["id"][0, 0], batches.taken))
    shards = batch["image"].addressable_shards
    assert [shard.data.shape for shard in shards] == [(1, 1, 2)] * 4
    assert [shard.device for shard in shards] == jax.local_devices()
  assert seen == [(1, "1", 3), (2, "2", 4), (3, "3", 5), (4, "4", 5), (5, "5", 5)]
  assert batches.closed


def test_stopping_early_ends_the_workers():
  batches = pipeline.to_devices(_eval(_source(8), workers=1))
  next(batches)
  workers = multiprocessing.active_children()
  assert workers
  batches.close()
  for worker in workers:
    worker.join(timeout=10)
  assert not multiprocessing.active_children()


@dataclasses.dataclass(frozen=True)
class _CountThreads(ops.Op):
  def __call__(self, example, rng):
    return {**example, "threads": np.array(cv2.getNumThreads())}


def test_a_worker_uses_one_core():
  batches = pipeline.train_batches(_source(4), _CountThreads(), batch_size=4, seed=0, workers=1)
  assert np.all(next(batches)["threads"] == 1)
  batches.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_example_is_named(workers):
  source = _source(4)
  source[2]["label"][0, 0] = 99
  with pytest.raises(UserError, match="'picture_2': label value 99 is not in label space"):
    list(_eval(source, workers=workers))


class _Broken(list):
  """A source with two unreadable examples."""

  def __getitem__(self, index):
    if index in (3, 4):
      raise UserError(f"example {index} cannot be read")
    return super().__getitem__(index)


@dataclasses.dataclass(frozen=True)
class _Fails(ops.Op):
  def __call__(self, example, rng):
    raise KeyError("depth")


class _FailingSource(list):
  def __getitem__(self, index):
    raise OSError("no such disk")


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_own_code_are_one_line_with_its_place(workers):
  spec = f"label_map|{__name__}._Fails"
  with pytest.raises(UserError) as error:
    _train(1, spec=spec, workers=workers)
  line = r"example 'picture_\d': preprocessing op _Fails fails \(KeyError at .*\.py:\d+: 'depth'\)"
  assert re.match(line, str(error.value))
  line = r"reading example 0 of the data set fails \(OSError at .*\.py:\d+: no such disk\)"
  with pytest.raises(UserError, match=line):  # grain adds lines, which are not shown
    list(_eval(_FailingSource(_source(1)), workers=workers))


def test_a_bad_example_ends_training_with_its_error():
  with pytest.raises(UserError, match=r"example [34] cannot be read"):
    _train(2, source=_Broken(_source(7)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_skipped_example_is_replaced_by_the_next_and_named(workers):
  batches = _train(3, source=_Broken(_source(7)), skip_bad_examples=True, workers=workers)
  replaced = {"picture_3": "picture_5", "picture_4": "picture_5"}
  assert _ids(batches) == [replaced.get(name, name) for name in _ids(_train(3))]
  named = {line for batch in batches for text in batch["skipped"].flat for line in text.split("\n")}
  assert named - {""} == {"example 3 cannot be read", "example 4 cannot be read"}


def test_evaluation_leaves_out_bad_examples_and_reports_them():
  errors = []
  batches = pipeline.eval_batches(
    _Broken(_source(7)), _op("label_map"), batch_size=4, on_bad_example=errors.append
  )
  ids = [str(name) for batch in batches for name in batch["id"][batch["mask"]]]
  assert ids == [f"picture_{index}" for index in (0, 1, 2, 5, 6)]
  assert errors == ["example 3 cannot be read", "example 4 cannot be read"]


def test_batches_of_one():
  with_one_device = pipeline.Stack(1)
  places = pipeline.grain.MapDataset.range(5).repeat(order._EPOCHS)
  assert len(places.batch(1, batch_fn=with_one_device)[3:]) == 5 * order._EPOCHS - 3
