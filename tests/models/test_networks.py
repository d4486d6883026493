"""Every network equals the same one in PyTorch, whose weights are carried over by their names."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.data.image_format import ImageFormat
from flax_unet.evaluation.inference import passes
from flax_unet.models import base, registry
from flax_unet.weights import dialects, torchvision_vgg

torch = pytest.importorskip("torch")

from benchmarks import torch_networks as peers  # noqa: E402 (needs torch)
from benchmarks import torch_smp, torch_vgg  # noqa: E402

CLASSES = 5
WIDTHS = {"width": 8, "decoder_width": 8}

# The network here, its attributes, and the peer.
NETWORKS = {
  "unet_s5": (
    {"width": 4, "depth": 3, "head_dropout": 0.0},
    lambda c: peers.UNetS5(c, CLASSES, 4, 3, 0.0),
  ),
  "attention_unet": ({"width": 4, "depth": 2}, lambda c: peers.AttentionUNet(c, CLASSES, 4, 2)),
  "ma_unet": (
    {"width": 8, "depth": 2},
    lambda c: peers.MAUNet(c, CLASSES, 8, 2, 4),
  ),
  "segnet": ({"width": 4}, lambda c: torch_vgg.SegNet(c, CLASSES, 4)),
  "segnet_basic": ({"width": 4, "depth": 2}, lambda c: peers.SegNetBasic(c, CLASSES, 4, 2)),
  "unet_vgg16": (WIDTHS, lambda c: torch_smp.Unet(c, CLASSES, "vgg16_bn", 8, 8)),
  **{
    f"unet_resnet{size}": (
      WIDTHS,
      functools.partial(
        torch_smp.Unet, num_classes=CLASSES, encoder=size, width=8, decoder_width=8
      ),
    )
    for size in (18, 50)
  },
}


def _fcn(stride, border):
  attributes = {"width": 4, "fc_width": 6, "stride": stride, "border": border, "dropout": 0.0}
  return attributes, lambda c: torch_vgg.FCN(c, CLASSES, 4, 6, stride, border)


CASES = [
  *((name, *case) for name, case in NETWORKS.items()),
  ("fcn", *_fcn(8, "padded")),
  ("fcn", *_fcn(16, "padded")),
  ("fcn", *_fcn(32, "padded")),
  ("fcn", *_fcn(8, "same")),
]
IDS = [
  f"{name}{attributes.get('stride', '')}{attributes.get('border', '')}"
  for name, attributes, _ in CASES
]


LEARNING = {*IDS} - {"fcn16padded", "fcn32padded", "unet_resnet18"}  # the same layers as others


def _variables(state_dict):
  """Our variables by published names where there are any, and by ours for the other layers."""
  theirs = {key: x for key, x in state_dict.items() if key.startswith(("features.", "classifier."))}
  if theirs:
    has_norm = any(key.endswith("running_mean") for key in theirs)
    vgg = torchvision_vgg.candidates(theirs)[has_norm].variables(theirs)
    ours = peers.by_our_names({key: x for key, x in state_dict.items() if key not in theirs})
    return {key: {**vgg.get(key, {}), **ours.get(key, {})} for key in {*vgg, *ours}}
  try:
    return dialects.recognize(state_dict).variables(state_dict)
  except ValueError:
    return peers.by_our_names(state_dict)


def _made(network, attributes, make_peer, channels=3):
  """A peer with random weights and statistics, the network, and its variables."""
  torch.manual_seed(0)
  peer = make_peer(channels)
  with torch.no_grad():
    for name, tensor in peer.named_parameters():
      if name.endswith("weight") and tensor.ndim == 1:
        tensor.uniform_(0.5, 1.5)
      elif name.endswith(("bias", "factor")):
        tensor.normal_(0, 0.2)
      elif tensor.ndim == 4:  # so that signals neither die out nor blow up
        fan_in = tensor[0].numel() if "upscore" not in name else tensor.shape[0] * 4
        tensor.normal_(0, (2 / fan_in) ** 0.5)
    norms = [module for module in peer.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:  # statistics that belong to the weights, or signals would blow up
      norm.momentum = 1.0
    peer.train()(torch.randn(4, channels, 64, 96))
    for norm in norms:  # a channel that hardly varies would be its own rounding, 300 times larger
      norm.running_var.clamp_(min=float(norm.running_var.mean()) / 2)
  colours = {"mean": base.MEAN, "stddev": base.STDDEV}
  if channels != 3:
    colours = {"mean": (0.5,) * channels, "stddev": (0.25,) * channels}
  image_format = ImageFormat(channels, mean=colours["mean"])
  arguments = {**attributes, **colours, "axis_name": None}
  model = registry.build(network, arguments, CLASSES, image_format)
  return peer, model, _variables(peers.by_torchs_names(peer))


def _peer_logits(peer, images, dtype):
  with torch.no_grad():
    logits = peer.eval().to(dtype)(torch.tensor(images.transpose(0, 3, 1, 2), dtype=dtype))
  return logits.permute(0, 2, 3, 1).numpy()


# conftest has networks compiled in a hurry, and they round more than the tolerance allows.
_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 3})


def _close(got, expected, tolerance, what=""):
  """No value differs by more than a share of the spread of what is expected."""
  got, expected = np.asarray(got), np.asarray(expected)
  assert got.shape == expected.shape, what
  spread = max(expected.std() if expected.size > 1 else np.abs(expected), 1e-3)
  assert np.abs(got - expected).max() <= tolerance * spread, what


@pytest.mark.parametrize(("network", "attributes", "make_peer"), CASES, ids=IDS)
def test_logits_equal_those_of_pytorch_at_any_size(network, attributes, make_peer):
  peer, model, variables = _made(network, attributes, make_peer)
  multiple = model.geometry.multiple
  for height, width in ((2 * multiple, 3 * multiple), (2 * multiple - 3, 3 * multiple - 1)):
    images = np.random.default_rng(0).integers(256, size=(2, height, width, 3), dtype=np.uint8)
    pads = [(0, 0), (0, -height % multiple), (0, -width % multiple), (0, 0)]
    mirrored = np.array(base.normalize(jnp.array(np.pad(images, pads, "reflect")), model))

    rounded, expected = (
      _peer_logits(peer, mirrored, dtype)[:, :height, :width]
      for dtype in (torch.float32, torch.float64)
    )
    got = _jit(functools.partial(passes.whole_picture, model, multiple=multiple))(variables, images)
    assert expected.std() > 1e-3
    # The deepest networks round PyTorch's own logits by more than 1e-4 of their spread.
    rounding = np.abs(rounded - expected).max() / expected.std()
    _close(got, expected, max(1e-4, 1.5 * rounding))


@pytest.mark.parametrize(
  ("network", "attributes", "make_peer"),
  [pytest.param(*case, id=name) for case, name in zip(CASES, IDS, strict=True) if name in LEARNING],
)
def test_gradients_equal_those_of_pytorch(network, attributes, make_peer):
  peer, model, variables = _made(network, attributes, make_peer)
  peer, stats = peer.double(), variables.get("batch_stats", {})
  side = 2 * model.geometry.multiple
  random = np.random.default_rng(0)
  images = random.normal(size=(3, side, side, 3))
  weights = random.normal(size=(3, side, side, CLASSES))

  def loss_of(params, images):
    logits, updates = model.apply(
      {"params": params, "batch_stats": stats},
      images,
      train=True,
      mutable=["batch_stats", "auxiliary"],
    )
    auxiliary = [x * weights[:, ::2, ::2] for x in jax.tree.leaves(updates.get("auxiliary", {}))]
    return (logits * weights).sum() + sum(x.sum() for x in auxiliary), logits

  with jax.enable_x64(True):  # so that ties and rounding in batch statistics play no part
    model = model.clone(dtype=jnp.float64)
    params = jax.tree.map(lambda x: jnp.array(x, jnp.float64), variables["params"])
    gradient, logits = jax.jit(jax.grad(loss_of, has_aux=True))(params, jnp.array(images))

  outputs = peer.train()(torch.tensor(images.transpose(0, 3, 1, 2)))
  outputs = outputs if isinstance(outputs, tuple) else (outputs,)
  at = (
    torch.tensor(weights).permute(0, 3, 1, 2),
    torch.tensor(weights[:, ::2, ::2]).permute(0, 3, 1, 2),
  )
  sum((output * w).sum() for output, w in zip(outputs, at, strict=False)).backward()
  _close(logits, outputs[0].detach().permute(0, 2, 3, 1), 1e-4)
  expected = _variables(peers.by_torchs_names(peer, lambda x: x if x.grad is None else x.grad))[
    "params"
  ]
  assert jax.tree.structure(expected) == jax.tree.structure(gradient)
  jax.tree.map_with_path(
    lambda path, x, y: _close(x, y, 1e-3, jax.tree_util.keystr(path)), gradient, expected
  )


SMALL = {
  "unet": {"width": 2, "depth": 2},
  "unet_s5": {"width": 2, "depth": 2},
  "attention_unet": {"width": 2, "depth": 2},
  "ma_unet": {"width": 2, "depth": 2},
  "fcn": {"width": 2, "fc_width": 4},
  "segnet": {"width": 2},
  "segnet_basic": {"width": 2, "depth": 2},
  **{f"unet_resnet{size}": {"width": 2, "decoder_width": 2} for size in (18, 34, 50, 101)},
  "unet_vgg16": {"width": 2, "decoder_width": 2},
}


@pytest.mark.parametrize("network", [name for name in SMALL if name != "unet_resnet101"])
def test_remat_and_bfloat16_keep_the_variables(network):
  shapes, plain = {}, registry.build(network, SMALL[network], CLASSES)
  for options in ({}, {"remat": True}, {"dtype": "bfloat16"}, {"conv": "xla"}):
    model = registry.build(network, {**SMALL[network], **options}, CLASSES)
    shapes[str(options)] = base.variable_shapes(model)
    side = 2 * model.geometry.multiple
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    run = functools.partial(plain.apply if not options else model.apply, train=False)
    logits = jax.eval_shape(run, shapes[str(options)], images)
    assert (logits.shape, logits.dtype) == ((2, side, side, CLASSES), jnp.float32)
  first, *others = shapes.values()
  assert all(other == first for other in others)


@pytest.mark.parametrize("network", ["unet", "unet_s5", "fcn", "segnet_basic", "unet_resnet18"])
def test_a_logit_sees_no_further_than_the_context(network):
  model = registry.build(network, {**SMALL[network], "conv": "xla", "axis_name": None}, CLASSES)
  context, multiple = model.geometry.context, model.geometry.multiple
  width = -(-(2 * context + 3 * multiple) // multiple) * multiple
  images = np.random.default_rng(0).normal(size=(1, multiple, width, 3)).astype(np.float32)
  variables = model.init(jax.random.key(0), images[:, :, : 2 * multiple], train=False)
  # Random weights everywhere: some networks begin with scores of 0.
  leaves, tree = jax.tree.flatten(variables["params"])
  random = np.random.default_rng(1)
  leaves = [random.normal(0, 0.5, leaf.shape).astype(np.float32) for leaf in leaves]
  variables = {**variables, "params": jax.tree.unflatten(tree, leaves)}
  cell = width // 2 // multiple * multiple

  @jax.jit
  def seen(images, column):
    def logit(images):
      return model.apply(variables, images, train=False)[0, :, column].sum()

    return jnp.abs(jax.grad(logit)(images)).sum((0, 1, 3)) > 0

  for column in (cell, cell + multiple - 1):
    columns = np.flatnonzero(seen(images, column))
    assert columns.size > 3
    assert cell - columns.min() <= context
    assert columns.max() - (cell + multiple - 1) <= context
