"""The TFDS builder of the street scenes."""

import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

from flax_unet.street_scenes.scene import draw_with_depth

_DESCRIPTION = """\
Street scenes drawn by a program, with the features and label ids of Cityscapes
(cityscapes/semantic_segmentation) and class shares of the same order.
"""
_SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(eq=False)
class StreetScenesConfig(tfds.core.BuilderConfig):
  """The image size, the number of images per split, and the seed.

  Attributes:
    height, width: pixels; the width is twice the height, as in Cityscapes.
    train, validation, test: numbers of images.
    seed: determines all images; configurations that differ only in size show the same scenes.
    disparity: whether there is a disparity map, encoded as in Cityscapes.
  """

  height: int = 128
  width: int = 256
  train: int = 600
  validation: int = 80
  test: int = 40
  seed: int = 0
  disparity: bool = False


def _configs() -> Iterator[StreetScenesConfig]:
  for disparity in (False, True):
    ending, words = ("_disparity", ", with disparity") if disparity else ("", "")
    for height in (128, 256, 512):
      yield StreetScenesConfig(
        name=f"{height}x{2 * height}{ending}",
        description=f"Images of {height} x {2 * height} pixels{words}.",
        height=height,
        width=2 * height,
        disparity=disparity,
      )
    yield StreetScenesConfig(
      name=f"tiny{ending}",
      description=f"A few images of 64 x 128 pixels{words}, for debugging.",
      height=64,
      width=128,
      train=16,
      validation=7,
      test=4,
      disparity=disparity,
    )


class StreetScenes(tfds.core.GeneratorBasedBuilder):
  """Synthetic street scenes; see the package's docstring."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012
  BUILDER_CONFIGS = list(_configs())  # noqa: RUF012

  def _info(self) -> tfds.core.DatasetInfo:
    size = (self.builder_config.height, self.builder_config.width)
    features = {
      "image_id": tfds.features.Text(),
      "image_left": tfds.features.Image(shape=(*size, 3), encoding_format="png"),
      "segmentation_label": tfds.features.Image(
        shape=(*size, 1), encoding_format="png", use_colormap=True
      ),
    }
    if self.builder_config.disparity:
      features["disparity_map"] = tfds.features.Image(
        shape=(*size, 1), dtype=np.uint16, encoding_format="png"
      )
    return tfds.core.DatasetInfo(
      builder=self,
      description=_DESCRIPTION,
      features=tfds.features.FeaturesDict(features),
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
    del dl_manager  # nothing to download
    return {split: self._generate_examples(split) for split in _SPLITS}

  def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    config = self.builder_config
    for index in range(getattr(config, split)):
      rng = np.random.default_rng((config.seed, _SPLITS.index(split), index))
      image, label, disparity = draw_with_depth(rng, config.height, config.width)
      image_id = f"{split}_{index:06d}"
      example = {
        "image_id": image_id,
        "image_left": _encode(image[..., ::-1]),
        "segmentation_label": _encode(label),
      }
      if config.disparity:
        values = np.rint(256 * disparity).clip(0, 2**16 - 2) + 1  # 0 would be unknown
        example["disparity_map"] = _encode(values.astype(np.uint16))
      yield image_id, example


def _encode(image: np.ndarray) -> io.BytesIO:
  """Encodes an image (BGR, or one channel) as PNG, in a quarter of the time that TFDS takes."""
  _, png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
  return io.BytesIO(png.tobytes())
