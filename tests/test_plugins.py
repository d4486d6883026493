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
    (
      "json.dump5",
      r"^thing 'json.dump5': .*json/__init__.py has no 'dump5': did you mean 'dump'. choose from "
      "JSONDecodeError, JSONDecoder, JSONEncoder, detect_encoding, dump, dumps, load, loads$",
    ),
  ],
)
def test_what_cannot_be_found_is_told(name, message):
  with pytest.raises(UserError, match=message):
    plugins.resolve("thing", name, {"path": sys.path})


def test_a_module_that_fails_is_told(tmp_path, monkeypatch):
  (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no such\\nluck')")
  monkeypatch.syspath_prepend(str(tmp_path))
  with pytest.raises(
    UserError, match=r"cannot be imported \(RuntimeError at .*broken_plugin.py:1: no such\)$"
  ):
    plugins.resolve("thing", "broken_plugin.Net", {})


def test_only_what_a_module_defines_of_the_kind_is_suggested(tmp_path, monkeypatch):
  (tmp_path / "own_plugin.py").write_text(
    "import json\nfrom collections import OrderedDict\n"
    "class Mine(dict): pass\nclass _Hidden(dict): pass\nclass Other: pass\ndef make(): pass\n"
  )
  monkeypatch.syspath_prepend(str(tmp_path))
  start = f"thing 'own_plugin.Missing': {tmp_path}/own_plugin.py has no 'Missing': "
  for base, rest in (
    (dict, "choose from Mine"),
    (object, "choose from Mine, Other, make"),
    (list, "nothing of this kind is defined there"),
  ):
    with pytest.raises(UserError) as caught:
      plugins.resolve("thing", "own_plugin.Missing", {}, base)
    assert str(caught.value) == start + rest


def test_an_error_in_own_code_comes_with_file_and_line(tmp_path, monkeypatch):
  (tmp_path / "checking_plugin.py").write_text(
    "import json\n\ndef make(text):\n  return json.loads(text)\n"
  )
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.chdir(tmp_path)
  make = plugins.resolve("thing", "checking_plugin.make", {})
  with pytest.raises(UserError, match=r"^thing at checking_plugin.py:4: Expecting value"):
    plugins.build("thing", make, {"text": "x"})
