import subprocess
import sys

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
  assert _page_faults("give back") > 2000  # 8 MB and more, in pages of 4 KiB
  assert _page_faults("keep") < 200
