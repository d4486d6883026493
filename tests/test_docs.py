"""The site builds without a warning, and its generated pages are those of the code."""

import re
import subprocess
import sys

import numpy as np
import pytest

from docs.generate import optimizers
from docs.generate.__main__ import FOLDER, pages
from flax_unet import base_config, nested
from flax_unet.losses import spec as loss_spec
from flax_unet.models import base, registry
from flax_unet.training import optimizer

_OPTIMIZERS = "optimizers.md"
_BUILD = ("-m", "sphinx", "-q", "-W", "-n", "--keep-going")


def _build(source, site):
  command = [sys.executable, *_BUILD, str(source), str(site)]
  return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_site_builds(tmp_path):
  done = _build(FOLDER.parent, tmp_path)
  assert done.returncode == 0, done.stderr
  made = {path.stem for path in tmp_path.glob("*.html")}
  assert {path.stem for path in FOLDER.parent.glob("*.md")} <= made
  links = re.findall(r'(?:href|src)="(?!#)([^"]+)"', (tmp_path / "own-data.html").read_text())
  local = [link.partition("#")[0].partition("?")[0] for link in links if "://" not in link]
  assert len(local) > 20
  assert not [link for link in local if not (tmp_path / link).exists()]


def test_broken_links_fail_the_build(tmp_path):
  source = tmp_path / "source"
  source.mkdir()
  (source / "conf.py").write_text((FOLDER.parent / "conf.py").read_text())
  (source / "index.md").write_text(
    "# A\n\n[page](no.md) [anchor](#nothing) [file](../no.py)\n\n"
    "```{toctree}\nother\n```\n\n[there](other.md#c)\n"
  )
  (source / "other.md").write_text("# B\n\n## D\n")
  done = _build(source, tmp_path / "site")
  assert done.returncode == 1
  for target in ("no.md", "nothing", "../no.py", "'c'"):
    assert target in done.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.md")))
def test_reference_pages_are_those_of_the_code(name, made):
  text = (FOLDER / name).read_text()
  if name == _OPTIMIZERS and f"optax {optimizers.version()}\n" not in text:
    pytest.skip("another optax is installed than the page lists; the next test has its names")
  assert made[name] == text, "run: python -m docs.generate"


def test_optimizers_exist_in_the_installed_optax():
  listed = re.search(r"## Optimizers of optax.*?\n## ", (FOLDER / _OPTIMIZERS).read_text(), re.S)
  names = re.findall(r"^\| `(\w+)`", listed[0], re.M)
  assert len(names) > 20
  assert set(names) <= optimizer.optimizers().keys()


def test_every_setting_has_its_line_with_a_comment(made):
  lines = re.findall(r"^\| `([\w.<>]+)` \| .* \| (.*) \|$", made["settings.md"], re.M)
  comments = dict(lines)
  assert all(comments.values())
  config = base_config.get_config()
  config.evals = {"<name>": base_config.evaluation()}
  config.input.data = base_config.folder_data("images", "labels")
  for key in nested.flatten(config.to_dict()):
    group = key.rpartition(".")[0]
    assert key in comments or group in comments, key  # a group of values, such as optax


def test_the_parts_of_the_first_hour_work(tmp_path, monkeypatch):
  text = (FOLDER.parent / "first-hour.md").read_text()
  (block,) = re.findall(r"^```python\n# my_ideas.py\n(.*?)^```", text, re.M | re.S)
  (tmp_path / "first_hour_ideas.py").write_text(block)
  monkeypatch.syspath_prepend(tmp_path)
  loss = loss_spec.parse("first_hour_ideas.Brier")
  labels = np.array([[[0, 1], [3, 255]]], np.uint8)
  assert loss(np.zeros((1, 2, 2, 4), np.float32), labels) == (1 - 1 / 4) ** 2 + 3 / 4**2
  network = registry.build("first_hour_ideas.Dilated", {"width": 4}, num_classes=11)
  kernels = base.variable_shapes(network, (8, 12))["params"]["Conv_5"]["kernel"]
  assert kernels.shape == (3, 3, 4, 4)


@pytest.fixture(name="made", scope="module")
def _made():
  return pages()
