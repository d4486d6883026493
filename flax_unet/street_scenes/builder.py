"""The TFDS builder of the street scenes."""

import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

from flax_unet.street_scenes.scene import draw_street_scene

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
  """

  height: int = 128
  width: int = 256
  train: int = 600
  validation: int = 80
  test: int = 40
  seed: int = 0


def _config(height: int, width: int) -> StreetScenesConfig:
  return StreetScenesConfig(
    name=f"{height}x{width}",
    description=f"Images of {height} x {width} pixels.",
    height=height,
    width=width,
  )


class StreetScenes(tfds.core.GeneratorBasedBuilder):
  """Synthetic street scenes; see the package's docstring."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012
  BUILDER_CONFIGS = [  # noqa: RUF012
    _config(128, 256),
    _config(256, 512),
    _config(512, 1024),
    StreetScenesConfig(
      name="tiny",
      description="A few images of 64 x 128 pixels, for debugging.",
      height=64,
      width=128,
      train=16,
      validation=7,
      test=4,
    ),
  ]

  def _info(self) -> tfds.core.DatasetInfo:
    size = (self.builder_config.height, self.builder_config.width)
    return tfds.core.DatasetInfo(
      builder=self,
      description=_DESCRIPTION,
      features=tfds.features.FeaturesDict(
        {
          "image_id": tfds.features.Text(),
          "image_left": tfds.features.Image(shape=(*size, 3), encoding_format="png"),
          "segmentation_label": tfds.features.Image(
            shape=(*size, 1), encoding_format="png", use_colormap=True
          ),
        }
      ),
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
    del dl_manager  # nothing to download
    return {split: self._generate_examples(split) for split in _SPLITS}

  def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    config = self.builder_config
    for index in range(getattr(config, split)):
      rng = np.random.default_rng((config.seed, _SPLITS.index(split), index))
      image, label = draw_street_scene(rng, config.height, config.width)
      image_id = f"{split}_{index:06d}"
      yield (
        image_id,
        {
          "image_id": image_id,
          "image_left": _encode(image[..., ::-1]),
          "segmentation_label": _encode(label),
        },
      )


def _encode(image: np.ndarray) -> io.BytesIO:
  """Encodes an image (BGR, or one channel) as PNG, in a quarter of the time that TFDS takes."""
  _, png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
  return io.BytesIO(png.tobytes())
