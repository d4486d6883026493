"""Times programs, also in a process of their own: two libraries then share no threads or memory."""

import atexit
import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Callable, Mapping


def seconds(function: Callable[[], object]) -> float:
  """Runs a function, and returns how long it took."""
  start = time.perf_counter()
  function()
  return time.perf_counter() - start


def peak_flops(size: int = 2048, dtype: str = "float32") -> float:
  """The rate of a large matrix product on the first device, in FLOP/s; the best of ten."""
  import jax
  import jax.numpy as jnp

  product = jax.jit(jnp.matmul)
  x = jnp.ones((size, size), dtype)
  product(x, x).block_until_ready()
  return 2 * size**3 / min(seconds(lambda: product(x, x).block_until_ready()) for _ in range(10))


def start(
  make_programs: Callable[..., Mapping[str, Callable[[], object]]], *arguments: object
) -> Callable[[str], float]:
  """Starts a process with some programs.

  Args:
    make_programs: returns the programs by name; called in the process.
    *arguments: of `make_programs`.

  Returns:
    A function that runs the program of a name once, and returns its seconds.
  """
  context = multiprocessing.get_context("spawn")
  ours, theirs = context.Pipe()
  arguments = (theirs, make_programs, *arguments)
  context.Process(target=_serve, args=arguments, daemon=True).start()
  atexit.register(ours.send, None)

  def run(name: str) -> float:
    ours.send(name)
    return ours.recv()

  return run


def _serve(connection: multiprocessing.connection.Connection, make_programs, *arguments) -> None:
  """Runs in the process: receives names of programs, and sends the seconds of one run."""
  programs = make_programs(*arguments)
  while name := connection.recv():
    connection.send(seconds(programs[name]))
