import json
import os

import pytest

from flax_unet import files
from flax_unet.errors import UserError


def test_the_file_appears_when_it_is_whole(tmp_path):
  path = tmp_path / "content.txt"
  path.write_text("before")
  with files.replacing(path) as temporary:
    temporary.write_text("after")
    assert path.read_text() == "before"
    assert temporary.parent == path.parent  # renaming is only atomic within a file system
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


def test_json_is_valid_and_nan_is_null(tmp_path):
  path = tmp_path / "content.json"
  content = {"number": 0.1, "nothing": None, "list": [1, 2]}
  files.write_json(path, content)
  assert json.loads(path.read_text()) == content
  files.write_json(path, {"scores": {"iou": float("nan")}})
  assert json.loads(path.read_text()) == {"scores": {"iou": None}}


def test_a_file_that_cannot_be_written_is_named(tmp_path):
  with pytest.raises(UserError, match=r"nowhere/a.json: No such file or directory"):
    files.write_output(str(tmp_path / "nowhere" / "a.json"), {})
