"""From `config.images` to the format of a run's images."""

import ml_collections

from flax_unet import errors
from flax_unet.data.image_format import ImageFormat


def image_format(config: ml_collections.ConfigDict) -> ImageFormat:
  """The format of the images, `config.images`.

  Raises:
    UserError: a value is out of range; the message names the key.
  """
  images = config.images
  if images.channels < 1 or images.extra_channels < 0:
    raise errors.UserError(
      f"config.images: channels = {images.channels}, extra_channels = {images.extra_channels}: "
      "give at least 1, and at least 0"
    )
  for prefix in ("", "extra_"):
    if images[f"{prefix}dtype"] == "float32" and not images[f"{prefix}range"]:
      raise errors.UserError(
        f"config.images.{prefix}dtype = 'float32' needs config.images.{prefix}range=(LOWEST, "
        "HIGHEST), the values to scale to 0 and 1"
      )
  mean = {"mean": tuple(config.model.mean)} if "mean" in config.model else {}
  channels = images.channels + images.extra_channels
  if mean and len(mean["mean"]) not in (0, channels):
    raise errors.UserError(
      f"config.model.mean = {mean['mean']}: give one value for each of the {channels} channels "
      "that config.images asks for, or (), and the same for config.model.stddev, to compute them "
      "on the training images"
    )
  try:
    extra = None
    if images.extra_channels:
      extra = ImageFormat(
        images.extra_channels,
        images.extra_dtype,
        tuple(images.extra_range),
        mean=(),
        settings="config.images.extra_",
      )
    return ImageFormat(
      channels,
      images.dtype,
      tuple(images.range),
      tuple(images.view),
      **mean,
      extra=extra,
    )
  except ValueError as error:
    raise errors.UserError(f"config.images: {error}") from error
