import signal
import subprocess
import sys

PROGRAM = """
import time
from flax_unet.run import stopping
with stopping.StopSignal() as stop:
  print("waiting", flush=True)
  while stop.signum is None:
    time.sleep(0.01)
  print("stopping", flush=True)
  time.sleep(60)  # as a save that takes long
"""


def test_a_second_ctrl_c_ends_at_once():
  command = [sys.executable, "-c", PROGRAM]
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
    for said in ("waiting\n", "stopping\n"):
      assert process.stdout.readline() == said
      process.send_signal(signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT  # which a shell reports as 130
