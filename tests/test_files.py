import json
import os

import pytest

from flax_unet import files


def test_the_file_appears_when_it_is_whole(tmp_path):
  path = tmp_path / "content.txt"
  path.write_text("before")
  with files.replacing(path) as temporary:
    temporary.write_text("after")
    assert path.read_text() == "before"
    assert temporary.parent == path.parent  # renaming is atomic within a file system only
    assert temporary.suffix == ".txt"
  assert path.read_text() == "after"
  assert os.listdir(tmp_path) == ["content.txt"]


def test_a_failure_leaves_what_was_there(tmp_path):
  path = tmp_path / "content.txt"
  path.write_text("before")
  with pytest.raises(RuntimeError, match="halfway"), files.replacing(path) as temporary:
    temporary.write_text("af")
    raise RuntimeError("halfway")
  assert path.read_text() == "before"
  assert os.listdir(tmp_path) == ["content.txt"]


def test_json_is_valid_or_refused(tmp_path):
  path = tmp_path / "content.json"
  content = {"number": 0.1, "nothing": None, "list": [1, 2]}
  files.write_json(path, content)
  assert json.loads(path.read_text()) == content
  with pytest.raises(ValueError, match="not JSON compliant"):
    files.write_json(path, {"number": float("nan")})
  assert json.loads(path.read_text()) == content
