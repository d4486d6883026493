import numpy as np
import pytest

from flax_unet import errors
from flax_unet.data import classes_file, label_spaces
from flax_unet.data.label_space import IGNORED


def _write(tmp_path, text):
  path = tmp_path / "classes.csv"
  path.write_text(text)
  return path


def test_reads_names_and_colors(tmp_path):
  # With the byte order mark that spreadsheets write, and spaces after the commas.
  path = _write(tmp_path, "\ufeffname,r,g,b\nbackground, 0,0,0\ncell,255,128,0\n")
  space = label_spaces.get(str(path))
  assert space.class_names == ("background", "cell")
  np.testing.assert_array_equal(space.colors, [[0, 0, 0], [255, 128, 0]])
  np.testing.assert_array_equal(space.to_index(np.array([0, 1, 255], np.uint8)), [0, 1, IGNORED])
  assert space.color_to_id == {(0, 0, 0): 0, (255, 128, 0): 1}
  assert space.categories == {"background": (0,), "cell": (1,)}


def test_ids_and_ignored_lines(tmp_path):
  text = "name,r,g,b,id,ignored\nvoid,0,0,0,7,1\nroad,9,9,9,3,\ncar,8,8,8,255,0\n"
  space = classes_file.read(_write(tmp_path, text))
  assert space.class_names == ("road", "car")
  # The id 255 is a class if the file says so, as in black-and-white masks.
  assert space.id_to_index == {7: IGNORED, 3: 0, 255: 1}
  np.testing.assert_array_equal(space.index_to_id, [3, 255])
  assert space.color_to_id == {(0, 0, 0): 7, (9, 9, 9): 3, (8, 8, 8): 255}


def test_a_line_without_id_counts_the_ignored_ones_too(tmp_path):
  text = "name,r,g,b,ignored\nvoid,0,0,0,1\nroad,9,9,9,0\n"
  assert classes_file.read(_write(tmp_path, text)).id_to_index == {255: 255, 0: IGNORED, 1: 0}


def test_lines_of_one_name_are_one_class(tmp_path):
  lines = ["a,1,0,0,3,", "b,2,0,0,4,", "a,3,0,0,5,", "a,1,0,0,6,", "v,0,0,0,7,1", "v,0,0,0,8,1"]
  text = "\n".join(["name,r,g,b,id,ignored", *lines])
  space = classes_file.read(_write(tmp_path, text))
  assert space.class_names == ("a", "b")
  assert space.id_to_index == {255: 255, 3: 0, 4: 1, 5: 0, 6: 0, 7: IGNORED, 8: IGNORED}
  np.testing.assert_array_equal(space.index_to_id, [3, 4])
  np.testing.assert_array_equal(space.colors, [[1, 0, 0], [2, 0, 0]])
  assert space.color_to_id == {(1, 0, 0): 3, (2, 0, 0): 4, (3, 0, 0): 5, (0, 0, 0): 7}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_of_other_systems(tmp_path, mark, newline):
  path = tmp_path / "classes.csv"
  lines = ["Name, R, G, B", "ground,0,0,0", "", "Straße,255,0,0", ""]
  path.write_bytes((mark + newline.join(lines)).encode())
  assert classes_file.read(path).class_names == ("ground", "Straße")


@pytest.mark.parametrize(
  ("encoding", "message"),
  [
    ("utf-16", r"classes file .*classes.csv is UTF-16 text; save it as UTF-8$"),
    ("latin-1", r"classes file .*classes.csv, line 2: is not UTF-8 text"),
  ],
)
def test_other_encodings_are_named(tmp_path, encoding, message):
  path = tmp_path / "classes.csv"
  path.write_bytes("name,r,g,b\nStraße,0,0,0\n".encode(encoding))
  with pytest.raises(errors.UserError, match=message):
    classes_file.read(path)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    (
      "name,r,g,b,id,ignored\na,1,2,3,4,0\na,1,2,4,5,1\n",
      "line 3: 'a' is ignored in one line and ",
    ),
    ("road,1,2,3\n", "its first line is 'road,1,2,3', but must be name,r,g,b"),
    ("name,r,g,b,color\n", "its first line is 'name,r,g,b,color'"),
    ("name,r,g,b\nroad,1,2\n", "line 2: must be name,r,g,b"),
    ("name,r,g,b\nroad,1,2,3,4\n", "line 2: must be name,r,g,b"),
    ("name,r,g,b\nroad,1,2,256\n", "line 2: '256' is not a number from 0 to 255"),
    ("name,r,g,b\nroad,1,2,3\nroad,4,5,6\n", "line 3: another class has the same name, road"),
    ("name,r,g,b\na,1,2,3\nb,1,2,3\n", r"line 3: another class has the same color, \(1, 2, 3\)"),
    ("name,r,g,b,id\na,1,2,3,4\nb,1,2,4,4\n", "line 3: another class has the same id, 4"),
    ("name,r,g,b,ignored\nroad,1,2,3,1\n", "has 0 classes that are not ignored"),
  ],
)
def test_refuses_malformed_files(tmp_path, text, message):
  with pytest.raises(errors.UserError, match=message):
    classes_file.read(_write(tmp_path, text))


def test_refuses_a_missing_file(tmp_path):
  with pytest.raises(errors.UserError, match="cannot be read: No such file or directory"):
    classes_file.read(tmp_path / "none.csv")
