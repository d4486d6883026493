"""Prepares batches ahead of their use, in threads or in worker processes."""

import functools
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import cloudpickle
import cv2
import grain
import jax
import numpy as np

from flax_unet import children

_LEAKED = "ignore:resource_tracker:UserWarning"
_GRACE_SECONDS = 120  # for the main process to stop; most clusters kill all processes before


def iterate(dataset: grain.MapDataset, workers: int, prefetch: int) -> Iterator[Any]:
  """Iterates in order, in `workers` processes or, without them, in threads of this one.

  Args:
    dataset: what to prepare.
    workers: number of processes; 0: threads of this process.
    prefetch: number of elements to prepare ahead (for each worker).
  """
  if not workers:
    threads = grain.ReadOptions(num_threads=min(2, prefetch), prefetch_buffer_size=prefetch)
    yield from dataset.to_iter_dataset(threads)
    return
  # Python's tracker of shared memory, which starts with the workers, frees what killed workers
  # leave behind. No need to warn about that.
  if _LEAKED not in sys.warnoptions:
    sys.warnoptions.append(_LEAKED)
  with tempfile.NamedTemporaryFile(prefix="flax_unet_workers_") as file:
    cloudpickle.dump(dataset, file)
    file.flush()
    one_thread = grain.ReadOptions(num_threads=1, prefetch_buffer_size=prefetch)
    elements = grain.MapDataset.source(_InFile(dataset, file.name)).to_iter_dataset(one_thread)
    processes = grain.MultiprocessingOptions(workers, prefetch)
    elements = elements.mp_prefetch(processes, worker_init_fn=_start_worker)
    # Copied, as an element that is kept would hold on to its shared memory, which leaks at exit.
    yield from elements.map(functools.partial(jax.tree.map, np.array))


class _InFile:
  """A sequence that starting processes read from a file.

  They would get it through a pipe, which holds 64 KiB. So each start would wait until the process
  before has imported its modules, and wait forever if that is killed meanwhile.
  """

  def __init__(self, elements: Sequence[Any], file: str):
    self._elements = elements
    self._file = file

  def __len__(self) -> int:
    return len(self._elements)

  def __getitem__(self, index: int) -> Any:
    return self._elements[index]

  def __reduce__(self):
    return _load, (self._file,)


def _load(file: str) -> Sequence[Any]:
  with open(file, "rb") as opened:
    return cloudpickle.load(opened)


def _start_worker(index: int, workers: int) -> None:
  """Uses one core, leaves signals sent to all processes to the main process, and ends with it.

  After Ctrl-C or SIGTERM, the main process finishes its step or evaluation, which needs batches.
  """
  del index, workers
  cv2.setNumThreads(1)
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE_SECONDS))
  children.end_with_parent()
