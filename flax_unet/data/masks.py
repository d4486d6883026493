"""Reads masks: image files with label ids, or with colours from a table.

Grayscale and palette masks hold label ids; a palette, as in PASCAL VOC, is only for viewing. RGB
masks hold colours, or ids in three equal channels. PNG, TIFF and BMP are lossless; JPEG is not, and
GIF renumbers its colours. Pillow reads them, since OpenCV turns palettes into colours.
"""

import io
from collections.abc import Collection

import numpy as np
from PIL import Image

from flax_unet import errors
from flax_unet.data import codecs, image_headers
from flax_unet.data.label_space import LabelSpace

ENDINGS = (".png", ".tif", ".tiff", ".bmp")
_FORMATS = ("PNG", "TIFF", "BMP")
_STRETCHED = {"1": 255, "L;2": 85, "L;4": 17}  # Pillow's factors for the values of such PNGs


class UnknownLabelsError(errors.UserError):
  """A mask has values that are not in the label space.

  Attributes:
    values: all of them, numbers or colours (red, green, blue).
  """

  def __init__(self, message: str, values: Collection[int | tuple[int, ...]] = ()):
    """See class."""
    super().__init__(message)
    self.values = values


def decode(encoded: bytes, label_space: LabelSpace, where: str) -> np.ndarray:
  """Decodes a mask.

  Args:
    encoded: the content of a file.
    label_space: the valid ids and colours.
    where: what error messages call the mask, for example its path.

  Returns:
    uint8 `[height, width]`, label ids of the label space.

  Raises:
    UserError: it is damaged, or of a kind that holds neither ids nor colours.
    UnknownLabelsError: it has a value or colour that is not in the label space; the message gives
      the first one and its position.
  """
  pixels, palette = _decode(encoded, where)
  if pixels.ndim == 3:
    if label_space.color_to_id:
      return _ids_of_colors(pixels, label_space, where)
    pixels = _equal_channels(pixels, where)
  _check_ids(pixels, label_space, where)
  ids = pixels.astype(np.uint8, copy=False)
  if palette is not None:
    _check_palette(ids, palette, label_space, where)
  return ids


def decode_numbers(encoded: bytes, where: str) -> np.ndarray:
  """Decodes a mask with any numbers to integers `[height, width]`; otherwise like `decode`."""
  pixels, _ = _decode(encoded, where)
  return _equal_channels(pixels, where) if pixels.ndim == 3 else pixels


def _decode(encoded: bytes, where: str) -> tuple[np.ndarray, list[int] | None]:
  """Decodes the numbers or colours of a mask as they are stored.

  Args:
    encoded: the content of a PNG, TIFF or BMP file.
    where: what error messages call the mask.

  Returns:
    Integers `[height, width]`, or uint8 colours `[height, width, 3]`; and the palette, if it has
    one, with 3 numbers per colour.

  Raises:
    UserError: it is damaged, too large, or of a kind that holds neither ids nor colours.
  """
  header = image_headers.read(encoded, f"{where}:")
  if header.format == "JPEG":
    raise errors.UserError(
      f"{where}: is a JPEG, which does not keep ids: it blurs them along edges; save the mask as "
      "PNG"
    )
  if header.format not in _FORMATS:
    raise errors.UserError(f"{where}: is {header.format}; masks must be {', '.join(_FORMATS)}")
  if header.format == "PNG":
    codecs.check_png(encoded, f"{where}:")
  if header.pages > 1:
    raise errors.UserError(f"{where}: has {header.pages:,} pages or frames; a mask has one")
  try:
    with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
      stored_as = str(image.tile[0].args) if image.tile and header.format == "PNG" else ""
      image.load()
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
    raise errors.UserError(f"{where}: cannot be decoded ({len(encoded):,} bytes)") from error
  if image.mode in ("RGBA", "LA", "PA"):
    image = _without_transparency(image, where)
  if image.mode == "RGB":
    return np.asarray(image), None
  if image.mode == "1":
    return np.asarray(image).astype(np.uint8), None
  if image.mode not in ("L", "P", "I", "I;16", "I;16B", "I;16L"):
    raise errors.UserError(
      f"{where}: has Pillow's mode '{image.mode}'; save ids as 8-bit gray, or colours as RGB"
    )
  pixels = np.asarray(image) // _STRETCHED.get(stored_as, 1)
  return pixels, image.getpalette("RGB") if image.mode == "P" else None


def _without_transparency(image: Image.Image, where: str) -> Image.Image:
  """Drops an alpha channel that is opaque everywhere; refuses any other."""
  if image.getchannel("A").getextrema() != (255, 255):
    raise errors.UserError(
      f"{where}: has transparent pixels (Pillow's mode '{image.mode}'), which are no class; save "
      "ids as 8-bit gray, or colours as RGB"
    )
  return image.convert({"RGBA": "RGB", "LA": "L", "PA": "RGB"}[image.mode])


def _equal_channels(colors: np.ndarray, where: str) -> np.ndarray:
  """Returns the ids of three equal channels `[height, width, 3]`."""
  if (colors == colors[..., :1]).all():
    return colors[..., 0]
  raise errors.UserError(
    f"{where}: is an RGB image, but the label space has no table of colours; give one with "
    "classes=FILE.csv or config.label_space=FILE.csv"
  )


def _check_ids(ids: np.ndarray, label_space: LabelSpace, where: str) -> None:
  """Refuses values that are not label ids."""
  if ids.dtype == np.uint8:
    known = label_space.known_ids[ids]
  else:
    known = label_space.known_ids[np.clip(ids, 0, 255)] & (ids >= 0) & (ids <= 255)
  if not known.all():
    y, x = np.unravel_index(np.argmin(known), ids.shape)
    valid = ", ".join(map(str, sorted(label_space.id_to_index)))
    raise UnknownLabelsError(
      f"{where}: value {ids[y, x]} at x={x}, y={y} is not in label space '{label_space.name}', "
      f"which has {valid}; fix the mask, list all classes with num_classes= or classes=FILE.csv, "
      "or ignore one value with ignore=VALUE",
      np.unique(ids[~known]).tolist(),
    )


def _check_palette(
  ids: np.ndarray, palette: list[int], label_space: LabelSpace, where: str
) -> None:
  """Refuses a palette that paints an id in the colour of another class.

  PNG optimisers turn colours into palettes in arbitrary order, so the numbers lose their meaning.
  """
  for used in np.flatnonzero(np.bincount(ids.reshape(-1))).tolist():
    color = tuple(palette[3 * used : 3 * used + 3])
    if label_space.color_to_id.get(color, used) != used:
      raise errors.UserError(
        f"{where}: its palette paints {used} in the colour {color}, which is "
        f"{label_space.color_to_id[color]} in '{label_space.name}'; save it as RGB or 8-bit gray"
      )


def _ids_of_colors(colors: np.ndarray, label_space: LabelSpace, where: str) -> np.ndarray:
  """Looks up the label id of each pixel of an RGB mask, uint8 `[height, width, 3]`."""
  table = sorted((_pack(np.array(color)), id_) for color, id_ in label_space.color_to_id.items())
  keys, ids = np.array([key for key, _ in table]), np.array([id_ for _, id_ in table], np.uint8)
  packed = _pack(colors)
  rows = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
  known = keys[rows] == packed
  if not known.all():
    y, x = np.unravel_index(np.argmin(known), known.shape)
    raise UnknownLabelsError(
      f"{where}: colour {tuple(colors[y, x].tolist())} at x={x}, y={y} is not in "
      f"'{label_space.name}'",
      [tuple(color) for color in np.unique(colors[~known], axis=0).tolist()],
    )
  return ids[rows]


def _pack(colors: np.ndarray) -> np.ndarray:
  """Packs each colour `[..., 3]` into one number."""
  red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
  return red << 16 | green << 8 | blue
