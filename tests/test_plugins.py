import sys

import pytest

from flax_unet import plugins
from flax_unet.errors import UserError


def test_names_stand_for_what_a_table_or_a_module_has():
  assert plugins.resolve("thing", "path", {"path": sys.path}) is sys.path
  assert plugins.resolve("thing", "path", {"path": "sys.path"}) is sys.path
  assert plugins.resolve("thing", "sys.path", {}) is sys.path


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("pat", "^unknown thing 'pat': did you mean 'path'. choose from <package.module.Name>, path$"),
    (
      "nowhere.Net",
      r"^thing 'nowhere.Net': nowhere cannot be imported \(ModuleNotFoundError: No m",
    ),
    ("json.dump5", r"^unknown thing 'json.dump5': name in .*json/__init__.py 'dump5': did you "),
  ],
)
def test_what_cannot_be_found_is_told(name, message):
  with pytest.raises(UserError, match=message):
    plugins.resolve("thing", name, {"path": sys.path})


def test_a_module_that_fails_is_told(tmp_path, monkeypatch):
  (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no such\\nluck')")
  monkeypatch.syspath_prepend(str(tmp_path))
  with pytest.raises(
    UserError, match=r"broken_plugin cannot be imported \(RuntimeError: no such\)$"
  ):
    plugins.resolve("thing", "broken_plugin.Net", {})
