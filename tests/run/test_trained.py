import json

import pytest

from flax_unet.errors import UserError
from flax_unet.run import parts, trained


@pytest.fixture(name="folder")
def _folder(tmp_path, tiny_config):
  (tmp_path / "config.json").write_text(tiny_config().to_json_best_effort())
  return tmp_path


def test_the_same_model_passes_whatever_else_differs(folder, tiny_config):
  trained.check_same_model(tiny_config(lr=1.0, total_steps=7), folder)


@pytest.mark.parametrize(
  ("key", "before", "now"),
  [
    ("model.width", "4", 8),
    ("model.norm", "batch", "none"),
    ("model.padding", "same", "valid"),
  ],
)
def test_the_key_that_differs_is_named(folder, tiny_config, key, before, now):
  with pytest.raises(UserError, match=rf"config\.{key} = {before}, not {now}: give the --config"):
    trained.check_same_model(tiny_config(**{key: now}), folder)


def test_a_folder_without_a_run(tmp_path, tiny_config):
  with pytest.raises(UserError, match="holds no run"):
    trained.check_same_model(tiny_config(), tmp_path)


@pytest.mark.parametrize(
  ("pp", "expected"),
  [
    ("label_map", {"resize": None, "multiple": 128}),
    ("label_map|pad_to_multiple(256)", {"resize": None, "multiple": 256}),
    ("label_map|resize_image(64, 96)", {"resize": (64, 96), "multiple": 128}),
  ],
)
def test_images_are_made_to_fit_as_in_the_first_evaluation(tiny_config, pp, expected):
  config = tiny_config(**{"evals.val.pp": pp})
  built = parts.build(config).evals["val"]
  assert {"resize": built.resize, "multiple": built.multiple} == expected


def test_a_run_of_an_earlier_version_has_the_defaults_of_what_it_lacks(
  make_run, tiny_config, tmp_path
):
  folder = tmp_path / "run"
  make_run(folder, tiny_config(**{"model.depth": 1}))
  content = json.loads((folder / "config.json").read_text())
  for key in ("best", "early_stopping", "lr_mult"):
    del content[key]
  del content["evals"]["val"]["type"]
  (folder / "config.json").write_text(json.dumps(content))
  found = trained.load(folder)
  assert found.step == 10
  assert trained.config_of(folder).best == "val/mean_iou"
