import csv

import numpy as np

from flax_unet.evaluation.report import score_files


def _read(path):
  with path.open(encoding="utf-8", newline="") as stream:
    return list(csv.reader(stream))


def test_names_with_commas_quotes_and_other_letters_survive(tmp_path):
  names = ["trees, bushes", 'a "sign"', "Straße", "line\nbreak"]
  score_files.write_confusion_matrix(tmp_path / "c.csv", np.eye(4, dtype=np.int64), names)
  header, *rows = _read(tmp_path / "c.csv")
  assert header == ["true class", *names]
  assert [row[0] for row in rows] == names
  assert (tmp_path / "c.csv").read_bytes().startswith(b'true class,"trees, bushes","a ""sign""",')


def test_scores_of_images_by_hand(tmp_path):
  confusions = np.array([[[3, 1], [0, 0]], [[0, 0], [0, 0]]])  # the second image is ignored
  score_files.write_image_scores(tmp_path / "i.csv", np.array(["a,1", "b"]), confusions, ["x", "y"])
  assert (tmp_path / "i.csv").read_text() == (
    'id,mean_iou,pixel_accuracy,iou of x,iou of y\n"a,1",0.375,0.75,0.75,0.0\nb,,,,\n'
  )


def test_numbers_have_full_precision(tmp_path):
  confusions = np.array([[[1, 2], [0, 0]]])
  score_files.write_image_scores(tmp_path / "i.csv", np.array(["a"]), confusions, ["x", "y"])
  assert float(_read(tmp_path / "i.csv")[1][3]) == 1 / 3


def test_without_images_there_is_only_a_header(tmp_path):
  confusions = np.zeros((0, 2, 2), np.int64)
  score_files.write_image_scores(tmp_path / "i.csv", np.zeros(0, str), confusions, ["x", "y"])
  assert len(_read(tmp_path / "i.csv")) == 1
