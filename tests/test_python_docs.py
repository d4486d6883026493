"""The blocks of docs/python.md run as they are, one after the other."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def test_every_block_runs(tmp_path):
  text = (ROOT / "docs/python.md").read_text()
  program = []
  for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
    file = re.match(r"# (\w+\.py)\n", block)
    if file:
      (tmp_path / file[1]).write_text(block)
    else:
      program.append(block)
  assert len(program) == 4
  environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=1"}
  done = subprocess.run(
    [sys.executable, "-c", "\n".join(program)],
    cwd=tmp_path,
    env={**environment, "PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  # Our own messages, as on the command line, and none of libraries.
  assert "Look at runs/tiny/report/index.html" in done.stderr
  assert not re.findall(r"absl|orbax|CheckpointManager|INFO|WARNING", done.stderr)
  assert (tmp_path / "runs/stripes/report/index.html").exists()
