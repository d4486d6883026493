"""A process without jax's CPU backend, as with `JAX_PLATFORMS=cuda`."""

from tests.faults.processes import run_info

_ELSEWHERE = """
from jax._src import xla_bridge
from jaxlib import xla_client
xla_bridge.register_backend_factory(
  "elsewhere", lambda: xla_client.make_cpu_client(), priority=500, fail_quietly=False
)
"""


def test_a_run_ends_with_its_report_where_there_is_no_cpu_backend(
  start_with, tmp_path, monkeypatch
):
  monkeypatch.setenv("JAX_PLATFORMS", "elsewhere")
  process = start_with(_ELSEWHERE, "--config.total_steps=4")
  assert process.wait(300) == 0, (tmp_path / "log.txt").read_text()
  assert (tmp_path / "run/report/index.html").exists()
  info = run_info(tmp_path / "run")
  assert info["finished"]
  assert info["flops_per_step"] > 1e6
