"""Chooses the images that the report shows, and prepares them at display size."""

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

_MAX_PIXELS = 720 * 360  # of an image in the report: sharp on a third of a wide screen
_WRONG = (229, 57, 53)
_DIM = 0.55  # brightness of correct pixels, relative to the image


def choose(confusions: np.ndarray, worst: int, best: int) -> tuple[list[int], list[int]]:
  """Chooses images by their own mean IoU, over the classes in their label or prediction.

  Args:
    confusions: int64 `[images, classes, classes]`.
    worst: number of worst images, at most half of all.
    best: number of best images, at most half of all.

  Returns:
    Indices of the worst images, worst first, and of the best, best first; none twice. Images
    without a scored pixel are omitted.
  """
  scores = segmentation.mean_iou(confusions)
  order = [int(place) for place in np.argsort(scores, kind="stable") if np.isfinite(scores[place])]
  half = math.ceil(len(order) / 2)
  return order[: min(worst, half)], order[half:][::-1][:best]


@dataclasses.dataclass(frozen=True)
class Shown:
  """An image in the report. The last four attributes are data URIs.

  Attributes:
    id: the id of the example.
    width: in pixels, as shown.
    height: in pixels, as shown.
    mean_iou: over the classes in its label or prediction.
    pixel_accuracy: over the pixels that are not ignored.
    present: indices of the classes in label or prediction, largest first.
    image: the image.
    label: the label in the colours of the classes.
    prediction: the prediction, likewise.
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
  """Prepares an image for the report.

  Args:
    picture: the image with its label and prediction.
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
  """A palette PNG, a fraction of the size of an RGB one."""
  image = Image.fromarray(indices)
  image.putpalette(label_space.colorize(np.arange(256, dtype=np.uint8)).tobytes())
  buffer = io.BytesIO()
  image.save(buffer, format="PNG", optimize=True)
  return _data_uri("image/png", buffer.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
  return f"data:{kind};base64,{base64.b64encode(content).decode()}"
