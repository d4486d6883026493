import pathlib
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from flax_unet import memory
if sys.argv[1] == "keep":
  memory.keep()
import resource
import jax
import jax.numpy as jnp
jax.config.update("jax_num_cpu_devices", 2)  # each runs in a thread of its own
run = jax.pmap(lambda x: jnp.linalg.norm(jnp.sort(x) + jnp.cumsum(x)))
x = jax.pmap(lambda key: jax.random.normal(key, (2**21,)))(jax.random.split(jax.random.key(0)))
def faults():
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  run(x).block_until_ready()
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(), faults()
print(min(faults() for _ in range(5)))
"""


def _page_faults(mode):
  command = [sys.executable, "-c", PROGRAM, mode]
  result = subprocess.run(command, capture_output=True, text=True, check=True)
  return int(result.stdout)


def test_a_step_finds_the_memory_of_the_last_one():
  assert _page_faults("give back") > 2000  # at least 8 MB, in pages of 4 KiB
  assert _page_faults("keep") < 200


HUGE_PAGES = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
FILL = """
from flax_unet import memory
memory.keep()
filled = bytearray(b"x") * 2**27
with open("/proc/self/smaps_rollup") as file:
  print(next(line.split()[1] for line in file if line.startswith("AnonHugePages")))
"""


def _huge_pages(limit=""):
  """How many KiB of 128 MiB are in huge pages."""
  command = ["bash", "-c", f'{limit} exec "$0" "$@"', sys.executable, "-c", FILL]
  return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(
  not HUGE_PAGES.exists() or "[madvise]" not in HUGE_PAGES.read_text(),
  reason="huge pages do not have to be asked for here, or there are none",
)
def test_memory_comes_in_huge_pages_where_it_may():
  assert _huge_pages() >= 0.9 * 2**17
  # A quarter of the machine's memory is more than this limit.
  assert _huge_pages(limit="ulimit -v 400000;") == 0
