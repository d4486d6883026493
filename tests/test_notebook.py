"""The notebook in examples/ is stored without outputs, and runs from top to bottom."""

import json
import pathlib
import re

import nbclient
import nbformat

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = nbformat.read(ROOT / "examples/street_scenes.ipynb", as_version=4)


def test_outputs_are_stripped():
  cells = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
  assert len(cells) > 5
  assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
  assert all(cell.metadata == {} for cell in NOTEBOOK.cells)


def test_links_lead_somewhere():
  text = "".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
  targets = re.findall(r"\]\(([^)]+)\)", text)
  assert len(targets) == 3
  assert all((ROOT / "examples" / target).exists() for target in targets)


def test_it_runs(tmp_path, monkeypatch):
  monkeypatch.setenv("QUICK", "1")
  monkeypatch.setenv("PYTHONPATH", str(ROOT))
  monkeypatch.setenv("PYTHONWARNINGS", "default")
  monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=1")  # one device
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
  notebook = NOTEBOOK.copy()
  nbclient.execute(notebook, cwd=tmp_path, kernel_name="python3", timeout=300)  # stops at an error
  outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
  printed = "".join(output.text for output in outputs if output.output_type == "stream")
  assert "Warning" not in printed
  assert sum("image/png" in output.get("data", {}) for output in outputs) >= 8

  configs, scores = ({}, {})
  for name in ("baseline", "edges"):
    run = tmp_path / "runs/quick" / name
    configs[name] = json.loads((run / "config.json").read_text())
    scores[name] = json.loads((run / "report/metrics.json").read_text())
    assert f"Look at runs/quick/{name}/report/index.html" in printed
  differ = {key for key, value in configs["edges"].items() if value != configs["baseline"][key]}
  assert differ == {"loss"}
  assert configs["edges"]["loss"] == "my_losses.EdgeCrossEntropy(extra=2.0) + dice"
  losses = [score["evals"]["val"]["loss"] for score in scores.values()]
  assert losses[0] != losses[1]
  assert {"mean_boundary_iou", "mean_boundary_f"} <= scores["edges"]["evals"]["edges"].keys()
