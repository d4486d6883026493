"""Data sets of tensorflow-datasets, prepared on first use.

TensorFlow and tensorflow-datasets take seconds to import and are only needed for reading files, so
they are imported when a data set is opened.
"""

import contextlib
import dataclasses
import functools
import pathlib
import re
import sys
import tempfile
import types
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
from absl import logging
from jax.experimental import multihost_utils

from flax_unet import errors
from flax_unet.data import archives, images
from flax_unet.data.image_format import RGB, ImageFormat


@dataclasses.dataclass(frozen=True)
class _Features:
  """The names of a TFDS data set's features."""

  image: str
  label: str
  id: str
  extra: str = ""  # a file with extra channels


_FEATURES = {
  "street_scenes": _Features("image_left", "segmentation_label", "image_id"),
  "cityscapes": _Features("image_left", "segmentation_label", "image_id"),
  "cityscapes_disparity": _Features("image_left", "segmentation_label", "image_id"),
  "oxford_iiit_pet": _Features("image", "segmentation_mask", "file_name"),
}


@dataclasses.dataclass(frozen=True)
class TfdsSource:
  """The examples of one split, see `datasets.Source`.

  Attributes:
    name: data set and split, for error messages.
    records: encoded examples, by index.
    features: the names of the records' features.
    image_format: that of the images.
  """

  name: str
  records: Sequence[Mapping[str, Any]]
  features: _Features
  image_format: ImageFormat = RGB

  def __len__(self) -> int:
    return len(self.records)

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Reads one example; the image may be left encoded, see `datasets.Source`.

    Raises:
      UserError: the example cannot be read or decoded.
    """
    try:
      record = self.records[index]
    except (RuntimeError, ValueError, IndexError) as error:  # array_record's and protobuf's
      raise errors.UserError(f"example {index} of {self.name} cannot be read: {error}") from error
    example_id = record[self.features.id].decode()
    where = f"example '{example_id}' of {self.name}"
    encoded = record[self.features.image]
    if self.features.extra:
      extra = record[self.features.extra]
      where_extra = f"{where}: {self.features.extra}"
      image = images.decode_joined(
        encoded, f"{where}: image", extra, where_extra, self.image_format
      )
    else:
      image = images.decode_later(encoded, f"{where}: image")
    label = images.decode_ids(record[self.features.label], f"{where}: label")
    return {"image": image, "label": label, "id": example_id}


def tensorflow_datasets() -> types.ModuleType:
  """Imports tensorflow-datasets, and keeps TensorFlow from allocating accelerator memory."""
  import tensorflow as tf
  import tensorflow_datasets as tfds

  tf.config.set_visible_devices([], "GPU")
  return tfds


def open_builder(data: ml_collections.ConfigDict) -> Any:
  """Opens a TFDS data set for reading; the first process prepares it if necessary.

  Args:
    data: `name`, as in TFDS, for example "cityscapes/semantic_segmentation"; `data_dir`, the folder
      of prepared data (None: `~/tensorflow_datasets`); `manual_dir`, the folder of manually
      downloaded archives (None: `downloads/manual` in `data_dir`).

  Returns:
    The `tfds.core.DatasetBuilder`.

  Raises:
    UserError: there is no such data set, or its archives are missing.
  """
  tfds = tensorflow_datasets()
  dataset = data.name.split("/")[0]
  if dataset not in _FEATURES:
    raise errors.unknown("data set in config.input.data.name", dataset, [*_FEATURES, "folder"])
  if dataset == "cityscapes_disparity":
    import flax_unet.data.cityscapes_disparity
  if dataset == "street_scenes":
    import flax_unet.street_scenes  # noqa: F401 (importing registers it with TFDS)
  _, _, config_name = data.name.partition("/")
  configs = tfds.builder_cls(dataset).builder_configs
  if configs and config_name.split(":")[0] not in configs:
    raise errors.unknown(f"config.input.data.name: variant of {dataset}", config_name, configs)
  data_dir = str(pathlib.Path(data.data_dir).expanduser()) if data.data_dir else None
  open_it = functools.partial(
    tfds.builder, data.name, data_dir=data_dir, file_format="array_record"
  )
  if jax.process_index() == 0 and not open_it().is_prepared():
    _prepare(open_it(), data.manual_dir)
  multihost_utils.sync_global_devices("data prepared")
  builder = open_it()
  if not builder.is_prepared():
    raise errors.UserError(
      f"process {jax.process_index()} does not find {builder.data_path}: name a folder that all "
      "processes share with --config.input.data.data_dir=DIR, or prepare the data on each machine"
    )
  return builder


def _prepare(builder: Any, manual_dir: str | None) -> None:
  """Draws, downloads or unpacks a data set, with a progress bar."""
  tfds = tensorflow_datasets()
  from tensorflow_datasets.core.download import extractor

  root = pathlib.Path(builder.data_path).parents[2]
  manual = pathlib.Path(manual_dir).expanduser() if manual_dir else root / "downloads/manual"
  if builder.name == "cityscapes_disparity":
    builder.check(manual)
  if builder.name == "cityscapes":
    variant = builder.builder_config
    archives.check_cityscapes(
      manual,
      variant.zip_root,
      variant.label_suffix if variant.segmentation_labels else None,
      ("train", "val") if variant.train_extra_split else ("train", "val", "test"),
    )
  if not sys.stderr.isatty():  # no animated bar in a log file
    tfds.disable_progress_bar()
  logging.info("Preparing %s in %s (once)", builder.info.full_name, builder.data_path)
  root.mkdir(parents=True, exist_ok=True)
  with (
    contextlib.redirect_stdout(None),  # it prints an "Unknown size"
    # TFDS's own folder would keep the unpacked files and reuse them even if the archives change.
    tempfile.TemporaryDirectory(prefix="unpacking_", dir=root) as unpacked,
  ):
    config = tfds.download.DownloadConfig(manual_dir=str(manual), extract_dir=unpacked)
    try:
      builder.download_and_prepare(download_config=config)
    except extractor.ExtractError as error:
      archive = re.match(r"Error while extracting (.*?) to ", str(error))
      raise errors.UserError(
        f"{archive[1] if archive else manual}: is damaged ({error.__cause__}); download it again"
      ) from error
    except OSError:
      if not builder.is_prepared():  # by another run in the meantime
        raise


def open_split(builder: Any, split: str, image_format: ImageFormat = RGB) -> TfdsSource:
  """Opens one split of a prepared data set.

  Args:
    builder: from `open_builder`.
    split: the name of a split, or a part of one in TFDS notation, for example "train[:10%]".
    image_format: that of the images.

  Raises:
    UserError: there is no such split, it is empty, or its images are of another format.
  """
  tfds = tensorflow_datasets()
  features = _FEATURES[builder.name]
  if not image_format.is_rgb8:
    features = dataclasses.replace(features, extra="disparity_map")
    if not image_format.own.is_rgb8 or features.extra not in builder.info.features:
      raise errors.UserError(
        f"config.input.data.name = '{builder.info.full_name}' has 8-bit RGB images, but "
        f"config.images asks for {image_format.describe()}: such images are read from folders "
        "(configs/folder.py), or with disparity from cityscapes.py:depth and street_scenes.py:depth"
      )
  files = filter(None, (features.image, features.label, features.extra))
  encoded = {name: tfds.decode.SkipDecoding() for name in files}
  name = f"{builder.name} {split}"
  try:
    num_examples = builder.info.splits[split].num_examples
  except ValueError as error:
    reason = str(error).splitlines()[0]
    raise errors.UserError(
      f"{name}: {reason} (splits: {', '.join(builder.info.splits)})"
    ) from error
  if not num_examples:
    raise errors.UserError(f"{name}: the split is empty")
  return TfdsSource(name, builder.as_data_source(split, decoders=encoded), features, image_format)


def fingerprint(builder: Any) -> dict[str, Any]:
  """Identifies the data that a run has seen: name, version, and the size of each split."""
  return {
    "name": builder.info.full_name,
    "splits": {
      str(name): {"examples": split.num_examples, "bytes": int(split.num_bytes)}
      for name, split in sorted(builder.info.splits.items())
    },
  }


class TfdsDataset:
  """A data set of TFDS, see `datasets.Dataset`."""

  def __init__(self, data: ml_collections.ConfigDict, image_format: ImageFormat = RGB):
    """Opens it; see `open_builder`."""
    self._builder = open_builder(data)
    self._image_format = image_format

  def split(self, name: str) -> TfdsSource:
    """See `open_split`."""
    return open_split(self._builder, name, self._image_format)

  def fingerprint(self) -> dict[str, Any]:
    """See `fingerprint`."""
    return fingerprint(self._builder)

  def digests(self) -> dict[str, dict[str, str]]:
    """Returns none: a version of a TFDS data set does not change."""
    return {}
