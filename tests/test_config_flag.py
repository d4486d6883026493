import sys
import textwrap

import pytest
from absl import flags

from flax_unet import base_config, config_flag, errors

FILE = textwrap.dedent(
  """
  import ml_collections

  def get_config(arg=None):
    if arg == "bug":
      return 1 + "a"
    return ml_collections.ConfigDict({"steps": 3, "lr": 0.1, "input": {"name": "x"}})
  """
)


@pytest.fixture
def parse(tmp_path, monkeypatch):
  """Parses a command line, with FILE as its configuration."""
  (tmp_path / "config.py").write_text(FILE)
  values = flags.FlagValues()
  monkeypatch.setattr(flags, "FLAGS", values)

  def parse(*arguments, arg=""):
    command = ["main.py", f"--config={tmp_path / 'config.py'}{arg}", *arguments]
    monkeypatch.setattr(sys, "argv", command)  # where ml_collections looks for settings
    holder = config_flag.define(values)
    assert errors._parse_flags("__main__", command) == ["main.py"]
    return holder.value

  return parse


def test_settings_are_changed_and_emptied(parse):
  config = parse("--config.steps=None", "--config.lr=0.5", "--config.input.name=None")
  assert config.to_dict() == {"steps": None, "lr": 0.5, "input": {"name": None}}


def test_values_keep_their_type(parse):
  config = parse("--config.steps=7", "--config.lr=1", "--config.input.name=3")
  assert config.to_dict() == {"steps": 7, "lr": 1.0, "input": {"name": "3"}}
  assert isinstance(config.lr, float)


@pytest.mark.parametrize(
  ("argument", "message"),
  [
    ("--config.step=1", """the configuration has no setting 'step'. Did you mean "steps" """),
    ("--config.lr.x=1", "lr.x"),
    ("--config.steps=none", "flag --config.steps=none: invalid literal for int"),
    ("--confg.steps=1", "Unknown command line flag 'confg.steps'"),
  ],
)
def test_what_is_not_understood_is_refused(parse, argument, message):
  with pytest.raises(errors.UserError, match=message):
    parse(argument)


def test_a_setting_before_its_configuration_comes_with_the_right_order(tmp_path, monkeypatch):
  (tmp_path / "config.py").write_text(FILE)
  values = flags.FlagValues()
  monkeypatch.setattr(flags, "FLAGS", values)
  command = ["main.py", "--config.steps=2", f"--config={tmp_path / 'config.py'}"]
  monkeypatch.setattr(sys, "argv", command)
  config_flag.define(values)
  with pytest.raises(errors.UserError) as caught:
    errors._parse_flags("__main__", command)
  reason = "--config.steps=2 comes before its configuration: put --config=FILE first"
  assert str(caught.value) == reason


def test_an_import_that_is_not_there_comes_with_where_to_run(parse, tmp_path):
  (tmp_path / "config.py").write_text("from configs_elsewhere.common import parse_arg")
  with pytest.raises(
    errors.UserError, match=r"No module named 'configs_elsewhere'.*start the program in the folder"
  ):
    parse()


def test_a_bug_in_the_file_keeps_its_traceback(parse, tmp_path):
  with pytest.raises(TypeError) as caught:
    parse(arg=":bug")
  assert caught.traceback[-1].path == tmp_path / "config.py"


@pytest.mark.parametrize(
  ("arguments", "expected"),
  [
    ([], (160, None)),
    (["--config.total_steps=200"], (200, None)),
    (["--config.total_epochs=2"], (None, 2)),
    (["--config.total_steps=40", "--config.total_epochs=2"], (40, 2)),  # `checks` refuses it
    (["--config.total_steps=None", "--config.total_epochs=2"], (None, 2)),
  ],
)
def test_one_length_on_the_command_line_sets_the_runs(parse, tmp_path, arguments, expected):
  (tmp_path / "config.py").write_text(
    textwrap.dedent(
      """
      import ml_collections
      from ml_collections.config_dict import placeholder

      def get_config():
        length = {"total_steps": 160, "total_epochs": placeholder(int)}
        return ml_collections.ConfigDict(length)
      """
    )
  )
  config = parse(*arguments)
  config_flag.settle(flags.FLAGS)
  assert (config.total_steps, config.total_epochs) == expected


@pytest.mark.parametrize(
  ("arguments", "added"),
  [
    (["--mode=evaluate", "--workdir=runs/a"], True),
    (["--mode", "predict", "--workdir", "runs/a", "--images=x"], True),
    (["--workdir=runs/a", "--mode=predict", "--config.evals.val.batch_size=2"], True),
    (["--mode=train", "--workdir=runs/a"], False),
    (["--workdir=runs/a"], False),
    (["--mode=evaluate"], False),
    (["--mode=evaluate", "--workdir=runs/a", "--config=c.py"], False),
    (["--mode=evaluate", "--workdir=runs/a", "--config", "c.py"], False),
  ],
)
def test_the_folder_of_a_run_is_enough_to_evaluate_and_predict(arguments, added):
  expected = ["--config=runs/a/config.json"] if added else []
  assert config_flag.of_run(["main.py", *arguments]) == ["main.py", *expected, *arguments]


def _parse_json(path, monkeypatch, *settings):
  values = flags.FlagValues()
  monkeypatch.setattr(flags, "FLAGS", values)
  command = ["main.py", f"--config={path}", *settings]
  monkeypatch.setattr(sys, "argv", command)
  holder = config_flag.define(values)
  errors._parse_flags("__main__", command)
  return holder.value


def test_the_configuration_of_a_run_is_one(tmp_path, monkeypatch):
  path = tmp_path / "config.json"
  path.write_text('{"tile": [512, 1024], "steps": null, "input": {"name": "x", "ops": [["a", 1]]}}')
  settings = ["--config.tile=(64, 128)", "--config.steps=7", "--config.input.name=y"]
  config = _parse_json(path, monkeypatch, *settings)
  expected = {"tile": (64, 128), "steps": 7, "input": {"name": "y", "ops": (("a", 1),)}}
  defaults = base_config.get_config().to_dict()  # settings that an earlier version did not have
  expected["input"] = {**defaults["input"], **expected["input"]}
  assert config.to_dict() == {**defaults, **expected}
  with pytest.raises(errors.UserError, match="has no setting 'tiel'"):
    _parse_json(path, monkeypatch, "--config.tiel=3")
  path.write_text("{")
  with pytest.raises(errors.UserError, match=r"config.json: is not JSON, or was cut off"):
    _parse_json(path, monkeypatch)
  path.unlink()
  with pytest.raises(errors.UserError, match=f"^{tmp_path} holds no run: train first"):
    _parse_json(path, monkeypatch)


BASED = """
from flax_unet import base_config

def get_config(arg=None):
  config = base_config.get_config()
  {}
  return config
"""


@pytest.mark.parametrize(
  ("line", "message"),
  [
    ("config.warmup_step = 3", "the configuration sets 'warmup_step', .* did you mean 'warmup_st"),
    ("config.schedule.warmup = 3", "sets 'warmup', which is not a setting: did you mean"),
    ("config.qqq = 3", "sets 'qqq', which is not a setting: flax_unet/base_config.py has all"),
  ],
)
def test_a_setting_that_no_configuration_has_is_refused_in_one_line(parse, tmp_path, line, message):
  (tmp_path / "config.py").write_text(BASED.format(line))
  with pytest.raises(errors.UserError, match=message) as error:
    parse()
  assert "\n" not in str(error.value)


def test_a_configuration_that_comes_with_the_program_is_found_from_anywhere(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  values = flags.FlagValues()
  monkeypatch.setattr(flags, "FLAGS", values)
  command = ["main.py", "--config=configs/street_scenes.py:width=3"]
  monkeypatch.setattr(sys, "argv", command)
  holder = config_flag.define(values)
  errors._parse_flags("__main__", command)
  assert holder.value.model.width == 3


_EVALS = """
from flax_unet import base_config

def get_config():
  return base_config.get_config()
"""


def test_a_type_on_the_command_line_adds_an_evaluation(tmp_path, parse):
  (tmp_path / "config.py").write_text(_EVALS)
  config = parse("--config.evals.edges.type=boundary", "--config.evals.edges.batch_size=2")
  assert (config.evals.edges.type, config.evals.edges.batch_size) == ("boundary", 2)
  assert (config.evals.val.type, config.evals.edges.split) == ("segmentation", "validation")


def test_a_type_adds_an_evaluation_to_the_configuration_of_a_run(tmp_path, monkeypatch):
  file = tmp_path / "config.json"
  file.write_text(base_config.get_config().to_json_best_effort())
  values = flags.FlagValues()
  monkeypatch.setattr(flags, "FLAGS", values)
  command = ["main.py", f"--config={file}", "--config.evals.edges.type=boundary"]
  monkeypatch.setattr(sys, "argv", command)
  holder = config_flag.define(values)
  errors._parse_flags("__main__", command)
  assert {name: item.type for name, item in holder.value.evals.items()} == {
    "val": "segmentation",
    "edges": "boundary",
  }


def test_another_unknown_evaluation_is_refused(tmp_path, parse):
  (tmp_path / "config.py").write_text(_EVALS)
  with pytest.raises(errors.UserError, match="no setting 'vall'"):
    parse("--config.evals.vall.batch_size=2")
