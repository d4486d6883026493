"""Reads masks: PNGs that hold label ids, or colours from a table.

Gray and palette PNGs hold label ids; a palette, as PASCAL VOC has it, is for the eye only. RGB PNGs
hold colours. Pillow reads them, since OpenCV turns palettes into colours.
"""

import io

import numpy as np
from PIL import Image

from flax_unet import errors
from flax_unet.data.label_space import LabelSpace


def decode(encoded: bytes, label_space: LabelSpace, where: str) -> np.ndarray:
  """Decodes a mask.

  Args:
    encoded: the content of a PNG file.
    label_space: which ids and colours there may be.
    where: what error messages call the mask, for example its path.

  Returns:
    uint8 `[height, width]`, label ids of the label space.

  Raises:
    UserError: it is damaged, of a kind that holds neither ids nor colours, or has a value or colour
      that the label space does not know; the message holds the first one and its place.
  """
  try:
    with Image.open(io.BytesIO(encoded), formats=["PNG"]) as image:
      stored_as = str(image.tile[0].args)  # "L;2": gray with 2 bits a pixel
      image.load()
  except (OSError, SyntaxError, ValueError) as error:
    raise errors.UserError(f"{where}: cannot be decoded as PNG ({len(encoded)} bytes)") from error
  if stored_as in ("1", "L;2", "L;4"):  # decoders stretch these to 0..255, and the ids are gone
    raise errors.UserError(f"{where}: has fewer than 8 bits a pixel; write 8-bit gray or a palette")
  if image.mode in ("RGB", "RGBA"):
    return _ids_of_colors(np.asarray(image.convert("RGB")), label_space, where)
  if image.mode not in ("L", "P", "I;16"):
    raise errors.UserError(
      f"{where}: is of Pillow's mode '{image.mode}'; write ids as 8-bit gray, or colours as RGB"
    )
  ids = np.asarray(image)
  _check_ids(ids, label_space, where)
  if image.mode == "P":
    _check_palette(ids, image.getpalette(), label_space, where)
  return ids.astype(np.uint8)


def _check_ids(ids: np.ndarray, label_space: LabelSpace, where: str) -> None:
  """Refuses values that are no label id."""
  is_known = np.zeros(2 ** (8 * ids.itemsize), bool)
  is_known[list(label_space.id_to_index)] = True
  known = is_known[ids]
  if not known.all():
    y, x = np.unravel_index(np.argmin(known), ids.shape)
    valid = ", ".join(map(str, sorted(label_space.id_to_index)))
    raise errors.UserError(
      f"{where}: value {ids[y, x]} at x={x}, y={y} is not in label space '{label_space.name}', "
      f"which has {valid}; draw it anew, or name all classes with num_classes= or classes=FILE.csv"
    )


def _check_palette(
  ids: np.ndarray, palette: list[int], label_space: LabelSpace, where: str
) -> None:
  """Refuses a palette that paints an id as another class.

  Programs that shrink PNGs turn colours into palettes in any order: then the numbers mean nothing.
  """
  for used in np.flatnonzero(np.bincount(ids.reshape(-1))).tolist():
    color = tuple(palette[3 * used : 3 * used + 3])
    if label_space.color_to_id.get(color, used) != used:
      raise errors.UserError(
        f"{where}: its palette paints {used} in the colour {color}, which is "
        f"{label_space.color_to_id[color]} in '{label_space.name}'; write RGB or 8-bit gray instead"
      )


def _ids_of_colors(colors: np.ndarray, label_space: LabelSpace, where: str) -> np.ndarray:
  """Looks up the label id of each pixel of an RGB mask, uint8 `[height, width, 3]`."""
  if not label_space.color_to_id:
    raise errors.UserError(
      f"{where}: is an RGB picture, but label space '{label_space.name}' has no table of colours; "
      "give one with config.label_space=FILE.csv"
    )
  table = sorted((_pack(np.array(color)), id_) for color, id_ in label_space.color_to_id.items())
  keys, ids = np.array([key for key, _ in table]), np.array([id_ for _, id_ in table], np.uint8)
  packed = _pack(colors)
  rows = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
  known = keys[rows] == packed
  if not known.all():
    y, x = np.unravel_index(np.argmin(known), known.shape)
    raise errors.UserError(
      f"{where}: colour {tuple(colors[y, x].tolist())} at x={x}, y={y} is not in "
      f"'{label_space.name}'"
    )
  return ids[rows]


def _pack(colors: np.ndarray) -> np.ndarray:
  """One number for each colour `[..., 3]`."""
  red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
  return red << 16 | green << 8 | blue
