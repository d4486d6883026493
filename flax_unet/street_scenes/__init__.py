"""Street scenes: a data set that is drawn, with the features and label ids of Cityscapes.

Preparing it needs no download, no account and less than a minute, so that everything that runs on
Cityscapes can be tried first: training, evaluation, and the commands in the README. It is a TFDS
builder:

    from flax_unet.street_scenes import StreetScenes
    builder = StreetScenes(config="128x256", data_dir=..., file_format="array_record")
    builder.download_and_prepare()
    builder.as_data_source("train")

The pictures follow from (seed, split, index) only. `scene` decides what stands where; `geometry`
and `canvas` are the camera and the paint; the other modules each draw one kind of thing.
"""

from flax_unet.street_scenes.builder import StreetScenes, StreetScenesConfig

__all__ = ["StreetScenes", "StreetScenesConfig"]
