"""The commands and links in the README and docs refer to things that exist."""

import importlib
import pathlib
import re
import shlex
import sys

import pytest

from flax_unet import config_flag

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def _commands() -> list[list[str]]:
  """The words of each Python command in the pages' shell blocks, from `python` on."""
  text = "".join(page.read_text() for page in PAGES)
  blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S)
  lines = "".join(blocks).replace("\\\n", " ").splitlines()
  parts = [part for line in lines for part in line.split("&&")]
  words = [shlex.split(part, comments=True) for part in parts]
  return [command[command.index("python") :] for command in words if "python" in command]


def _script(command: list[str]) -> pathlib.Path:
  """The file that a command runs."""
  name = command[2].replace(".", "/") + ".py" if command[1] == "-m" else command[1]
  return ROOT / {"main.py": "flax_unet/tools/train.py"}.get(name, name)


def _flags(command: list[str]) -> dict[str, str]:
  """The values of a command's flags."""
  flags = [word[2:].partition("=") for word in command if word.startswith("--")]
  return {name: value for name, _, value in flags}


def test_there_are_commands():
  assert _commands()[0][1:] == ["main.py", "--config=configs/street_scenes.py"]
  assert len(_commands()) > 20


def _anchors(page: pathlib.Path) -> set[str]:
  """The anchors of a page's headings, as GitHub makes them."""
  headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
  return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _modules_of_pages(folder: pathlib.Path) -> pathlib.Path:
  """Writes the files that docs/first-hour.md tells the reader to save."""
  text = (ROOT / "docs/first-hour.md").read_text()
  for name, block in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", text, re.M | re.S):
    (folder / name).write_text(block)
  return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
  for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
    if target.startswith("http"):
      continue
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    assert file.exists(), target
    assert not anchor or anchor in _anchors(file), target


def test_tests_that_pages_name_exist():
  for page in PAGES:
    for name in re.findall(r"pytest ((?:tests/\S+ ?)+)", page.read_text()):
      for path in name.replace("`", " ").replace(")", " ").split():
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_readme_is_short():
  assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_scripts_and_flags_exist(command):
  source = _script(command).read_text()
  if "adopt_module_key_flags(prediction_flags)" in source:
    source += (ROOT / "flax_unet/tools/prediction_flags.py").read_text()
  known = set(re.findall(r'(?:DEFINE_\w+|add_argument)\(\s*"(?:--)?(\w+)"', source))
  known |= {"config"} if "config_flag.define()" in source else set()
  named = {name.partition(".")[0] for name in _flags(command)}
  assert named <= known


@pytest.mark.parametrize(
  "command", [command for command in _commands() if "config" in _flags(command)], ids=" ".join
)
def test_configurations_and_their_keys_exist(command, tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(_modules_of_pages(tmp_path))
  monkeypatch.delitem(sys.modules, "my_ideas", raising=False)
  flags = _flags(command)
  path, _, arg = flags.pop("config").partition(":")
  module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
  config = module.get_config(arg or None)
  config_flag.add_evaluations(config, command)
  for name in flags:
    if name.startswith("config."):
      node = config
      for key in name.split(".")[1:]:
        assert key in node, f"{path} has no {name}"
        node = node[key]
