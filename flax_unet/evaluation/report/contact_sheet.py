"""Draws a contact sheet: one image that shows many examples with their labels."""

from collections.abc import Sequence

import cv2
import numpy as np

from flax_unet.data.label_space import IGNORED, LabelSpace

_GAP = 8  # pixels between images
_ROW = 24  # height of a line of text, in pixels
_LARGEST = 512  # longer side of an image, in pixels
_COLUMN = 170  # width of a legend entry, in pixels


def draw(
  examples: Sequence[tuple[str, np.ndarray, np.ndarray]], label_space: LabelSpace
) -> np.ndarray:
  """Draws rows of image | overlay of image and label | label, above a legend of their classes.

  Args:
    examples: tuples of id, image (uint8 `[height, width, 3]`, RGB) and label (uint8
      `[height, width]`, class indices; ignored pixels are drawn black); at least one.
    label_space: names and colours of the classes.

  Returns:
    uint8 `[height, width, 3]`, RGB.
  """
  rows, present = [], set()
  for name, image, label in examples:
    present.update(np.unique(label).tolist())
    image = _shrink(image, cv2.INTER_AREA)
    colors = _shrink(label_space.colorize(label), cv2.INTER_NEAREST_EXACT)
    overlay = cv2.addWeighted(image, 0.5, colors, 0.5, 0)
    gap = np.full((image.shape[0], _GAP, 3), 255, np.uint8)
    row = np.hstack([image, gap, overlay, gap, colors])
    rows.append(np.vstack([row, _text(name, row.shape[1])]))
  width = max(_COLUMN, *(row.shape[1] for row in rows))
  rows += _legend(sorted(present), label_space, width)
  padded = [
    cv2.copyMakeBorder(
      row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
    for row in rows
  ]
  return np.vstack(padded)


def _shrink(picture: np.ndarray, interpolation: int) -> np.ndarray:
  height, width = picture.shape[:2]
  ratio = min(1.0, _LARGEST / max(height, width))
  size = max(1, round(width * ratio)), max(1, round(height * ratio))
  return cv2.resize(picture, size, interpolation=interpolation)


def _text(text: str, width: int, indent: int = 0) -> np.ndarray:
  """A white strip with text."""
  line = np.full((_ROW, width, 3), 255, np.uint8)
  place = (indent, _ROW - 8)
  return cv2.putText(
    line, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA
  )


def _legend(present: Sequence[int], label_space: LabelSpace, width: int) -> list[np.ndarray]:
  """Rows of coloured squares with class names."""
  entries = []
  for index in present:
    name = "ignored" if index == IGNORED else label_space.class_names[index]
    entry = _text(name, _COLUMN, indent=_ROW)
    entry[4:-4, 4 : _ROW - 4] = label_space.colorize(np.array(index))
    entries.append(entry)
  columns = width // _COLUMN
  return [np.hstack(entries[start : start + columns]) for start in range(0, len(entries), columns)]
