"""Reads a run's history from its TensorBoard event files, and keeps each step in them only once."""

import pathlib
import struct
from collections.abc import Collection, Iterator

from google.protobuf import message
from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from flax_unet import errors, files


def _paths(workdir: pathlib.Path) -> list[pathlib.Path]:
  return sorted(workdir.glob("events.out.tfevents.*"))


def _records(path: pathlib.Path) -> Iterator[bytes]:
  """The serialized events of a file, up to a record that a crash left incomplete.

  TensorBoard's own readers import TensorFlow, which takes seconds. A record is its length, a
  checksum of it, the event, and a checksum of that.
  """
  size = path.stat().st_size
  with path.open("rb") as file:
    while len(header := file.read(12)) == 12:
      (length,) = struct.unpack("<Q", header[:8])
      if length > size:
        raise _damaged(path)
      record = file.read(length)
      if len(record) < length or len(file.read(4)) < 4:
        return
      yield record


def _damaged(path: pathlib.Path) -> errors.UserError:
  return errors.UserError(f"{path}: is damaged; move it elsewhere to continue without its curves")


def _event(record: bytes, path: pathlib.Path) -> event_pb2.Event:
  try:
    return event_pb2.Event.FromString(record)
  except message.DecodeError as error:
    raise _damaged(path) from error


def forget_after(workdir: pathlib.Path, step: int, again: Collection[str] = ()) -> None:
  """Removes the events that a run will write again when it resumes from `step`.

  Call it in one process only, before that process writes events.

  Args:
    workdir: the run folder.
    step: events of later steps are removed.
    again: evaluations whose events at `step` itself are removed too.

  Raises:
    UserError: a file is damaged.
  """
  for path in _paths(workdir):
    with files.replacing(path) as temporary, temporary.open("wb") as file:
      writer = RecordWriter(file)
      for record in _records(path):
        event = _event(record, path)
        if event.step < step or (event.step == step and not _is_of(event, again)):
          writer.write(record)
      writer.flush()


def _is_of(event: event_pb2.Event, evaluations: Collection[str]) -> bool:
  return any(value.tag.split("/")[0] in evaluations for value in event.summary.value)


def scalars(workdir: pathlib.Path) -> dict[str, tuple[list[int], list[float]]]:
  """Reads the steps and values of every scalar, by tag, in step order.

  Raises:
    UserError: a file is damaged.
  """
  curves: dict[str, tuple[list[int], list[float]]] = {}
  for path in _paths(workdir):
    for record in _records(path):
      event = _event(record, path)
      for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == "scalars":
          steps, values = curves.setdefault(value.tag, ([], []))
          steps.append(event.step)
          values.append(float(tensor_util.make_ndarray(value.tensor)))
  return curves
