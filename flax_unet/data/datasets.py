"""The data sets that a run can train on, however they are stored."""

import re
from typing import Any, Protocol

import ml_collections

from flax_unet import plugins
from flax_unet.data import tfds_source
from flax_unet.data.folder import FolderDataset
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.label_space import LabelSpace


class Source(Protocol):
  """Random access to the examples of one split."""

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Reads one example.

    Returns:
      `image` uint8 `[height, width, 3]`, RGB, as an array or an `images.EncodedImage`, or an array
      of the image format of the run; `label`
      `[height, width]`, label ids; `id` str. Image and label are returned as stored:
      `ops.check_example` checks whether they fit together.

    Raises:
      UserError: the example cannot be decoded.
    """


class Dataset(Protocol):
  """A data set with splits."""

  def split(self, name: str) -> Source:
    """Opens a split.

    Raises:
      UserError: there is no such split, it is empty, or its files cannot be used.
    """

  def fingerprint(self) -> dict[str, Any]:
    """Identifies the data that a run has seen: `name`, and facts about each of the `splits`.

    For each split, the number of `examples`; possibly their size in `bytes`, and other facts.
    """

  def digests(self) -> dict[str, dict[str, str]]:
    """Returns a digest of each example by split and id; empty if examples cannot change."""


def open_dataset(
  data: ml_collections.ConfigDict,
  label_space: LabelSpace,
  skip_bad_examples: bool = False,
  image_format: ImageFormat = RGB,
  *,
  log_bad_examples: bool = True,
) -> Dataset:
  """Opens a data set.

  Args:
    data: `config.input.data`. Its `name` is "folder" for your own images (`FolderDataset`), the
      name of a TFDS data set (`tfds_source.open_builder`), or `package.module.Name` of a
      `Dataset`, which is called with `data` and `label_space`.
    label_space: the classes of the labels.
    skip_bad_examples: whether a folder with some bad examples can be opened.
    image_format: that of the images.
    log_bad_examples: whether to warn about those that are skipped; False if the caller tells them.

  Raises:
    UserError: there is no such data set, or its files cannot be used.
  """
  if re.fullmatch(r"[\w.]+\.\w+", data.name):
    dataset = plugins.resolve("data set in config.input.data.name", data.name, {})
    return dataset(data, label_space)
  if data.name == "folder":
    return FolderDataset(
      data, label_space, skip_bad_examples, image_format, log_bad_examples=log_bad_examples
    )
  return tfds_source.TfdsDataset(data, image_format)
