"""Published files of weights are told apart by their names, and give PyTorch's features here."""

import functools
import re

import jax
import numpy as np
import pytest

from flax_unet import errors
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.models import registry
from flax_unet.run import init_from
from flax_unet.weights import dialects, torch_files

torch = pytest.importorskip("torch")

from benchmarks import torch_networks as peers  # noqa: E402 (needs torch)
from benchmarks import torch_smp, torch_vgg  # noqa: E402


def _resnet(size):
  """A state dict as torchvision and timm publish it."""
  torch.manual_seed(0)
  state_dict = torch_smp.ResNet(3, size, width=4).state_dict()
  features = 32 * (4 if size >= 50 else 1)
  return {**state_dict, "fc.weight": torch.ones(10, features), "fc.bias": torch.ones(10)}


def _vgg(norm):
  """A state dict as torchvision publishes it, with classifiers of other widths."""
  torch.manual_seed(0)
  features = torch_vgg.vgg16_features(3, 4, norm).state_dict()
  classifier = torch.nn.Sequential(
    torch.nn.Linear(32 * 49, 6), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(6, 6)
  ).state_dict()
  return {
    **{f"features.{name}": x for name, x in features.items()},
    **{f"classifier.{name}": x for name, x in classifier.items()},
    "classifier.6.weight": torch.ones(10, 6),
    "classifier.6.bias": torch.ones(10),
  }


def _huggingface(state_dict, prefix="resnet."):
  """torchvision's names as Hugging Face's."""

  def rename(name):
    leaf = name.rsplit(".", 1)[1]
    if name.startswith("fc."):
      return f"classifier.1.{leaf}"
    if match := re.match(r"layer(\d)\.(\d+)\.(conv|bn)(\d)", name):
      stage, block, kind, number = match.groups()
      place = f"layer.{int(number) - 1}.{'convolution' if kind == 'conv' else 'normalization'}"
      return f"{prefix}encoder.stages.{int(stage) - 1}.layers.{block}.{place}.{leaf}"
    if match := re.match(r"layer(\d)\.(\d+)\.downsample\.(\d)", name):
      stage, block, kind = match.groups()
      place = f"shortcut.{('convolution', 'normalization')[int(kind)]}"
      return f"{prefix}encoder.stages.{int(stage) - 1}.layers.{block}.{place}.{leaf}"
    kind = "convolution" if name.startswith("conv1") else "normalization"
    return f"{prefix}embedder.embedder.{kind}.{leaf}"

  return {rename(name): x for name, x in state_dict.items()}


def _arrays(state_dict):
  return {name: x.numpy() for name, x in state_dict.items()}


@functools.cache
def _model(name, image_format=RGB, **attributes):
  return registry.build(name, {"width": 4, "axis_name": None, **attributes}, 5, image_format)


CASES = {
  "torchvision's resnet18": (lambda: _resnet(18), "unet_resnet18"),
  "torchvision's resnet34": (lambda: _resnet(34), "unet_resnet34"),
  "torchvision's resnet50": (lambda: _resnet(50), "unet_resnet50"),
  "torchvision's resnet101": (lambda: _resnet(101), "unet_resnet101"),
  "Hugging Face's resnet-34": (lambda: _huggingface(_resnet(34)), "unet_resnet34"),
  "Hugging Face's resnet-50": (lambda: _huggingface(_resnet(50), ""), "unet_resnet50"),
  "torchvision's vgg16_bn": (lambda: _vgg(True), "segnet"),
  "torchvision's vgg16": (lambda: _vgg(False), "fcn"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_encoder_is_recognized_and_fits_all_of_its_network(name):
  make, network = CASES[name]
  state_dict = _arrays(make())
  dialect = dialects.recognize(state_dict)
  assert dialect.name == name
  model = _model(network, **({"fc_width": 6} if network == "fcn" else {}))
  fit = init_from.fit(dialect.variables(state_dict), model)
  fully_connected = ("fc6", "fc7") if name.endswith("_bn") else ()
  assert fit.dropped == (*fully_connected, "imagenet_classifier")
  of_encoder = [name for name in fit.new if name.startswith(("encoder", "fc"))]
  assert not of_encoder and any(name.startswith(("decoder", "score")) for name in fit.new)


@pytest.mark.parametrize("name", ["torchvision's resnet50", "Hugging Face's resnet-50"])
def test_an_encoder_gives_the_features_of_pytorch(name):
  torch.manual_seed(0)
  peer = torch_smp.Unet(3, 5, 50, width=4, decoder_width=2).eval()
  encoder = peer.encoder.state_dict()
  renamed = _huggingface(encoder) if name.startswith("Hugging") else encoder
  whole = dialects.recognize(_arrays(peer.state_dict())).variables(_arrays(peer.state_dict()))
  alone = dialects.recognize(_arrays(renamed)).variables(_arrays(renamed))
  for collection in ("params", "batch_stats"):
    jax.tree.map(
      np.testing.assert_array_equal, alone[collection]["encoder"], whole[collection]["encoder"]
    )


WHOLE = {
  "mmsegmentation's fcn_unet_s5-d16": (lambda: peers.UNetS5(3, 5, 4), "unet_s5", {}),
  "mmsegmentation's fcn_unet_s3-d4": (lambda: peers.UNetS5(3, 5, 4, 2), "unet_s5", {"depth": 2}),
  "segmentation_models.pytorch's Unet('resnet34')": (
    lambda: torch_smp.Unet(3, 5, 34),
    "unet_resnet34",
    {"width": 64},
  ),
  "segmentation_models.pytorch's Unet('vgg16_bn')": (
    lambda: torch_smp.Unet(3, 5, "vgg16_bn"),
    "unet_vgg16",
    {"width": 64},
  ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_network_goes_there_and_back(name):
  make, network, attributes = WHOLE[name]
  state_dict = _arrays(make().state_dict())
  dialect = dialects.recognize(state_dict)
  model = _model(network, **attributes)
  assert (dialect.name, dialect.network) == (name, network)
  dialect.check(model)
  variables = dialect.variables(state_dict)
  fit = init_from.fit(variables, model)
  assert not fit.dropped and not fit.new
  back = dialects.for_model(model).state_dict(variables)
  if network == "unet_vgg16":  # torchvision's convolutions have biases that ours do without
    zeros = {key: x for key, x in state_dict.items() if key not in back}
    assert all(re.fullmatch(r"encoder\.features\.\d+\.bias", key) for key in zeros)
    state_dict = {key: x for key, x in state_dict.items() if key in back}
  assert back.keys() == state_dict.keys()
  for key, x in state_dict.items():
    if not key.endswith(("num_batches_tracked", "running_mean")):
      np.testing.assert_array_equal(back[key], x, err_msg=key)


def test_published_numbers_of_tensors():
  # NETWORKS: 148 tensors with counters of batches, for 19 classes.
  assert len(peers.UNetS5(3, 19, 4).state_dict()) == 148


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "module.model."])
def test_prefixes_of_trainers_are_taken_off(prefix, tmp_path):
  state_dict = {f"{prefix}{name}": x for name, x in _resnet(18).items()}
  for content in (state_dict, {"state_dict": state_dict}, {"model_state_dict": state_dict}):
    torch.save(content, tmp_path / "x.pth")
    dialect, _ = dialects.read(tmp_path / "x.pth")
    assert dialect.name == "torchvision's resnet18"


class _Trainer:
  """An object of a training program, as published checkpoints carry them."""

  def __init__(self):
    self.history = [1.0, {"lr": np.float64(0.01)}]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_with_objects_of_its_trainer_is_read(tmp_path, zipped):
  network = peers.UNetS5(3, 5, 4)
  torch.save(
    {
      "meta": {"seed": 0, "trainer": _Trainer()},
      "state_dict": network.state_dict(),
      "optimizer": torch.optim.SGD(network.parameters(), 0.1).state_dict(),
      "message_hub": _Trainer(),
    },
    tmp_path / "x.pth",
    _use_new_zipfile_serialization=zipped,
  )
  read = torch_files.read(tmp_path / "x.pth")
  assert read.keys() == network.state_dict().keys()
  for name, x in network.state_dict().items():
    np.testing.assert_array_equal(read[name], x.numpy())


def test_a_first_convolution_is_adapted_to_other_channels():
  state_dict = _arrays(_resnet(18))
  variables = dialects.recognize(state_dict).variables(state_dict)
  model = _model("unet_resnet18", ImageFormat(4, mean=()), mean=(), stddev=())
  fit = init_from.fit(variables, model)
  assert fit.adapted == ("encoder/stem/conv",)
  kernel = np.asarray(fit.variables["params"]["encoder"]["stem"]["conv"]["kernel"])
  mean = state_dict["conv1.weight"].mean(1)  # [out, 7, 7]
  np.testing.assert_allclose(kernel[:, :, 2], mean.transpose(1, 2, 0) * 3 / 4, rtol=1e-6)
  # Equal values in all channels give what they gave before.
  np.testing.assert_allclose(
    kernel.sum(2), state_dict["conv1.weight"].sum(1).transpose(1, 2, 0), rtol=1e-4, atol=1e-5
  )


def test_the_hash_in_a_name_is_compared(tmp_path):
  torch.save(_resnet(18), tmp_path / "resnet18.pth")
  digest = torch_files.sha256(tmp_path / "resnet18.pth")[:8]
  named = tmp_path / f"resnet18-{digest}.pth"
  named.write_bytes((tmp_path / "resnet18.pth").read_bytes())
  torch_files.read(named)
  wrong = tmp_path / "resnet18-f37072fd.pth"
  wrong.write_bytes(named.read_bytes())
  with pytest.raises(errors.UserError, match=f"begins with {digest}, but its name says f37072fd"):
    torch_files.read(wrong)


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ([1, 2], "it holds a list, not a dictionary of tensors"),
    ({"a": 1}, "it holds no tensors, nor a state dict under a usual key, but a"),
    (torch.nn.Linear(2, 2), "it holds a Placeholder, not a dictionary"),
  ],
)
def test_a_pickle_that_is_no_state_dict_is_one_line(content, message, tmp_path):
  torch.save(content, tmp_path / "x.pth")
  with pytest.raises(errors.UserError, match=message) as info:
    torch_files.read(tmp_path / "x.pth")
  assert "\n" not in str(info.value)


def test_a_width_that_a_dialect_cannot_have_is_refused():
  with pytest.raises(ValueError, match=r"width=4: segmentation_models.pytorch's .* has width=64"):
    dialects.for_model(_model("unet_resnet18"))
  with pytest.raises(ValueError, match="SegNet has no published names"):
    dialects.for_model(_model("segnet"))


def test_images_keep_their_normalization():
  dialect = dialects.recognize(_arrays(peers.UNetS5(3, 5, 4).state_dict()))
  mean, stddev = np.array(dialect.normalization) * 255
  np.testing.assert_allclose(mean, (123.675, 116.28, 103.53), rtol=1e-12)
  np.testing.assert_allclose(stddev, (58.395, 57.12, 57.375), rtol=1e-12)


def test_a_damaged_tensor_is_noticed(tmp_path):
  path = tmp_path / "unet.pth"
  torch.save({"weight": torch.arange(1000.0)}, path)
  content = bytearray(path.read_bytes())
  content[content.find(np.float32(500).tobytes() + np.float32(501).tobytes())] ^= 1
  path.write_bytes(content)
  with pytest.raises(errors.UserError, match=r"unet.pth: cannot be read .*its part .* is damaged"):
    torch_files.read(path)


def test_values_that_are_not_finite_are_named(tmp_path):
  torch.save(
    {"a.weight": torch.ones(3), "b.weight": torch.tensor([1.0, np.nan])}, tmp_path / "x.pt"
  )
  message = r"x.pt: tensor 'b.weight' has values that are not finite"
  with pytest.raises(errors.UserError, match=message):
    torch_files.read(tmp_path / "x.pt")
