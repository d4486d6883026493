import pytest

from flax_unet import config_arg
from flax_unet.errors import UserError

DEFAULTS = {"paper": False, "width": 64, "res": "512x1024", "lr": 0.1}


def test_switches_and_values():
  arg = config_arg.parse("paper, width=32,res=256x512", **DEFAULTS)
  assert dict(arg) == {"paper": True, "width": 32, "res": "256x512", "lr": 0.1}
  assert dict(config_arg.parse(None, **DEFAULTS)) == DEFAULTS
  assert isinstance(config_arg.parse("lr=1", **DEFAULTS).lr, float)


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    ("widht=32", "unknown argument of the configuration 'widht': did you mean 'width'"),
    ("width", "argument 'width' of the configuration needs a value, for example width=64"),
    ("width=wide", "argument width=wide of the configuration: give a value like width=64"),
    ("width=0.5", "argument width=0.5 of the configuration: give a value like width=64"),
    ("paper=3", "argument paper=3 of the configuration: give True or False"),
  ],
)
def test_what_is_not_understood_is_refused(arg, message):
  with pytest.raises(UserError, match=message):
    config_arg.parse(arg, **DEFAULTS)
