"""The network equals one in PyTorch: logits, gradients and running statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.models.unet import UNet

torch = pytest.importorskip("torch")

from benchmarks.torch_unet import TorchUNet, flax_batch_stats, flax_params  # noqa: E402


@pytest.mark.parametrize(
  ("norm", "width", "depth", "shape"),
  [
    ("none", 8, 3, (2, 16, 24, 3)),
    ("batch", 8, 2, (2, 16, 24, 3)),
    ("batch", 5, 3, (3, 24, 16, 1)),
    ("none", 7, 2, (1, 12, 20, 4)),
  ],
)
def test_logits_gradients_and_statistics_equal_those_of_pytorch(norm, width, depth, shape):
  torch.manual_seed(0)
  peer = TorchUNet(shape[-1], 5, width, depth, norm)
  params, stats = flax_params(peer), jax.tree.map(np.copy, flax_batch_stats(peer))
  model = UNet(5, width=width, depth=depth, norm=norm)
  random = np.random.default_rng(0)
  images = random.normal(size=shape).astype(np.float32)
  weights = random.normal(size=(*shape[:3], 5)).astype(np.float32)

  def loss_fn(params, images):
    logits, updates = model.apply(
      {"params": params, "batch_stats": stats}, images, train=True, mutable=["batch_stats"]
    )
    return (logits * weights).mean(), (logits, updates)

  (params_gradient, images_gradient), (logits, updates) = jax.jit(
    jax.grad(loss_fn, argnums=(0, 1), has_aux=True),
    # conftest reduces compiler optimisation, which rounds more than the tolerance allows.
    compiler_options={"xla_backend_optimization_level": 3},
  )(params, jnp.array(images))

  peer_images = torch.tensor(images.transpose(0, 3, 1, 2), requires_grad=True)
  peer_logits = peer(peer_images).permute(0, 2, 3, 1)
  (peer_logits * torch.tensor(weights)).mean().backward()

  def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)

  assert_close(logits, peer_logits.detach())
  assert_close(images_gradient, peer_images.grad.permute(0, 2, 3, 1))
  peer_gradient = flax_params(peer, lambda parameter: parameter.grad)
  jax.tree.map(assert_close, params_gradient, peer_gradient)
  if norm == "batch":
    for block, layers in flax_batch_stats(peer).items():
      level = depth if block == "bottleneck" else int(block[-1])
      count = images[..., 0].size / 4**level
      for layer, expected in layers.items():
        got = updates["batch_stats"][block][layer]
        assert_close(got["mean"], expected["mean"])
        # PyTorch records the unbiased variance, Flax the biased one: 0.9 * 1 + 0.1 * variance.
        assert_close((got["var"] - 0.9) * count / (count - 1) + 0.9, expected["var"])
