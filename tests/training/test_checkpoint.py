import json
import shutil

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from flax_unet.errors import UserError
from flax_unet.models import base
from flax_unet.training import checkpoint, state
from flax_unet.training.checkpoint_scores import DecisiveScore


class _Net(base.Network):
  @nn.compact
  def __call__(self, images, *, train):
    return nn.BatchNorm(use_running_average=not train)(nn.Dense(2)(images))


class _OtherNet(base.Network):
  @nn.compact
  def __call__(self, images, *, train):
    return nn.Conv(2, (3, 3))(images)


NET, TX = _Net(2), optax.sgd(0.1, momentum=0.9)


def _state(seed=0):
  return state.create(NET, TX, image_size=(4, 4), seed=seed, ema=True)


def _save(folder, **scores):
  """Saves a state for each `step_<n>=<mean IoU>`, with the step as its seed."""
  checkpoints = checkpoint.Checkpoints(folder)
  for name, score in scores.items():
    step = int(name.removeprefix("step_"))
    place = {"examples_seen": 8 * step}
    checkpoints.save(_state(step), step, place=place)
    if score is not None:
      checkpoints.wait_until_finished()
      checkpoints.scores.write(step, {"val": "digest"}, DecisiveScore("digest", score))
  checkpoints.close()


def _steps(folder):
  return sorted(int(path.name) for path in (folder / "checkpoints").iterdir())


def _assert_equal(got, expected):
  jax.tree.map_with_path(
    lambda path, x, y: np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path)),
    got,
    expected,
  )


def test_all_of_the_state_comes_back(tmp_path):
  _save(tmp_path, step_3=None)
  checkpoints = checkpoint.Checkpoints(tmp_path)
  assert (checkpoints.newest, checkpoints.scores.best) == (3, None)
  restored, place = checkpoints.restore(3, _state(seed=99))
  checkpoints.close()
  _assert_equal(restored, _state(seed=3))
  assert place == {"examples_seen": 24}


def test_the_newest_two_and_the_best_are_kept(tmp_path):
  _save(tmp_path, step_1=0.2, step_2=0.9, step_3=None, step_4=0.5, step_5=None)
  assert _steps(tmp_path) == [2, 4, 5]
  checkpoints = checkpoint.Checkpoints(tmp_path)
  assert (checkpoints.newest, checkpoints.scores.best) == (5, 2)
  restored, _ = checkpoints.restore(2, _state())
  checkpoints.close()
  _assert_equal(restored, _state(seed=2))


def test_the_best_is_remembered_by_a_run_that_goes_on(tmp_path):
  _save(tmp_path, step_1=0.9, step_2=None)
  _save(tmp_path, step_3=0.5, step_4=None)
  assert _steps(tmp_path) == [1, 3, 4]
  _save(tmp_path, step_5=0.95)
  assert _steps(tmp_path) == [4, 5]


def test_a_new_run_has_no_checkpoint(tmp_path):
  checkpoints = checkpoint.Checkpoints(tmp_path)
  assert checkpoints.newest is None
  assert checkpoints.scores.best is None
  checkpoints.close()


def test_reading_writes_nothing(tmp_path):
  checkpoints = checkpoint.Checkpoints(tmp_path / "run", read_only=True)
  assert checkpoints.newest is None
  checkpoints.close()
  assert not (tmp_path / "run").exists()


def _parameter_files(folder, step):
  """The files that hold arrays, largest first."""
  files = [path for path in (folder / "checkpoints" / str(step)).rglob("d/*") if path.is_file()]
  return sorted(files, key=lambda path: path.stat().st_size, reverse=True)


def _flip_one_bit(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


@pytest.mark.parametrize(
  ("damage", "reason"),
  [
    (_flip_one_bit, "has changed"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has changed"),
    (lambda path: path.unlink(), "is missing"),
  ],
)
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(tmp_path, caplog, damage, reason):
  _save(tmp_path, step_1=None, step_2=None)
  damage(_parameter_files(tmp_path, 2)[0])
  checkpoints = checkpoint.Checkpoints(tmp_path)
  assert checkpoints.newest == 1
  restored, _ = checkpoints.restore(1, _state())
  checkpoints.close()
  _assert_equal(restored, _state(seed=1))
  (aside,) = (tmp_path / "damaged_checkpoints").iterdir()
  assert aside.name.startswith("2-")
  assert "checkpoints/2 is damaged (" in caplog.text
  assert reason in caplog.text
  _save(tmp_path, step_2=None)
  assert _steps(tmp_path) == [1, 2]


def test_without_an_intact_checkpoint_nothing_is_started_over_silently(tmp_path):
  _save(tmp_path, step_1=None)
  _flip_one_bit(_parameter_files(tmp_path, 1)[0])
  with pytest.raises(UserError, match=r"no checkpoint is left in .*damaged_checkpoints"):
    checkpoint.Checkpoints(tmp_path)


def test_an_unfinished_checkpoint_is_none(tmp_path):
  _save(tmp_path, step_1=None, step_2=None)
  folder = tmp_path / "checkpoints"
  (folder / "2").rename(folder / "2.orbax-checkpoint-tmp-1")
  checkpoints = checkpoint.Checkpoints(tmp_path)
  assert checkpoints.newest == 1
  checkpoints.close()
  assert not (tmp_path / "damaged_checkpoints").exists()


def test_checksums_cover_every_array(tmp_path):
  _save(tmp_path, step_1=None)
  checksums = json.loads((tmp_path / "checkpoints" / "1" / "checksums.json").read_text())
  for path in _parameter_files(tmp_path, 1):
    assert str(path.relative_to(tmp_path / "checkpoints" / "1")) in checksums


def _content(folder):
  return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_reader_passes_over_a_damaged_checkpoint_and_changes_nothing(tmp_path, caplog):
  _save(tmp_path, step_1=None, step_2=0.5)
  _parameter_files(tmp_path, 2)[0].unlink()  # as when its run is about to delete it
  before = _content(tmp_path)
  for which, message in (("newest", None), ("best", "holds no intact checkpoint")):
    checkpoints = checkpoint.Checkpoints(tmp_path, read_only=True)
    if message:
      with pytest.raises(UserError, match=message):
        checkpoints.use(which, checkpoints.restore_variables)
    else:
      step, variables = checkpoints.use(which, checkpoints.restore_variables)
      assert step == 1
      _assert_equal(variables, jax.device_get(_state(seed=1).eval_variables))
    checkpoints.close()
  assert "checkpoints/2 is damaged (" in caplog.text
  assert "): skipped" in caplog.text
  assert _content(tmp_path) == before


def test_a_checkpoint_that_is_deleted_while_it_is_read_is_passed_over(tmp_path):
  _save(tmp_path, step_1=None, step_2=None)
  checkpoints = checkpoint.Checkpoints(tmp_path, read_only=True)

  def read(step):
    if step == 2:
      shutil.rmtree(tmp_path / "checkpoints/2")
    return checkpoints.restore_variables(step)

  step, _ = checkpoints.use("newest", read)
  checkpoints.close()
  assert step == 1


def test_a_checkpoint_of_another_network_is_one_line(tmp_path):
  _save(tmp_path, step_1=None)
  other = state.create(_OtherNet(2), TX, image_size=(4, 4), seed=0, ema=True)
  checkpoints = checkpoint.Checkpoints(tmp_path)
  with pytest.raises(UserError, match="does not fit this configuration") as error:
    checkpoints.restore(1, other)
  checkpoints.close()
  assert "\n" not in str(error.value)
