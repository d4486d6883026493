"""Scores masks predicted by any program, with the official Cityscapes definitions.

    python -m flax_unet.tools.score --predictions=DIR --labels=DIR [--instances=DIR]
    python -m flax_unet.tools.score --predictions=DIR --labels=DIR --label_space=FILE.csv

`--labels` is searched for `<city>_<sequence>_<frame>_gtFine_labelIds.png`, and `--predictions` for
one `<city>_<sequence>_<frame>*.png` for each. Without such labels, files with the same name are
paired, and `--label_suffix=_mask` gives the suffix of label names. Masks are PNG, TIFF or BMP files
of equal size with label ids (with `--prediction_ids=train_ids`, predictions hold class indices and
255), or with the colours of a classes file. Prints all scores, an audit of what else gets called
mean IoU, and, with `--claim=NUMBER`, which of those definitions could have given that number.
"""

import pathlib
import sys

import numpy as np
from absl import flags

from flax_unet import errors, files, terminal
from flax_unet.data import label_spaces
from flax_unet.data.label_spaces import LabelSpace
from flax_unet.evaluation import mask_pairs, scoring
from flax_unet.evaluation.metrics import audit, bootstrap, claim, segmentation
from flax_unet.evaluation.report.score_tables import score_tables

_PREDICTIONS = flags.DEFINE_string(
  "predictions", None, "The folder of predicted masks, such as predictions."
)
_LABELS = flags.DEFINE_string("labels", None, "The folder of true masks, such as gtFine/val.")
_INSTANCES = flags.DEFINE_string(
  "instances", None, "The folder of *_gtFine_instanceIds.png, for iIoU."
)
_LABEL_SUFFIX = flags.DEFINE_string("label_suffix", "", "Suffix of the label names, such as _mask.")
_LABEL_SPACE = flags.DEFINE_string(
  "label_space", "cityscapes_19", "The classes to score: a name such as cityscapes_19, or FILE.csv."
)
_PREDICTION_IDS = flags.DEFINE_enum(
  "prediction_ids", "label_ids", ["label_ids", "train_ids"], "What prediction values mean."
)
_CLAIM = flags.DEFINE_float(
  "claim", None, 'A claimed "mean IoU" to explain, such as 0.967.', 0.0, 1.0
)
_JSON = flags.DEFINE_string("json", None, "A file to write all numbers to, such as scores.json.")


def main(_):
  """Runs the program; see above."""
  label_space = label_spaces.get(_LABEL_SPACE.value)
  pairs, unused = _find_pairs(label_space)
  counts = scoring.count_pairs(
    pairs,
    label_space,
    train_ids=_PREDICTION_IDS.value == "train_ids",
    progress=_Progress(len(pairs)) if sys.stderr.isatty() else lambda _: None,
  )
  scores = counts.scores(label_space)
  interval = bootstrap.mean_iou_interval(counts.confusions)
  rows, ceilings = audit.definitions(counts.confusions, counts.extra), audit.ceilings(counts.extra)

  left_out = f" ({terminal.counted(unused, 'prediction')} without a label left out)" * bool(unused)
  print(f"{terminal.counted(len(pairs), 'image')}, {label_space.name}{left_out}\n")
  tables = (segmentation.SCORES, segmentation.CLASS_SCORES)
  print(score_tables(scores, *tables, {"mean_iou": interval}))
  if hint := _numbering_hint(counts.confusions.sum(axis=0), label_space):
    print(f"\n{hint}")
  print(f'\nWhat else gets called "mean IoU"\n\n{audit.table(rows, ceilings)}')
  if _CLAIM.value is not None:
    print("\n" + claim.report(_CLAIM.value, rows, ceilings, label_space))
  if _JSON.value:
    content = {
      "pictures": len(pairs),
      **scores,
      "mean_iou_interval": interval,
      "audit": {row.name: row.value for row in (*rows, *ceilings)},
    }
    if _CLAIM.value is not None:
      content["claim"] = claim.as_dict(_CLAIM.value, rows, label_space)
    files.write_output(_JSON.value, content)


def _find_pairs(label_space: LabelSpace) -> tuple[list[scoring.Pair], int]:
  """Finds the files of each labelled image, and counts predictions without a label."""
  if _INSTANCES.value and not label_space.instance_classes:
    raise errors.UserError(f"--instances: label space '{label_space.name}' has no instances")
  labels = mask_pairs.find_labels(_path(_LABELS.value), _LABEL_SUFFIX.value)
  predictions, unused = mask_pairs.match(labels, _path(_PREDICTIONS.value))
  instances = [None] * len(predictions)
  if _INSTANCES.value:
    folder = _path(_INSTANCES.value)
    instances, _ = mask_pairs.match(labels, folder, mask_pairs.INSTANCE_SUFFIX)
  files = zip(labels.files.values(), predictions, instances, strict=True)
  return [scoring.Pair(*paths) for paths in files], unused


def _path(name: str) -> pathlib.Path:
  return pathlib.Path(name).expanduser()


class _Progress:
  """Shows on the terminal how many images are done."""

  def __init__(self, total: int):
    self._total = total

  def __call__(self, done: int) -> None:
    end = "\n" if done == self._total else ""
    print(f"\r{done} of {self._total} images", end=end, file=sys.stderr, flush=True)


def _numbering_hint(confusion: np.ndarray, label_space: LabelSpace) -> str | None:
  """Returns a hint if predictions look like class indices that were read as label ids."""
  if _PREDICTION_IDS.value == "train_ids":
    return None
  beyond = label_space.index_to_id >= label_space.num_classes  # ids that are no class index
  if not beyond.any() or confusion[:, :-1][:, beyond].any():
    return None
  return (
    f"No prediction has an id of {label_space.num_classes} or more. If these are class indices, "
    "score them with --prediction_ids=train_ids."
  )


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flags_as_required(["predictions", "labels"])
  errors.run(main)


if __name__ == "__main__":
  run()
