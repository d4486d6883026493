"""State dicts of milesial/Pytorch-UNet give the same logits here, and ours the same there."""

import re

import jax
import numpy as np
import pytest

from flax_unet.models.unet import UNet
from flax_unet.weights import dialects

torch = pytest.importorskip("torch")

from benchmarks.torch_unet import TorchUNet  # noqa: E402 (needs torch)

DEPTH, WIDTH, CLASSES = 3, 4, 5
# The names in the peer and in the public layout, for a depth of 3.
NAMES = {
  "encoder.0.": "inc.double_conv.",
  "encoder.1.": "down1.maxpool_conv.1.double_conv.",
  "encoder.2.": "down2.maxpool_conv.1.double_conv.",
  "encoder.3.": "down3.maxpool_conv.1.double_conv.",
  "upsample.2.": "up1.up.",
  "upsample.1.": "up2.up.",
  "upsample.0.": "up3.up.",
  "decoder.2.": "up1.conv.double_conv.",
  "decoder.1.": "up2.conv.double_conv.",
  "decoder.0.": "up3.conv.double_conv.",
  "logits.": "outc.conv.",
}


def _from_torch(state_dict):
  return dialects.recognize(state_dict).variables(state_dict)


def _to_torch(variables):
  return dialects.for_model(UNet(CLASSES, width=WIDTH, depth=DEPTH)).state_dict(variables)


def _peer():
  """A network with random scales and shifts, and with matching statistics."""
  torch.manual_seed(0)
  peer = TorchUNet(3, CLASSES, WIDTH, DEPTH, "batch")
  for module in peer.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
      torch.nn.init.uniform_(module.weight, 0.5, 1.5)
      torch.nn.init.normal_(module.bias, 0, 0.3)
  return _with_statistics(peer)


def _with_statistics(peer):
  with torch.no_grad():
    for _ in range(30):
      peer.train()(torch.tensor(_images().transpose(0, 3, 1, 2)))
  return peer.eval()


def _renamed(state_dict, names):
  pattern = re.compile("|".join(map(re.escape, names)))
  return {
    pattern.sub(lambda m: names[m[0]], name, count=1): value for name, value in state_dict.items()
  }


def _state_dict(peer):
  return {name: x.numpy() for name, x in _renamed(peer.state_dict(), NAMES).items()}


def _variables():
  """Variables with random scales and shifts, and with matching statistics."""
  model = UNet(CLASSES, width=WIDTH, depth=DEPTH)
  variables = model.init(jax.random.key(0), _images(), train=False)
  random = np.random.default_rng(0)
  for path, x in jax.tree.leaves_with_path(variables["params"]):
    block, *layers = (key.key for key in path)
    if layers[0].startswith("norm"):
      mean = 1.0 if layers[1] == "scale" else 0.0
      variables["params"][block][layers[0]][layers[1]] = random.normal(mean, 0.3, x.shape)
  step = jax.jit(lambda variables: model.apply(variables, _images(), train=True, mutable=True)[1])
  for _ in range(30):
    variables = step(variables)
  return jax.tree.map(lambda x: np.asarray(x, np.float32), variables)


def _images():
  return np.random.default_rng(1).normal(size=(2, 16, 24, 3)).astype(np.float32)


def _logits(variables):
  model = UNet(CLASSES, width=WIDTH, depth=DEPTH)
  return jax.jit(
    lambda images: model.apply(variables, images, train=False),
    # conftest reduces compiler optimisation, which rounds more than the tolerance allows.
    compiler_options={"xla_backend_optimization_level": 3},
  )(_images())


def _peer_logits(peer):
  with torch.no_grad():
    return peer(torch.tensor(_images().transpose(0, 3, 1, 2))).permute(0, 2, 3, 1).numpy()


def _assert_same_logits(got, expected):
  # With all ReLUs closed, networks would agree trivially: the logits would not depend on the image.
  assert np.std(expected, axis=(0, 1, 2)).min() > 0.1
  np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def test_a_state_dict_gives_the_logits_of_pytorch():
  peer = _peer()
  got = _logits(_from_torch(_state_dict(peer)))
  _assert_same_logits(got, _peer_logits(peer))


def test_biases_in_front_of_batch_norms_are_taken_into_account():
  peer = _peer()
  for block in (*peer.encoder, *peer.decoder):
    for place in (0, 3):
      block[place].bias = torch.nn.Parameter(torch.randn(block[place].out_channels))
  without = _peer_logits(peer)
  _with_statistics(peer)  # now with the shift by the biases
  assert np.abs(_peer_logits(peer) - without).max() > 0.1
  got = _logits(_from_torch(_state_dict(peer)))
  _assert_same_logits(got, _peer_logits(peer))


def test_our_variables_give_the_same_logits_in_pytorch():
  variables = _variables()
  state_dict = {name: torch.from_numpy(x) for name, x in _to_torch(variables).items()}
  peer = _peer()
  back = {theirs: ours for ours, theirs in NAMES.items()}
  peer.load_state_dict(_renamed(state_dict, back), strict=True)
  _assert_same_logits(_peer_logits(peer), _logits(variables))


def test_there_and_back_nothing_changes():
  variables = _variables()
  back = _from_torch(_to_torch(variables))
  jax.tree.map(np.testing.assert_array_equal, back, variables)
  state_dict = _state_dict(_peer())
  there = _to_torch(_from_torch(state_dict))
  assert there.keys() == state_dict.keys()
  for name, x in state_dict.items():
    if not name.endswith("num_batches_tracked"):
      np.testing.assert_array_equal(there[name], x, err_msg=name)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      lambda d: d.pop("up2.conv.double_conv.3.weight"),
      "nearest to milesial/Pytorch-UNet, with 1 tensor missing, such as 'up2.conv.double_conv",
    ),
    (lambda d: d.update(attention=0), "1 tensor left over, such as 'attention'"),
    (
      lambda d: d.update({"outc.conv.weight": np.zeros(3)}),
      r"'outc.conv.weight' is of shape \[3\]",
    ),
    (lambda d: d.clear(), "have names of no known program"),
  ],
)
def test_another_layout_is_refused_in_one_line(change, message):
  state_dict = _state_dict(_peer())
  change(state_dict)
  with pytest.raises(ValueError, match=message) as info:
    _from_torch(state_dict)
  assert "\n" not in str(info.value)


def test_a_network_without_a_counterpart_is_refused():
  with pytest.raises(ValueError, match=r"norm='group', upsample='bilinear' does not fit milesial"):
    dialects.for_model(UNet(3, norm="group", upsample="bilinear"))
  with pytest.raises(ValueError, match="padding='valid'"):
    dialects.for_model(UNet(3, padding="valid"))


class _BilinearUp(torch.nn.Module):
  """milesial's `Up(bilinear=True)`: no convolution, and a middle width in the block."""

  def __init__(self, inputs, features):
    super().__init__()
    self.up = torch.nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    self.conv = _double_conv(inputs, inputs // 2, features)

  def forward(self, x, skip):
    return self.conv(torch.cat([skip, self.up(x)], 1))


def _double_conv(inputs, middle, features):
  module = torch.nn.Module()
  layers = []
  for before, after in ((inputs, middle), (middle, features)):
    conv = torch.nn.Conv2d(before, after, 3, padding=1, bias=False)
    layers += [conv, torch.nn.BatchNorm2d(after), torch.nn.ReLU()]
  module.double_conv = torch.nn.Sequential(*layers)
  module.forward = lambda x: module.double_conv(x)
  return module


class _Bilinear(torch.nn.Module):
  """milesial's `UNet(3, CLASSES, bilinear=True)` of another width and a depth of 2."""

  def __init__(self, width):
    super().__init__()
    self.inc = _double_conv(3, width, width)
    for level, features in ((1, 2 * width), (2, 2 * width)):
      down = torch.nn.Module()
      block = _double_conv(width * 2 ** (level - 1), features, features)
      down.maxpool_conv = torch.nn.Sequential(torch.nn.MaxPool2d(2), block)
      setattr(self, f"down{level}", down)
    self.up1, self.up2 = _BilinearUp(4 * width, width), _BilinearUp(2 * width, width)
    self.outc = torch.nn.Module()
    self.outc.conv = torch.nn.Conv2d(width, CLASSES, 1)

  def forward(self, x):
    skips = [self.inc(x)]
    skips.append(self.down1.maxpool_conv(skips[0]))
    x = self.up1(self.down2.maxpool_conv(skips[1]), skips[1])
    return self.outc.conv(self.up2(x, skips[0]))


def test_the_bilinear_variant_gives_the_logits_of_pytorch():
  torch.manual_seed(0)
  peer = _with_statistics(_Bilinear(WIDTH))
  with torch.no_grad():
    peer.outc.conv.weight.mul_(4)  # so that the classes differ
  state_dict = {name: x.numpy() for name, x in peer.state_dict().items()}
  dialect = dialects.recognize(state_dict)
  assert dialect.attributes["upsample"] == "bilinear_aligned"
  model = UNet(CLASSES, width=WIDTH, depth=2, upsample="bilinear_aligned")
  dialect.check(model)
  variables = dialect.variables(state_dict)
  got = jax.jit(lambda images: model.apply(variables, images, train=False))(_images())
  _assert_same_logits(got, _peer_logits(peer))
  assert dialects.for_model(model).state_dict(variables).keys() == state_dict.keys()
