"""Street scenes: a synthetic data set with the features and label ids of Cityscapes.

Preparing it takes less than a minute and needs no download or account, so everything that runs on
Cityscapes can be tried with it first: training, evaluation, and the commands in the README. It is a
TFDS builder:

    from flax_unet.street_scenes import StreetScenes
    builder = StreetScenes(config="128x256", data_dir=..., file_format="array_record")
    builder.download_and_prepare()
    builder.as_data_source("train")

The images depend only on (seed, split, index). `scene` decides what stands where; `geometry` and
`canvas` provide the camera and the painting; each other module draws one kind of thing.
"""

from flax_unet.street_scenes.builder import StreetScenes, StreetScenesConfig

__all__ = ["StreetScenes", "StreetScenesConfig"]
