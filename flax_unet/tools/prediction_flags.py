"""The flags of programs that predict images, and the request that they describe."""

import dataclasses
from collections.abc import Sequence

from absl import flags

from flax_unet import errors

_IMAGES = flags.DEFINE_string(
  "images", None, "What to predict: a folder, or a quoted pattern such as 'photos/*.jpg'."
)
_EXTRA = flags.DEFINE_string(
  "extra", None, "Folder of files with extra channels for these images, such as depth."
)
_EXTRA_SUFFIX = flags.DEFINE_string(
  "extra_suffix", None, "Suffix of those files' names (default: as in training)."
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "The folder for predicted masks, or for an evaluation's report, such as masks."
)
_FORMAT = flags.DEFINE_list(
  "format",
  ["label_ids"],
  "Formats of masks, such as color,overlay: label_ids, train_ids, color, overlay, instances, "
  "contours, probabilities, probabilities_tiff, cityscapes.",
)
_TABLE = flags.DEFINE_string(
  "table", None, "A CSV to write with one line for each image, such as predictions.csv."
)
_LABELS = flags.DEFINE_string("labels", None, "Folder of masks to score against in the table.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace existing files.")


@dataclasses.dataclass(frozen=True)
class Request:
  """What to predict, and what to write.

  Attributes:
    images: folder, file or pattern of images, see `picture_files.find`.
    output: folder for the masks, which are named after the images. With several formats, each has
      its own subfolder.
    formats: of `mask_files.FORMATS`.
    extra: folder of files with extra channels, which are named like the images.
    extra_suffix: what their names end with; None: as in training.
    table: CSV file to write, see `prediction_table`.
    labels: folder of masks to score against in the table.
    overwrite: whether existing files may be replaced.
    make_zip: whether to pack the masks of the format `cityscapes` into `cityscapes.zip`.
  """

  images: str | None
  output: str | None
  formats: Sequence[str] = ("label_ids",)
  extra: str | None = None
  extra_suffix: str | None = None
  table: str | None = None
  labels: str | None = None
  overwrite: bool = False
  make_zip: bool = False


def refuse_in(mode: str) -> None:
  """Refuses flags that a mode of the program would ignore.

  Raises:
    UserError: one of them is given.
  """
  names = ["images", "extra", "extra_suffix", "format", "table", "labels", "overwrite", "zip"]
  for name in names + ["output"] * (mode == "train"):
    if name in flags.FLAGS and flags.FLAGS[name].present:
      raise errors.UserError(f"--{name} does nothing with --mode={mode}: add --mode=predict")


def request(make_zip: bool = False) -> Request:
  """What the flags ask for."""
  return Request(
    _IMAGES.value,
    _OUTPUT.value,
    _FORMAT.value,
    _EXTRA.value,
    _EXTRA_SUFFIX.value,
    _TABLE.value,
    _LABELS.value,
    _OVERWRITE.value,
    make_zip,
  )
