"""What all child processes do."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
  """Ends this process as soon as its parent has ended, even by `kill -9`.

  Otherwise, it would wait for work, and keep its memory, forever.
  """

  def wait() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()
