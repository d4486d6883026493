import functools
import os
import pathlib
import signal
import threading
import time

import cv2
import jax
import numpy as np
import psutil
import pytest

from flax_unet import nested
from flax_unet.data import label_spaces, op_spec
from flax_unet.data.label_space import IGNORED
from flax_unet.errors import UserError
from flax_unet.evaluation import evaluation
from flax_unet.evaluation.metrics import audit, segmentation
from flax_unet.models import base

RGB = base.Network(num_classes=1)  # with the usual mean and deviation

SPACE = label_spaces.CITYSCAPES_CATEGORIES


def _source(sizes):
  rng = np.random.default_rng(0)
  return [
    {
      "image": rng.integers(0, 256, (*size, 3), np.uint8),
      "label": rng.integers(0, 34, size, np.uint8),
      "id": f"picture_{index:02d}",
    }
    for index, size in enumerate(sizes)
  ]


SOURCE = _source([(16, 24)] * 7)


def _evaluate(model, variables, source=SOURCE, pp="label_map", batch_size=4, num_pictures=0):
  evaluate = evaluation.Evaluation(
    source,
    op_spec.parse(pp, SPACE),
    model,
    SPACE,
    batch_size=batch_size,
    num_pictures=num_pictures,
  )
  return evaluate(variables)


def _expected(source, kernel, size=None):
  """Counts in NumPy for images resized to `size`, with `logits = normalize(image) @ kernel`."""
  for example in source:
    image, label = example["image"], SPACE.to_index(example["label"])
    if size is not None:
      image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    logits = (image / 255 - base.MEAN) / base.STDDEV @ kernel
    logits = cv2.resize(logits, label.shape[::-1], interpolation=cv2.INTER_LINEAR)
    counts = np.zeros((7, 7), np.int64)
    np.add.at(counts, (label[label != IGNORED], logits.argmax(-1)[label != IGNORED]), 1)
    yield counts


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_counts_equal_numpy(pixelwise_unet, padding):
  model, variables, kernel = pixelwise_unet(padding=padding, depth=1)
  result = _evaluate(model, variables)
  np.testing.assert_array_equal(result.confusions, list(_expected(SOURCE, kernel)))
  assert result.confusions.dtype == np.int64
  assert result.ids.tolist() == [example["id"] for example in SOURCE]
  scores = segmentation.scores(np.sum(list(_expected(SOURCE, kernel)), 0), SPACE)
  assert nested.nan_to_none(result.scores) == nested.nan_to_none(scores)


@pytest.mark.parametrize("devices", [1, 2])
def test_devices_change_no_integer(monkeypatch, pixelwise_unet, devices):
  model, variables, kernel = pixelwise_unet(depth=1)
  some = jax.local_devices()[:devices]
  monkeypatch.setattr(jax, "local_device_count", lambda: devices)
  monkeypatch.setattr(jax, "local_devices", lambda: some)
  result = _evaluate(model, variables)
  np.testing.assert_array_equal(result.confusions, list(_expected(SOURCE, kernel)))


@pytest.mark.parametrize("batch_size", [4, 8])
def test_blanks_that_fill_up_a_batch_do_not_count(pixelwise_unet, batch_size):
  model, variables, kernel = pixelwise_unet(depth=1)
  result = _evaluate(model, variables, SOURCE[:5], batch_size=batch_size)
  np.testing.assert_array_equal(result.confusions, list(_expected(SOURCE[:5], kernel)))


def test_predictions_are_scored_at_the_resolution_of_the_label(pixelwise_unet):
  model, variables, kernel = pixelwise_unet(depth=1)
  result = _evaluate(model, variables, pp="label_map|resize_image(8, 10)")
  np.testing.assert_array_equal(result.confusions, list(_expected(SOURCE, kernel, (8, 10))))


def test_pictures_of_several_sizes_are_each_counted_whole(pixelwise_unet):
  model, variables, kernel = pixelwise_unet(depth=2)
  source = _source([(16, 24), (13, 19), (16, 24), (13, 19), (9, 30)])
  result = _evaluate(model, variables, source)
  expected = dict(
    zip((example["id"] for example in source), _expected(source, kernel), strict=True)
  )
  assert sorted(result.ids) == sorted(expected)
  for name, counts in zip(result.ids, result.confusions, strict=True):
    np.testing.assert_array_equal(counts, expected[name])


def test_the_first_pictures_are_kept_for_figures(pixelwise_unet):
  model, variables, kernel = pixelwise_unet(depth=1)
  result = _evaluate(model, variables, num_pictures=6)
  assert [name for name, *_ in result.examples] == [example["id"] for example in SOURCE[:6]]
  for (_, image, label, prediction), example in zip(result.examples, SOURCE, strict=False):
    np.testing.assert_array_equal(image, example["image"])
    np.testing.assert_array_equal(label, SPACE.to_index(example["label"]))
    logits = np.asarray(base.normalize(example["image"], RGB)) @ kernel
    np.testing.assert_array_equal(prediction, logits.argmax(-1))


@pytest.mark.parametrize("sizes", [[(16, 24)] * 5, [(16, 24), (12, 20), (16, 24)]])
def test_audit_counts_are_those_of_the_pictures_without_padding(pixelwise_unet, sizes):
  model, variables, _ = pixelwise_unet(depth=1)
  source = _source(sizes)
  evaluate = evaluation.Evaluation(
    source,
    op_spec.parse("label_map", SPACE),
    model,
    SPACE,
    batch_size=4,
    num_pictures=len(source),
  )
  result = evaluate(variables, audit_predictions=True)
  expected = audit.sum_counts(
    audit.extra_counts(label, prediction, SPACE.num_classes)
    for _, _, label, prediction in result.examples
  )
  assert result.extra.keys() == expected.keys()
  for name, counts in expected.items():
    np.testing.assert_array_equal(result.extra[name], counts)
  assert expected["ignored"].sum() == sum(
    (example.label == IGNORED).sum() for example in result.examples
  )


class _SlowSource(list):
  """Writes which process reads from it; larger than a pipe between processes."""

  reader: pathlib.Path

  def __init__(self):
    super().__init__(_source([(16, 24)] * 100))

  def __getitem__(self, index):
    self.reader.write_text(str(os.getpid()))
    time.sleep(0.3)
    return super().__getitem__(index)


@pytest.mark.parametrize(
  ("signum", "starting", "timeout", "message"),
  [
    (signal.SIGKILL, False, 200, "a worker process .* died: "),
    (signal.SIGSTOP, False, 3, "no batch came within .* = 3 "),
    (signal.SIGKILL, True, 200, "a worker process .* died: "),
  ],
)
def test_a_worker_that_dies_or_hangs_ends_the_evaluation(
  pixelwise_unet, tmp_path, signum, starting, timeout, message
):
  model, variables, _ = pixelwise_unet(depth=1)
  source = _SlowSource()
  source.reader = tmp_path / "reader"
  evaluate = evaluation.Evaluation(
    source,
    op_spec.parse("label_map", SPACE),
    model,
    SPACE,
    batch_size=4,
    workers=1,
    timeout=timeout,
  )
  if starting:
    find = functools.partial(_starting_worker, before=set(psutil.pids()))
  else:
    find = functools.partial(_reading_worker, source.reader)
  threading.Thread(target=lambda: os.kill(find(), signum), daemon=True).start()
  with pytest.raises(UserError, match=message):
    evaluate(variables)


def _reading_worker(file):
  while not file.exists() or not file.read_text():
    time.sleep(0.1)
  return int(file.read_text())


def _starting_worker(before):
  while True:
    for process in psutil.Process().children():
      if process.pid not in before and "spawn_main" in " ".join(process.cmdline()):
        return process.pid
    time.sleep(0.01)


def test_the_pictures_of_a_page_start_no_process(pixelwise_unet):
  model, variables, _ = pixelwise_unet(depth=1)
  evaluate = evaluation.Evaluation(
    SOURCE, op_spec.parse("label_map", SPACE), model, SPACE, batch_size=4, workers=2
  )
  before = {process.pid for process in psutil.Process().children()}
  assert len(evaluate.pictures(variables, [0, 3])) == 2
  assert {process.pid for process in psutil.Process().children()} <= before
