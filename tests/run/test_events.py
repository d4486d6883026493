import numpy as np
import pytest
from clu import metric_writers

from flax_unet.errors import UserError
from flax_unet.run import events


def _write(folder, steps, offset=0.0):
  writer = metric_writers.SummaryWriter(str(folder))
  for step in steps:
    writer.write_scalars(step, {"train/loss": step + offset, "val/mean_iou": step / 100})
    writer.write_images(step, {"val/picture": np.zeros((1, 4, 4, 3), np.uint8)})
  writer.close()


def test_scalars_come_back_by_tag(tmp_path):
  _write(tmp_path, [2, 4, 6])
  curves = events.scalars(tmp_path)
  assert curves.keys() == {"train/loss", "val/mean_iou"}  # no images
  assert curves["train/loss"] == ([2, 4, 6], [2.0, 4.0, 6.0])
  steps, values = curves["val/mean_iou"]
  assert steps == [2, 4, 6]
  assert values == pytest.approx([0.02, 0.04, 0.06])


def test_a_run_that_goes_on_tells_no_step_twice(tmp_path):
  _write(tmp_path, [2, 4, 6, 8])
  events.forget_after(tmp_path, 5)
  assert events.scalars(tmp_path)["train/loss"] == ([2, 4], [2.0, 4.0])
  _write(tmp_path, [6, 8], offset=0.5)
  assert events.scalars(tmp_path)["train/loss"] == ([2, 4, 6, 8], [2.0, 4.0, 6.5, 8.5])
  events.forget_after(tmp_path, 6)  # from two files
  assert events.scalars(tmp_path)["train/loss"] == ([2, 4, 6], [2.0, 4.0, 6.5])


def test_nothing_of_the_past_is_touched(tmp_path):
  _write(tmp_path, [2, 4])
  (path,) = tmp_path.glob("events.out.tfevents.*")
  before = path.read_bytes()
  events.forget_after(tmp_path, 4)
  assert path.read_bytes() == before
  assert list(tmp_path.iterdir()) == [path]


def test_a_record_that_a_crash_cut_off_is_dropped(tmp_path):
  _write(tmp_path, [2, 4])
  (path,) = tmp_path.glob("events.out.tfevents.*")
  path.write_bytes(path.read_bytes()[:-7])  # in the middle of the last record, an image
  assert events.scalars(tmp_path)["train/loss"] == ([2, 4], [2.0, 4.0])
  events.forget_after(tmp_path, 4)
  _write(tmp_path, [6])
  assert events.scalars(tmp_path)["train/loss"] == ([2, 4, 6], [2.0, 4.0, 6.0])


def test_an_empty_folder_has_no_history(tmp_path):
  events.forget_after(tmp_path, 0)
  assert events.scalars(tmp_path) == {}


@pytest.mark.parametrize("length", [b"\xff" * 8, b"\xff" * 5 + b"\0" * 3])
def test_a_length_that_no_file_has_is_damage(tmp_path, length):
  _write(tmp_path, [2, 4])
  (path,) = tmp_path.glob("events.out.tfevents.*")
  path.write_bytes(length + path.read_bytes()[8:])
  for read in (events.scalars, lambda folder: events.forget_after(folder, 2)):
    with pytest.raises(UserError, match="is damaged; move it elsewhere"):
      read(tmp_path)


def test_a_damaged_file_is_one_line(tmp_path):
  _write(tmp_path, [2, 4])
  (path,) = tmp_path.glob("events.out.tfevents.*")
  content = path.read_bytes()
  path.write_bytes(content[:12] + b"\xff" * 20 + content[32:])  # the first record, not its length
  for read in (events.scalars, lambda folder: events.forget_after(folder, 2)):
    with pytest.raises(UserError, match="is damaged; move it elsewhere") as error:
      read(tmp_path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
  assert list(tmp_path.iterdir()) == [path]
