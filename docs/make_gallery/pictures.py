"""Puts images into columns, and writes small WebP files."""

import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from docs.make_gallery.op_examples import Column
from flax_unet import files

_WIDTH = 1048  # of a picture, so that all are shown at one scale; four columns of a scene fit
_GAP = 8  # between tiles, in pixels
_CAPTION = 24  # height of a line of text, in pixels
QUALITY = 60  # of pictures of ops, 0 to 100: about 25 kB each
_GRAY = (118, 118, 118, 255)  # legible on white and on black, as pages have either


def arrange(columns: Sequence[Column]) -> Image.Image:
  """Puts columns side by side, with captions above, on a transparent background."""
  height = max(sum(len(tile) + _GAP for tile in column.tiles) for column in columns)
  sheet = Image.new("RGBA", (_WIDTH, _CAPTION + height - _GAP))
  draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
  left = 0
  for column in columns:
    draw.text((left, 0), column.caption, fill=_GRAY, font=font)
    top = _CAPTION
    for tile in column.tiles:
      sheet.paste(Image.fromarray(np.ascontiguousarray(tile)), (left, top))
      top += len(tile) + _GAP
    left += _width(column) + _GAP
  return sheet


def _width(column: Column) -> int:
  font = ImageFont.load_default(15)
  return max(int(np.ceil(font.getlength(column.caption))), *(t.shape[1] for t in column.tiles))


def save(picture: Image.Image, path: pathlib.Path, quality: int) -> None:
  """Writes a WebP file; equal pictures become equal files."""
  with files.replacing(path) as temporary:
    picture.save(temporary, "WEBP", quality=quality, method=6, use_sharp_yuv=True)
