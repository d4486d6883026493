import dataclasses

import numpy as np
import pytest

from flax_unet.data import label_space_file, label_spaces
from flax_unet.errors import UserError


@pytest.mark.parametrize("name", ["cityscapes_19", "cityscapes_categories", "voc_21", "3_classes"])
def test_a_label_space_comes_back(tmp_path, name):
  space = label_spaces.get(name)
  label_space_file.write(tmp_path / "classes.json", space)
  again = label_space_file.read(tmp_path / "classes.json")
  for field in dataclasses.fields(space):
    before, after = getattr(space, field.name), getattr(again, field.name)
    if isinstance(before, np.ndarray):
      np.testing.assert_array_equal(after, before)
      assert after.dtype == before.dtype
    else:
      assert after == before
  assert label_space_file.difference(space, again) is None


@pytest.mark.parametrize(
  ("change", "difference"),
  [
    ({"class_names": ("0", "one", "2")}, "class 1 was '1' and is 'one' now"),
    ({"colors": np.zeros((3, 3), np.uint8)}, "the colour of '0' was"),
    ({"id_to_index": {0: 0, 1: 1, 2: 255}}, "the mask value 2 was '2' and is ignored now"),
    ({"color_to_id": {(1, 2, 3): 1}}, "the mask colour (1, 2, 3) meant another class"),
  ],
)
def test_differences_are_named(change, difference):
  space = label_spaces.get("3_classes")
  changed = dataclasses.replace(space, **change)
  assert label_space_file.difference(space, changed).startswith(difference)
  four = label_spaces.get("4_classes")
  assert label_space_file.difference(space, four) == "3 classes then, 4 now"


@pytest.mark.parametrize("content", ["{}", '{"name": "a", "classes": [1]}', ""])
def test_a_damaged_file_is_one_line(tmp_path, content):
  (tmp_path / "classes.json").write_text(content)
  with pytest.raises(UserError, match=r"classes\.json: ") as error:
    label_space_file.read(tmp_path / "classes.json")
  assert "\n" not in str(error.value)
