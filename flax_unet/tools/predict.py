"""Predicts your own images: `python main.py --mode=predict --images=... --output=...`."""

import functools
import itertools
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import ml_collections
import numpy as np
import tqdm
from absl import logging

from flax_unet import errors, terminal
from flax_unet.data import picture_files
from flax_unet.data.image_format import ImageFormat
from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.inference import mask_files
from flax_unet.evaluation.inference.prediction import Predictor
from flax_unet.evaluation.inference.prediction_table import PredictionTable
from flax_unet.run import image_settings, trained, workdir
from flax_unet.tools.prediction_flags import Request


class _Predictor(Protocol):
  """Maps pairs of key and image `[height, width, channels]` to pairs of key and result."""

  def __call__(
    self, pictures: Iterable[tuple[Any, np.ndarray]]
  ) -> Iterator[tuple[Any, np.ndarray]]:
    """The results are masks, uint8 `[height, width]`."""

  def probabilities(
    self, pictures: Iterable[tuple[Any, np.ndarray]]
  ) -> Iterator[tuple[Any, np.ndarray]]:
    """The results are probabilities, float32 `[height, width, classes]`."""


def predict(
  config: ml_collections.ConfigDict, folder: pathlib.Path, which: str, request: Request
) -> None:
  """Predicts images with a run's model, as its first evaluation does, and writes masks.

  Images that cannot be read are skipped and reported at the end.

  Args:
    config: the run's configuration.
    folder: the run folder.
    which: checkpoint, "newest" or "best".
    request: what to predict, and what to write.

  Raises:
    UserError: nothing can be predicted, or some images could not be.
  """
  if not request.images or not request.output:
    raise errors.UserError("--mode=predict needs --images=FOLDER_OR_PATTERN and --output=FOLDER")
  config = workdir.with_chosen(config, folder)
  trained.check_same_model(config, folder)
  write_masks(
    functools.partial(_load, config, folder, which),
    trained.read_label_space(folder),
    image_settings.image_format(config),
    request,
    **{key: config.input.data.get(key) or "" for key in ("image_suffix", "extra_suffix")},
  )


def write_masks(
  load: Callable[[], _Predictor],
  label_space: LabelSpace,
  image_format: ImageFormat,
  request: Request,
  **suffixes: str,
) -> None:
  """Predicts images, and writes masks; see `predict`.

  Args:
    load: returns the predictor; called after all other checks.
    label_space: of the masks.
    image_format: of the images.
    request: see `predict`.
    **suffixes: see `picture_files.find_extra`; `request.extra_suffix` takes precedence.

  Raises:
    UserError: nothing can be predicted, or some images could not be.
  """
  output, formats = pathlib.Path(request.output).expanduser(), request.formats
  _check_formats(formats, request.make_zip)
  masks = _find(request.images, output, image_format)
  more = _find_extra(request, masks, image_format, suffixes)
  if "cityscapes" in formats:
    mask_files.check_cityscapes(masks, label_space)
  writer = mask_files.Writer(output, formats, masks, label_space, image_format)
  table = _open_table(request, label_space)
  if not request.overwrite:
    _check_new([*writer.paths(), *([table.path] if table else [])])
  predictor = load()
  _make_folder(output)
  reader = picture_files.Reader(masks, image_format, more)
  started = time.monotonic()
  with writer, tqdm.tqdm(total=len(masks), unit="images", disable=None) as progress:
    for (path, image), mask, probabilities in _results(predictor, reader, formats, table):
      writer.write(path, mask_files.Predicted(image, mask, probabilities))
      if table:
        table.add(masks[path].with_suffix(path.suffix), mask, probabilities)
      progress.update()
  if table:
    table.write()
  seconds = time.monotonic() - started
  predicted = len(masks) - len(reader.failures)
  logging.info(
    "%s in %.1f s, %.2f per second, %.0f %% of the time waiting for files. Masks are in %s",
    terminal.counted(predicted, "image"),
    seconds,
    predicted / seconds,
    100 * (reader.waited + writer.waited) / seconds,
    output,
  )
  failures = {
    "predicted": reader.failures,
    "written in all formats": writer.failures,
    "scored": table.failures if table else [],
  }
  for reason in itertools.chain(*failures.values()):
    logging.warning("%s", reason)
  if any(failures.values()):
    counts = [f"{len(lines)} could not be {what}" for what, lines in failures.items() if lines]
    raise errors.UserError(
      f"of {terminal.counted(len(masks), 'image')}, {', '.join(counts)}, see above"
      + "; cityscapes.zip was not written" * request.make_zip
    )
  if request.make_zip:
    mask_files.write_zip(
      output / "cityscapes.zip", [writer.path("cityscapes", path) for path in masks]
    )


def _open_table(request: Request, label_space: LabelSpace) -> PredictionTable | None:
  if request.labels and not request.table:
    raise errors.UserError("--labels are scored in a table: name it with --table=FILE.csv")
  if not request.table:
    return None
  labels = pathlib.Path(request.labels).expanduser() if request.labels else None
  return PredictionTable(pathlib.Path(request.table).expanduser(), label_space, labels)


def _results(
  predictor: _Predictor,
  reader: picture_files.Reader,
  formats: Sequence[str],
  table: PredictionTable | None,
) -> Iterator[tuple[Any, np.ndarray, np.ndarray | None]]:
  """Yields key, mask, and probabilities if a format or the table needs them."""
  if table or any(mask_files.FORMATS[name].needs_probabilities for name in formats):
    for key, probabilities in predictor.probabilities(reader):
      yield key, probabilities.argmax(-1).astype(np.uint8), probabilities
  else:
    for key, mask in predictor(reader):
      yield key, mask, None


def _find_extra(
  request: Request,
  masks: dict[pathlib.Path, pathlib.Path],
  image_format: ImageFormat,
  suffixes: dict[str, str],
) -> dict[pathlib.Path, pathlib.Path]:
  """Finds the files with extra channels.

  Raises:
    UserError: they are missing, or the network does not take any.
  """
  extra = request.extra
  if bool(extra) != bool(image_format.extra):
    raise errors.UserError(
      f"--extra={extra}: the network takes no extra channels"
      if extra
      else f"the network takes {image_format.describe()}: name the folder of the latter with "
      "--extra=DIR"
    )
  if not extra:
    return {}
  if request.extra_suffix is not None:
    suffixes = {**suffixes, "extra_suffix": request.extra_suffix}
  return picture_files.find_extra(extra, masks, image_format, **suffixes)


def _check_formats(formats: Sequence[str], make_zip: bool) -> None:
  for name in formats:
    if name not in mask_files.FORMATS:
      raise errors.unknown("format in --format", name, mask_files.FORMATS)
  if make_zip and "cityscapes" not in formats:
    raise errors.UserError("--zip packs the masks of --format=cityscapes: add that format")


def _find(
  pictures: str, output: pathlib.Path, image_format: ImageFormat
) -> dict[pathlib.Path, pathlib.Path]:
  """Finds images, and the path of each mask relative to the output.

  Raises:
    UserError: there are none, or two would have the same mask.
  """
  found = picture_files.find(pictures, picture_files.endings(image_format))
  masks = {path: name.with_suffix(".png") for path, name in found.items()}
  # Masks that were written into the searched folder before are not images.
  for path in [path for path in masks if output.resolve() in path.resolve().parents]:
    del masks[path]
  if not masks:
    raise errors.UserError(f"{pictures}: all images are in --output={output}, choose another")
  first: dict[pathlib.Path, pathlib.Path] = {}
  for path, mask in masks.items():
    if mask in first:
      raise errors.UserError(f"{first[mask]} and {path}: their masks would have the same name")
    first[mask] = path
  return masks


def _check_new(paths: Iterable[pathlib.Path]) -> None:
  """Refuses to replace files, which could be hand-drawn masks."""
  if existing := [path for path in paths if path.exists()]:
    raise errors.UserError(
      f"{existing[0]}: already exists{f', as do {len(existing) - 1} more' * (len(existing) > 1)}"
      "; choose another --output, or replace files with --overwrite"
    )


def _make_folder(output: pathlib.Path) -> None:
  """Creates the output folder, and makes sure that it is writable."""
  try:
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output):
      pass
  except OSError as error:
    raise errors.UserError(f"--output={output}: cannot be written ({error.strerror})") from error


def _load(config: ml_collections.ConfigDict, folder: pathlib.Path, which: str) -> Predictor:
  """Restores the model of a run, without needing its data."""
  found = trained.load(folder, which, config)
  logging.info("Predicting with step %d of %s", found.step, folder)
  return Predictor(
    found.model, found.variables, found.options, resize=found.resize, multiple=found.multiple
  )
