"""Measures how well colour alone predicts the street scenes, and how common each class is.

    python benchmarks/color_classifier.py [--data_dir=DIR] [--config=128x256]

Fits a multinomial logistic regression on the RGB of single pixels of the training split and scores
it on every pixel of the validation split. If it did well, the data set would be useless for testing
a network, which should need shape, texture and context.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flax_unet.data.label_spaces import CITYSCAPES_19, IGNORED
from flax_unet.street_scenes import StreetScenes

_PIXELS_PER_PICTURE = 300  # 600 images give 180,000 pixels; more do not change the result


def read_pixels(source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields, per image, RGB float32 `[pixels, 3]` and classes `[pixels]` of the labelled pixels."""
  for example in source:
    classes = CITYSCAPES_19.to_index(example["segmentation_label"]).reshape(-1)
    valid = classes != IGNORED
    yield example["image_left"].reshape(-1, 3)[valid].astype(np.float32), classes[valid]


def fit_color_classifier(source, rng: np.random.Generator):
  """Fits the classifier on an equal number of random pixels from every image."""
  colors, classes = [], []
  for rgb, index in read_pixels(source):
    chosen = rng.choice(len(index), _PIXELS_PER_PICTURE, replace=False)
    colors.append(rgb[chosen])
    classes.append(index[chosen])
  classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
  return classifier.fit(np.concatenate(colors), np.concatenate(classes))


def count_confusions(classifier, source) -> np.ndarray:
  """Returns the confusion matrix int64 `[true class, predicted class]` over all labelled pixels."""
  num_classes = CITYSCAPES_19.num_classes
  confusion = np.zeros((num_classes, num_classes), np.int64)
  for rgb, index in read_pixels(source):
    pairs = index.astype(np.int64) * num_classes + classifier.predict(rgb)
    confusion += np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
  return confusion


def main() -> None:
  """Runs the program; see above."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--data_dir", help="folder of the prepared data")
  parser.add_argument("--config", default="128x256", help="size of the images")
  args = parser.parse_args()
  builder = StreetScenes(config=args.config, data_dir=args.data_dir, file_format="array_record")
  builder.download_and_prepare()
  classifier = fit_color_classifier(builder.as_data_source("train"), np.random.default_rng(0))
  confusion = count_confusions(classifier, builder.as_data_source("validation"))
  hits = np.diag(confusion)
  iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
  share = confusion.sum(1) / confusion.sum()
  print(f"{'class':<14} {'share %':>8} {'IoU of colour':>14}")
  for name, percent, score in zip(CITYSCAPES_19.class_names, 100 * share, iou, strict=True):
    print(f"{name:<14} {percent:8.2f} {score:14.3f}")
  print(
    f"mean IoU of colour alone: {iou.mean():.3f}; pixel accuracy {hits.sum() / confusion.sum():.3f}"
  )


if __name__ == "__main__":
  main()
