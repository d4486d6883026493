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
_MAX_CLASS_PIXELS = 480 * 240  # of an image for one class, as there are more of these
_WRONG = (229, 57, 53)
_MISSED, _CLAIMED, _FOUND = (240, 120, 30), (40, 130, 230), (255, 255, 255)
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
      For one class: white where it is found, orange where it is missed, and blue where other
      pixels are predicted as the class.
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


def show(
  picture: Picture,
  confusion: np.ndarray,
  label_space: LabelSpace,
  class_index: int | None = None,
) -> Shown:
  """Prepares an image for the report.

  Args:
    picture: the image with its label and prediction.
    confusion: its own confusion matrix, int64 `[classes, classes]`.
    label_space: colours of the classes.
    class_index: the class whose mistakes to show; None: all.
  """
  height, width = picture.label.shape
  most = _MAX_PIXELS if class_index is None else _MAX_CLASS_PIXELS
  ratio = min(1.0, math.sqrt(most / (height * width)))
  size = max(1, round(width * ratio)), max(1, round(height * ratio))
  image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA)
  label, prediction = (
    cv2.resize(indices, size, interpolation=cv2.INTER_NEAREST_EXACT)
    for indices in (picture.label, picture.prediction)
  )
  if class_index is None:
    errors = _errors(image, label, prediction)
  else:
    errors = _errors_of_class(image, picture.label, picture.prediction, class_index)
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
    errors=_jpeg(errors),
  )


def _gray(image: np.ndarray) -> np.ndarray:
  """The image, dimmed and without its colours: float64 `[height, width, 3]`."""
  gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * _DIM
  return np.broadcast_to(gray, image.shape).copy()


def _errors(image: np.ndarray, label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
  shown = _gray(image)
  shown[label == IGNORED] *= 0.3
  wrong = (label != prediction) & (label != IGNORED)
  shown[wrong] = 0.25 * shown[wrong] + 0.75 * np.array(_WRONG)
  return np.rint(shown).astype(np.uint8)


def _errors_of_class(
  image: np.ndarray, label: np.ndarray, prediction: np.ndarray, class_index: int
) -> np.ndarray:
  """Label and prediction may be larger than the image: thin objects are blended, not dropped."""
  shown = _gray(image)
  true, predicted = label == class_index, prediction == class_index
  for mask, color in (
    (true & predicted, _FOUND),
    (true & ~predicted, _MISSED),
    (predicted & ~true & (label != IGNORED), _CLAIMED),
  ):
    size = image.shape[1], image.shape[0]
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]
    opacity = 0.8 * np.sqrt(share)
    shown = (1 - opacity) * shown + opacity * np.array(color)
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
