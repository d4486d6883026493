"""Times the input pipeline, from array_record on disk to batches on the devices.

    python -m benchmarks.input_pipeline --config=configs/cityscapes.py
        --config.input.data.manual_dir=DIR [--workers=0,2] [--turns=5] [--peer=torch]

Prints the time of each stage for one image on one core; then images per second of the whole
pipeline, with and without decoded images cached on disk (`config.input.cache`). The peer is a
PyTorch `DataLoader` with the same number of workers, which reads the same images from PNG files
(see `torch_data.py`). The pipelines take turns; each is started anew and timed once it runs
steadily. Ratios are medians over turns. The first `--examples` images are read repeatedly, so they
come from memory, not from disk. Stage times are means, because random ops take longer in some
draws. The time of the crop, the first op that needs the image, includes decoding that part of it.

Without Cityscapes, on images that are drawn on first use:

    python -m benchmarks.input_pipeline --config=configs/street_scenes.py:res=512x1024
        --config.input.pp="label_map|random_scale(0.5, 2)|random_crop(256, 512)|flip_lr|photometric"
"""

import collections
import dataclasses
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import jax
import numpy as np
from absl import flags

from flax_unet import config_flag, devices, errors, terminal
from flax_unet.data import (
  cache,
  datasets,
  images,
  op_spec,
  ops,
  pipeline,
  tfds_source,
)
from flax_unet.run import parts

_CONFIG = config_flag.define()
_WORKERS = flags.DEFINE_list("workers", ["0", "2"], "Numbers of worker processes.")
_BATCHES = flags.DEFINE_integer("batches", 20, "Batches to time per turn.", lower_bound=1)
_TURNS = flags.DEFINE_integer("turns", 5, "Turns of each pipeline.", lower_bound=1)
_EXAMPLES = flags.DEFINE_integer("examples", 64, "Images to read, at most.", lower_bound=1)
_PEER = flags.DEFINE_enum("peer", None, ["torch"], "What to compare with; nothing by default.")
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of tables.")

_TIMED_EXAMPLES = 24  # per stage
_RECIPE = ["LabelMap", "ScaleCrop", "FlipLR", "Photometric"]


@dataclasses.dataclass(frozen=True)
class _Repeated:
  """Repeats a source, so that grain shuffles as fast as for a real data set.

  Shuffling takes 5 ms per example for a data set of five, and 0.02 ms for one of three thousand.
  """

  source: datasets.Source

  def __len__(self) -> int:
    return 3000

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self.source[index % len(self.source)]


class _Stopwatch:
  """Measures the mean seconds of the functions called through it, by name."""

  def __init__(self):
    self._seconds = collections.defaultdict(list)

  def __call__(self, name: str, function: Callable, *args: Any) -> Any:
    start = time.perf_counter()
    result = function(*args)
    self._seconds[name].append(time.perf_counter() - start)
    return result

  def means(self) -> dict[str, float]:
    return {name: statistics.mean(seconds) for name, seconds in self._seconds.items()}


def _time_stages(
  source: tfds_source.TfdsSource, cached: cache.CachedSource, op: op_spec.Chain, batch_size: int
) -> dict[str, float]:
  """Seconds of each stage for one image, one after the other in this thread."""
  watch, examples = _Stopwatch(), []
  for index in range(len(cached)):  # fills the cache
    cached[index]
  for number in range(max(batch_size, _TIMED_EXAMPLES)):
    index = number % len(source)
    watch("read", source.records.__getitem__, index)
    watch("read from the cache", cached.__getitem__, index)
    example = watch("read, decode label", source.__getitem__, index)
    rng = np.random.default_rng(number)
    for one in op.ops:
      if one.needs_array and isinstance(example["image"], images.EncodedImage):
        example = {**example, "image": watch("decode image", example["image"].decode)}
      example = watch(type(one).__name__, one, example, rng)
    examples.append({**example, "mask": np.True_})
  stack = pipeline.Stack(jax.local_device_count())

  def send(batch: pipeline.Batch) -> None:
    arrays = {key: batch[key] for key in ("image", "label", "mask")}
    jax.block_until_ready(jax.device_put(arrays, devices.split_locally()))

  for _ in range(3):
    send(watch("batch", stack, examples[:batch_size]))
    watch("to devices", send, stack(examples[:batch_size]))
  whole = ("batch", "to devices")
  return {name: s / batch_size if name in whole else s for name, s in watch.means().items()}


def _write_pngs(
  source: tfds_source.TfdsSource, folder: pathlib.Path, label_map: ops.LabelMap
) -> list[tuple[pathlib.Path, pathlib.Path]]:
  """Writes images as they were encoded, and labels as class indices."""
  pairs = []
  for index in range(len(source)):
    image, label = folder / f"{index}_image.png", folder / f"{index}_label.png"
    image.write_bytes(source.records[index][source.features.image])
    example = label_map(source[index], np.random.default_rng(0))
    cv2.imwrite(str(label), example["label"])
    pairs.append((image, label))
  return pairs


def _time_peer_stages(dataset: Any) -> dict[str, float]:
  watch = _Stopwatch()
  for index in range(_TIMED_EXAMPLES):
    sample = watch("read and decode", dataset.read, index % len(dataset))
    for op in dataset.ops:
      sample = watch(op.__name__, op, sample)
    watch("to tensor", dataset.pack, sample)
  return watch.means()


def _rate(batches: Iterator[Any], batch_size: int, workers: int) -> float:
  """Images per second, after a warm-up."""
  for _ in range(2 + 2 * workers):
    next(batches)
  start = time.perf_counter()
  for _ in range(_BATCHES.value):
    batch = next(batches)
  jax.block_until_ready(batch)
  return _BATCHES.value * batch_size / (time.perf_counter() - start)


def _rates(pipelines: dict[str, Callable[[int], Iterator[Any]]], batch_size: int) -> dict[str, Any]:
  """Images per second of each pipeline, by number of workers, and the ratios to the peer."""
  result = {}
  for workers in map(int, _WORKERS.value):
    rates = {name: [] for name in pipelines}
    for turn in range(_TURNS.value):
      order = list(pipelines)[:: 1 if turn % 2 else -1]
      for name in order:
        batches = pipelines[name](workers)
        rates[name].append(_rate(batches, batch_size, workers))
        del batches  # ends the workers
    result[workers] = {name: statistics.median(rates[name]) for name in pipelines}
    for name in pipelines:
      if "peer" in pipelines and name != "peer":
        ratios = [ours / peer for ours, peer in zip(rates[name], rates["peer"], strict=True)]
        result[workers][f"{name}_ratio"] = statistics.median(ratios)
  return result


def _check_comparable(source: datasets.Source, op: op_spec.Chain) -> None:
  if not isinstance(source, tfds_source.TfdsSource):
    raise errors.UserError("config.input.data.name: only TFDS data sets can be timed")
  if _PEER.value and [type(one).__name__ for one in op.ops] != _RECIPE:
    raise errors.UserError(
      "config.input.pp: --peer only implements 'label_map|random_scale(LOW, HIGH)"
      "|random_crop(HEIGHT, WIDTH)|flip_lr|photometric'"
    )


def main(_) -> None:
  """Runs the program; see above."""
  config = _CONFIG.value
  built = parts.build(config)
  label_space, op = built.label_space, built.train_op
  dataset = datasets.open_dataset(config.input.data, label_space)
  split = config.input.data.split
  if len(dataset.split(split)) > _EXAMPLES.value:
    split += f"[:{_EXAMPLES.value}]"
  source = dataset.split(split)
  _check_comparable(source, op)
  batch_size = config.input.batch_size

  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary)
    cached = cache.on_disk(source, folder, {})

    def ours(source: datasets.Source) -> Callable[[int], Iterator[pipeline.Batch]]:
      return lambda workers: pipeline.to_devices(
        pipeline.train_batches(
          _Repeated(source),
          op,
          batch_size=batch_size,
          seed=config.seed,
          workers=workers,
          prefetch=config.input.prefetch,
        ),
        config.input.prefetch_to_device,
      )

    pipelines = {"decoding": ours(source), "cached": ours(cached)}
    result = {"seconds": {"ours": _time_stages(source, cached, op, batch_size)}}
    if _PEER.value:
      from benchmarks import torch_data

      scale_crop = op.ops[1]
      peer = torch_data.CityscapesRecipe(
        _write_pngs(source, folder, op.ops[0]),
        ratios=(scale_crop.scale.low, scale_crop.scale.high),
        crop_size=(scale_crop.crop.height, scale_crop.crop.width),
        cat_max_ratio=scale_crop.crop.cat_max_ratio,
      )
      pipelines["peer"] = lambda workers: iter(
        torch_data.loader(peer, batch_size, workers, config.input.prefetch)
      )
      result["seconds"]["peer"] = _time_peer_stages(peer)
    result["images_per_second"] = _rates(pipelines, batch_size)

  if _JSON.value:
    print(json.dumps(result))
    return
  for whose, seconds in result["seconds"].items():
    print(f"{whose}: milliseconds per image, in one thread")
    for stage, value in seconds.items():
      print(f"  {stage:22s} {1000 * value:.2f}")
  for workers, rates in result["images_per_second"].items():
    print(f"{workers} workers: images per second, and their ratio to the peer's")
    for name, value in rates.items():
      print(f"  {name:22s} {value:.4g}")


if __name__ == "__main__":
  flags.mark_flag_as_required("config")
  terminal.set_up()
  errors.run(main)
