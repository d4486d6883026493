"""What a run takes from other weights, and what it reports about the rest."""

import jax
import numpy as np
import pytest

from flax_unet import errors
from flax_unet.data import label_spaces
from flax_unet.models.unet import UNet
from flax_unet.run import experiment, init_from, loop, parts, trained, workdir
from flax_unet.training import checkpoint, optimizer, state
from flax_unet.weights import torch_files


def _variables(seed=0, num_classes=19, **attributes):
  model = UNet(num_classes, **{"width": 2, "depth": 1, **attributes})
  variables = model.init(jax.random.key(seed), np.zeros((1, 8, 8, 3), np.float32), train=False)
  return model, jax.device_get(variables)


def test_all_of_a_network_of_the_same_shape_fits():
  model, given = _variables()
  found = init_from.fit(given, model)
  jax.tree.map(np.testing.assert_array_equal, found.variables, given)
  assert (found.dropped, found.new) == ((), ())


def test_the_head_of_other_classes_is_dropped_and_named():
  _, given = _variables(num_classes=19)
  found = init_from.fit(given, _variables(num_classes=3)[0])
  assert (found.dropped, found.new) == (("logits",), ("logits",))
  assert "logits" not in found.variables["params"]
  kernel = found.variables["params"]["bottleneck"]["conv_2"]["kernel"]
  np.testing.assert_array_equal(kernel, given["params"]["bottleneck"]["conv_2"]["kernel"])
  assert found.variables["batch_stats"].keys() == given["batch_stats"].keys()


def test_a_layer_is_taken_whole_or_not_at_all():
  # The head's biases have the same shape in both; its kernels do not, nor does anything else.
  assert init_from.fit(_variables(width=4)[1], _variables()[0]).variables == {}
  # If only one of the two has normalisation, the kernels still fit.
  found = init_from.fit(_variables(norm="none")[1], _variables()[0])
  assert "kernel" in found.variables["params"]["encoder_0"]["conv_1"]
  assert "encoder_0/norm_1" in found.new
  assert found.dropped == tuple(
    f"{block}/conv_{i}" for block in ("bottleneck", "decoder_0", "encoder_0") for i in (1, 2)
  )  # whose biases have no counterpart


def _run(folder, config, seed=5):
  """A run that was never trained; returns its state."""
  workdir.write_config(folder, config)
  made = state.create(
    parts.make_model(config, label_spaces.get(config.label_space)),
    optimizer.make(config, 10),
    image_size=(8, 8),
    seed=seed,
    ema=config.ema_decay is not None,
  )
  checkpoints = checkpoint.Checkpoints(folder)
  for step in (3, 7):
    made = made.replace(params=jax.tree.map(lambda x: x + 1, made.params))
    made = made.replace(ema_params=made.ema_params and jax.tree.map(lambda x: -x, made.params))
    checkpoints.save(made, step, place={})
  checkpoints.close()
  return jax.device_get(made)


@pytest.mark.parametrize(("ema_decay", "norm"), [(0.9, "batch"), (None, "batch"), (None, "none")])
def test_reads_what_a_run_predicts_with(tiny_config, tmp_path, ema_decay, norm):
  config = tiny_config(ema_decay=ema_decay, **{"model.norm": norm})
  made = _run(tmp_path, config)
  expected = made.eval_variables
  jax.tree.map(np.testing.assert_array_equal, init_from.read(str(tmp_path)), expected)
  found = trained.load(tmp_path, "newest")
  assert (found.step, found.label_space.name) == (7, "cityscapes_19")
  jax.tree.map(np.testing.assert_array_equal, found.variables, expected)
  step_3 = init_from.read(str(tmp_path / "checkpoints/3"))
  difference = -1 if ema_decay else 1
  np.testing.assert_allclose(
    step_3["params"]["logits"]["bias"], expected["params"]["logits"]["bias"] - difference
  )


def test_training_starts_from_them_and_only_once(tiny_config, tmp_path, caplog):
  caplog.set_level("INFO", logger="absl")
  source, target = tmp_path / "source", tmp_path / "target"
  given = _run(source, tiny_config(ema_decay=None)).params
  # A step too small to change anything shows what training started from.
  still = {"total_steps": 1, "lr": 1e-30, "wd": 0.0, "schedule.warmup_steps": 0}
  config = tiny_config(init_from=str(source), label_space="cityscapes_categories", **still)
  config.class_weights = None
  assert loop.train(config, target) == 0
  (line,) = [text for text in caplog.messages if text.startswith("Starting from")]
  assert line.startswith(f"Starting from {source}: took ")
  assert line.endswith("; dropped because they do not fit: logits; initialised randomly: logits")

  checkpoints = checkpoint.Checkpoints(target)
  run = experiment.open_data(parts.build(config))
  restored, _ = checkpoints.restore(1, run.init_state())
  for params in (restored.params, restored.ema_params):
    np.testing.assert_allclose(
      params["bottleneck"]["conv_1"]["kernel"], given["bottleneck"]["conv_1"]["kernel"], rtol=1e-6
    )
    assert params["logits"]["bias"].shape == (8 - 1,)
  caplog.clear()
  # The run resumes from its own checkpoint, even though the weights it began with are gone.
  source.rename(tmp_path / "elsewhere")
  assert loop.train(config, target) == 0
  assert not [text for text in caplog.messages if text.startswith("Starting from")]


def test_mistakes_are_told_in_one_line_before_anything_is_written(tiny_config, tmp_path):
  def fails(where, match):
    with pytest.raises(errors.UserError, match=match) as info:
      loop.train(tiny_config(init_from=str(where)), tmp_path / "new")
    assert str(info.value).startswith(f"config.init_from = {where}")
    assert "\n" not in str(info.value)
    assert not (tmp_path / "new").exists()

  fails(tmp_path / "no_run", "is neither a run, nor one of its checkpoints")
  fails(tmp_path / "no.pth", "there is no such file")
  wider = tiny_config()
  wider.model.width = 6
  _run(tmp_path / "wider", wider)
  fails(tmp_path / "wider", "none of its weights fit config.model")
  fails(tmp_path / "wider/checkpoints/8", "is neither a run")


def test_training_starts_from_a_file_of_pytorch(tiny_config, tmp_path):
  pytest.importorskip("safetensors")
  from flax_unet.weights import dialects

  config = tiny_config()
  made = _run(tmp_path / "run", config)
  file = tmp_path / "unet.safetensors"
  torch_files.write(file, dialects.for_model(made.apply_fn.model).state_dict(made.eval_variables))
  found = init_from.initial(str(file), parts.build(config).model)
  jax.tree.map(np.testing.assert_array_equal, found, made.eval_variables)
