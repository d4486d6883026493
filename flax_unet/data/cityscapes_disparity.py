"""A TFDS builder of Cityscapes with labels and disparity, for RGB-D segmentation.

TFDS's own `cityscapes/stereo_disparity` has no labels and declares 8 bits. This builder joins the
official archives by the ids of the frames. It keeps the files as they are: disparity maps are
16-bit PNGs, 0 where unknown, and elsewhere 1 + 256 times the disparity in pixels.
"""

import io
import pathlib
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from flax_unet import errors
from flax_unet.data import archives

_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_SIZE = (1024, 2048)
_IMAGES, _LABELS, _DISPARITIES = "leftImg8bit", "gtFine", "disparity"
_ARCHIVES = {kind: f"{kind}_trainvaltest.zip" for kind in (_IMAGES, _LABELS, _DISPARITIES)}


class CityscapesDisparity(tfds.core.GeneratorBasedBuilder):
  """Images, fine labels and disparity maps of Cityscapes."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"""\
  Put {", ".join(_ARCHIVES.values())} from https://www.cityscapes-dataset.com/downloads here.
  """

  def _info(self) -> tfds.core.DatasetInfo:
    image = {
      "image_left": ((*_SIZE, 3), np.uint8),
      "segmentation_label": ((*_SIZE, 1), np.uint8),
      "disparity_map": ((*_SIZE, 1), np.uint16),
    }
    features = {
      name: tfds.features.Image(shape=shape, dtype=dtype, encoding_format="png")
      for name, (shape, dtype) in image.items()
    }
    return tfds.core.DatasetInfo(
      builder=self,
      description=__doc__,
      features=tfds.features.FeaturesDict({"image_id": tfds.features.Text(), **features}),
    )

  @staticmethod
  def check(folder: pathlib.Path) -> None:
    """Checks that the archives are complete, see `archives.check_cityscapes`.

    Raises:
      UserError: an archive is missing or invalid, or has no file for an image.
    """
    for kind, suffix in ((_LABELS, "gtFine_labelIds"), (_DISPARITIES, "disparity")):
      roots = {
        "images_left": (_ARCHIVES[_IMAGES], _IMAGES),
        "segmentation_labels": (_ARCHIVES[kind], kind),
      }
      archives.check_cityscapes(folder, roots, suffix, _SPLITS.values())

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
    folder = pathlib.Path(dl_manager.manual_dir)
    return {split: self._generate_examples(folder, name) for split, name in _SPLITS.items()}

  def _generate_examples(
    self, folder: pathlib.Path, split: str
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    files = {kind: zipfile.ZipFile(folder / archive) for kind, archive in _ARCHIVES.items()}
    pattern = re.compile(rf"{_IMAGES}/{split}/([^/]+)/([^./]+)_{_IMAGES}\.png")

    def read(kind: str, name: str) -> io.BytesIO:
      try:
        return io.BytesIO(files[kind].read(f"{kind}/{split}/{name}.png"))
      except (zipfile.BadZipFile, OSError) as error:
        raise errors.UserError(
          f"{folder / _ARCHIVES[kind]}: is damaged ({error}); download it again"
        ) from error

    for match in filter(None, map(pattern.fullmatch, sorted(files[_IMAGES].namelist()))):
      place = "/".join(match.groups())
      yield (
        match[2],
        {
          "image_id": match[2],
          "image_left": read(_IMAGES, f"{place}_{_IMAGES}"),
          "segmentation_label": read(_LABELS, f"{place}_gtFine_labelIds"),
          "disparity_map": read(_DISPARITIES, f"{place}_disparity"),
        },
      )
    for file in files.values():
      file.close()
