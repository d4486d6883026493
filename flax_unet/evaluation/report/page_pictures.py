"""The pictures of the page: which to show, at the size at which they are looked at."""

import base64
import dataclasses
import io
import math

import cv2
import numpy as np
from PIL import Image

from flax_unet.data.label_space import IGNORED, LabelSpace
from flax_unet.evaluation.evaluators.base import Picture
from flax_unet.evaluation.metrics import segmentation

_MAX_PIXELS = 720 * 360  # of a picture on the page: sharp on a third of a wide screen
_WRONG = (229, 57, 53)
_DIM = 0.55  # how much of the brightness pixels keep that are not wrong


def choose(confusions: np.ndarray, worst: int, best: int) -> tuple[list[int], list[int]]:
  """Chooses pictures by their own mean IoU, over the classes they hold or are said to hold.

  Args:
    confusions: int64 `[pictures, classes, classes]`.
    worst: how many of the worst; half of the pictures at most.
    best: how many of the best, likewise.

  Returns:
    Places of the worst pictures, the worst first, and of the best, the best first; no place twice.
    Pictures without a pixel that counts are left out.
  """
  scores = segmentation.mean_iou(confusions)
  order = [int(place) for place in np.argsort(scores, kind="stable") if np.isfinite(scores[place])]
  half = math.ceil(len(order) / 2)
  return order[: min(worst, half)], order[half:][::-1][:best]


@dataclasses.dataclass(frozen=True)
class Shown:
  """A picture on the page.

  Attributes:
    id: of the picture.
    width: in pixels, as shown.
    height: in pixels, as shown.
    mean_iou: over the classes it holds or is said to hold.
    pixel_accuracy: over its pixels that are not ignored.
    present: indices of the classes in label or prediction, the largest first.
    image: as a data URI; so are the others.
    label: in the classes' colours.
    prediction: likewise.
    errors: the image in gray, dark where the label is ignored, red where the prediction is wrong.
  """

  id: str
  width: int
  height: int
  mean_iou: float
  pixel_accuracy: float
  present: list[int]
  image: str
  label: str
  prediction: str
  errors: str


def show(picture: Picture, confusion: np.ndarray, label_space: LabelSpace) -> Shown:
  """Prepares a picture for the page.

  Args:
    picture: the picture.
    confusion: its own confusion matrix, int64 `[classes, classes]`.
    label_space: colours of the classes.
  """
  height, width = picture.label.shape
  ratio = min(1.0, math.sqrt(_MAX_PIXELS / (height * width)))
  size = max(1, round(width * ratio)), max(1, round(height * ratio))
  image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA)
  label, prediction = (
    cv2.resize(indices, size, interpolation=cv2.INTER_NEAREST_EXACT)
    for indices in (picture.label, picture.prediction)
  )
  pixels = confusion.sum(axis=0) + confusion.sum(axis=1)
  return Shown(
    id=picture.id,
    width=size[0],
    height=size[1],
    mean_iou=float(segmentation.mean_iou(confusion)),
    pixel_accuracy=float(segmentation.pixel_accuracy(confusion)),
    present=[int(index) for index in np.argsort(-pixels, kind="stable") if pixels[index]],
    image=_jpeg(image),
    label=_indexed_png(label, label_space),
    prediction=_indexed_png(prediction, label_space),
    errors=_jpeg(_errors(image, label, prediction)),
  )


def _errors(image: np.ndarray, label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
  gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * _DIM
  shown = np.broadcast_to(gray, image.shape).copy()
  shown[label == IGNORED] *= 0.3
  wrong = (label != prediction) & (label != IGNORED)
  shown[wrong] = 0.25 * shown[wrong] + 0.75 * np.array(_WRONG)
  return np.rint(shown).astype(np.uint8)


def _jpeg(rgb: np.ndarray) -> str:
  _, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
  return _data_uri("image/jpeg", encoded.tobytes())


def _indexed_png(indices: np.ndarray, label_space: LabelSpace) -> str:
  """A palette PNG, which is a fraction of one of colours."""
  image = Image.fromarray(indices)
  image.putpalette(label_space.colorize(np.arange(256, dtype=np.uint8)).tobytes())
  buffer = io.BytesIO()
  image.save(buffer, format="PNG", optimize=True)
  return _data_uri("image/png", buffer.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
  return f"data:{kind};base64,{base64.b64encode(content).decode()}"
