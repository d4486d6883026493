"""What the images of a run are: how many channels, and what their values mean."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np

from flax_unet.errors import UserError

DTYPES = ("uint8", "uint16", "float32")
MAX_CHANNELS = 32
Array = TypeVar("Array")  # np.ndarray or jax.Array
_GROUP = 4  # channels that all functions of OpenCV take
_PERCENTILES = (2, 98)  # shown as black and white where images are not 8-bit RGB


@dataclasses.dataclass(frozen=True)
class ImageFormat:
  """The format of all images of a run, as files have it and as arrays have it.

  Arrays are uint8 or uint16 `[height, width, channels]`. Floating-point values of a file, and any
  numbers that neither type holds, become uint16: `value_range` is mapped to 0 to 65,535, which
  rounds by a 131,070th of the range at most. An exported file, which knows no range, keeps them.

  With `extra`, the last channels come from a second file, such as depth. If one of the two files
  has more than 8 bits or a range, all channels become uint16, and each part is stretched to 0 to
  65,535.

  Attributes:
    channels: of each image, with those of `extra`, 1 to `MAX_CHANNELS`.
    dtype: of the values in files: uint8, uint16, or float32, which stands for numbers of any type.
    value_range: the lowest and the highest possible value in files; (): all that the type holds.
      It is scaled to 0 to 1 before the mean and standard deviation are applied.
    view: the channels that figures show as red, green and blue, or the one that they show in gray,
      counted from 0; (): the first three, or the only one.
    mean: of each channel, in units of 0 to 1; where images are padded, the padding has this colour.
    extra: the format of the second file; None: there is only one.
    settings: what error messages call its settings.
  """

  channels: int = 3
  dtype: str = "uint8"
  value_range: tuple[float, ...] = ()
  view: tuple[int, ...] = ()
  mean: tuple[float, ...] = (0.485, 0.456, 0.406)
  extra: "ImageFormat | None" = None
  settings: str = "config.images."

  def __post_init__(self):
    if not 1 <= self.channels <= MAX_CHANNELS:
      raise ValueError(f"channels = {self.channels}: give 1 to {MAX_CHANNELS}")
    if self.dtype not in DTYPES:
      raise ValueError(f"dtype = '{self.dtype}': give one of {', '.join(DTYPES)}")
    if self.value_range:
      self._check_range()
    if len(self.view) not in (0, 1, 3) or any(
      not 0 <= index < self.channels for index in self.view
    ):
      raise ValueError(
        f"view = {self.view}: give three channels to show as red, green and blue, or one, from 0 "
        f"to {self.channels - 1}"
      )
    if len(self.mean) not in (0, self.channels):
      raise ValueError(
        f"mean has {len(self.mean)} values for {self.channels} channels: give one for each, or () "
        "to compute them on the training images"
      )

  def _check_range(self) -> None:
    numbers = [value for value in self.value_range if isinstance(value, int | float)]
    if (
      len(numbers) != 2
      or len(self.value_range) != 2
      or not (-math.inf < numbers[0] < numbers[1] < math.inf)
    ):
      raise ValueError(f"range = {self.value_range}: give the lowest and the highest value")
    if self.dtype != "float32" and not (numbers[0] >= 0 and numbers[1] <= np.iinfo(self.dtype).max):
      raise ValueError(
        f"range = {self.value_range}: {self.dtype} holds 0 to {np.iinfo(self.dtype).max}"
      )

  @property
  def is_rgb8(self) -> bool:
    """Whether images have three 8-bit channels, as photographs do."""
    return (self.channels, self.dtype, self.value_range) == (3, "uint8", ()) and not self.extra

  @property
  def own(self) -> "ImageFormat":
    """The format of the first file."""
    if not self.extra:
      return self
    return dataclasses.replace(
      self, channels=self.channels - self.extra.channels, view=(), mean=(), extra=None
    )

  @property
  def array_dtype(self) -> np.dtype:
    """The type of arrays."""
    if self.extra:
      is_plain = all((p.dtype, p.value_range) == ("uint8", ()) for p in (self.own, self.extra))
      return np.dtype(np.uint8 if is_plain else np.uint16)
    if self.dtype == "float32":
      return np.dtype(np.uint16 if self.value_range else np.float32)
    return np.dtype(self.dtype)

  @property
  def array_range(self) -> tuple[float, float]:
    """The values of arrays that are scaled to 0 and to 1."""
    if self.extra:
      return 0, np.iinfo(self.array_dtype).max
    if self.dtype == "float32":
      return (0.0, 65535.0) if self.value_range else (0.0, 1.0)
    return self.value_range or (0, np.iinfo(self.dtype).max)

  @property
  def pad_color(self) -> tuple[float, ...]:
    """What padding has in each channel: about 0 after normalisation, as in mmsegmentation."""
    low, high = self.array_range
    return tuple(round(low + value * (high - low)) for value in self.mean or (0.5,) * self.channels)

  @property
  def identity(self) -> dict[str, Any]:
    """What the values of arrays depend on."""
    facts = {"channels": self.channels, "dtype": self.dtype, "range": list(self.value_range)}
    return facts | ({"extra": self.extra.identity} if self.extra else {})

  def describe(self) -> str:
    """The format in words, such as `4 channels of uint16`."""
    if self.extra:
      return f"{self.own.describe()} and {self.extra.describe()}"
    limits = f" from {self.value_range[0]:g} to {self.value_range[1]:g}" if self.value_range else ""
    return f"{self.channels} channel{'s' * (self.channels > 1)} of {self.dtype}{limits}"

  def convert(self, values: np.ndarray, where: str) -> np.ndarray:
    """Turns the values of a file into those of an array.

    Args:
      values: `[height, width, channels]`, of a type that `dtype` stands for.
      where: what error messages call the file.

    Raises:
      UserError: a value is not a number, or is out of range.
    """
    if not np.isfinite(values).all():
      raise UserError(f"{where} has values that are not numbers (NaN or infinite): replace them")
    if self.value_range:
      low, high = self.value_range
      smallest, largest = values.min(), values.max()
      if smallest < low or largest > high:
        raise UserError(
          f"{where} has values from {smallest:g} to {largest:g}, outside of {self.settings}range = "
          f"({low:g}, {high:g}): give the range of all images"
        )
    if self.dtype == "float32" and self.value_range:
      return self.quantize(values.astype(np.float32)).astype(np.uint16)
    return values.astype(self.array_dtype, copy=False)

  def join(self, image: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Puts the arrays of the two files together, `[height, width, channels]`."""
    parts = ((self.own, image), (self.extra, extra))
    return np.concatenate([part._widen(array, self.array_dtype) for part, array in parts], axis=2)

  def _widen(self, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype == np.uint8:
      return array
    low, high = self.array_range
    factor = np.float32(65535 / (high - low))
    return ((array - np.float32(low)) * factor).round().clip(0, 65535).astype(dtype)

  def quantize(self, values: Array) -> Array:
    """Maps `value_range` to 0 to 65,535 in float32, the same here and in an exported file."""
    low, high = self.value_range
    factor = np.float32(65535 / (high - low))
    return ((values - np.float32(low)) * factor).round().clip(0, 65535)

  def shown(self, image: np.ndarray) -> np.ndarray:
    """Turns an array into uint8 RGB `[height, width, 3]`, for people to look at.

    8-bit RGB stays as it is, with or without extra channels. Otherwise each channel of `view` is
    stretched: its 2nd percentile becomes black, and its 98th white.
    """
    if self.is_rgb8 and self.view in ((), (0, 1, 2)):
      return image
    if self.extra and self.own.is_rgb8 and self.view in ((), (0, 1, 2)):
      colors = image[..., :3]
      return colors if colors.dtype == np.uint8 else (colors >> 8).astype(np.uint8)
    view = self.view or (range(3) if self.channels >= 3 else (0,))
    return np.dstack([_stretched(image[..., index]) for index in view] * (3 // len(view)))


RGB = ImageFormat()


def _stretched(channel: np.ndarray) -> np.ndarray:
  low, high = np.percentile(channel, _PERCENTILES)
  return np.rint(255 * ((channel - low) / max(high - low, 1e-9)).clip(0, 1)).astype(np.uint8)


def by_group(change: Callable[..., np.ndarray], image: np.ndarray, color: Any = None) -> np.ndarray:
  """Applies a function of OpenCV, which takes four channels at most, to an image of any number.

  Args:
    change: takes at most four channels of the image, and of `color` if that is given.
    image: `[height, width, channels]`, or `[height, width]`.
    color: a value for each channel; or None.

  Returns:
    The result, which always has the axis of channels if the image has it.
  """
  if image.ndim == 2 or image.shape[2] == 3:
    return change(image) if color is None else change(image, color)
  groups = [slice(start, start + _GROUP) for start in range(0, image.shape[2], _GROUP)]
  return np.dstack(
    [
      change(np.ascontiguousarray(image[..., group]), *(() if color is None else (color[group],)))
      for group in groups
    ]
  )


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resamples an image to `height` x `width` pixels, bilinearly and without a low-pass."""
  return by_group(
    lambda part: cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), image
  )
