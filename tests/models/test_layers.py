import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.models.layers import channel_product
from flax_unet.models.pooling import (
  max_pool_2x2,
  max_pool_2x2_ceil,
  max_pool_2x2_indices,
  max_pool_3x3_stride_2,
  max_unpool_2x2,
)
from flax_unet.models.upsampling import (
  TransposedConv2x2,
  upsample_bilinear,
  upsample_bilinear_aligned_2x,
  upsample_nearest_2x,
)


def _normal(seed: int, *shape: int) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), shape)


def _assert_same_function(ours, plain, *args, atol=1e-5):
  """Asserts that values and gradients of two functions of the same arrays agree."""
  np.testing.assert_allclose(ours(*args), plain(*args), rtol=0, atol=atol)
  cotangent = _normal(99, *ours(*args).shape)
  for got, expected in zip(
    jax.vjp(ours, *args)[1](cotangent), jax.vjp(plain, *args)[1](cotangent), strict=True
  ):
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol)


def test_max_pool_equals_the_plain_one():
  _assert_same_function(
    max_pool_2x2, lambda x: nn.max_pool(x, (2, 2), strides=(2, 2)), _normal(0, 2, 4, 6, 3)
  )


def test_max_pool_shares_the_gradient_of_ties():
  x = jnp.array([[5.0, 5.0], [1.0, 5.0]]).reshape(1, 2, 2, 1)
  gradient = jax.grad(lambda x: max_pool_2x2(x).sum())(x)
  np.testing.assert_allclose(gradient[0, :, :, 0], [[1 / 2, 1 / 4], [0, 1 / 4]])


def test_max_pool_passes_nan_on():
  x = jnp.zeros((1, 2, 4, 1)).at[0, 1, 3, 0].set(jnp.nan)
  np.testing.assert_array_equal(max_pool_2x2(x)[0, 0, :, 0], [0, np.nan])


@pytest.mark.parametrize("factor", [1, 2, 3, 8])
def test_bilinear_upsampling_equals_resize(factor):
  shape = (2, 3 * factor, 5 * factor, 4)
  _assert_same_function(
    lambda x: upsample_bilinear(x, factor),
    lambda x: jax.image.resize(x, shape, "bilinear"),
    _normal(0, 2, 3, 5, 4),
  )


@pytest.mark.parametrize("size", [(1, 4), (3, 5)])
def test_aligned_upsampling_equals_pytorch(size):
  torch = pytest.importorskip("torch")
  x = np.array(_normal(0, 2, *size, 3))
  expected = torch.nn.functional.interpolate(
    torch.tensor(x.transpose(0, 3, 1, 2)), scale_factor=2, mode="bilinear", align_corners=True
  )
  got = upsample_bilinear_aligned_2x(jnp.array(x))
  np.testing.assert_allclose(got, expected.permute(0, 2, 3, 1), rtol=0, atol=1e-6)


def test_nearest_upsampling_repeats_pixels():
  x = jnp.array([[1.0, 2.0]]).reshape(1, 1, 2, 1)
  np.testing.assert_array_equal(upsample_nearest_2x(x)[0, :, :, 0], [[1, 1, 2, 2]] * 2)


def test_pooling_of_3x3_equals_the_plain_one():
  _assert_same_function(
    max_pool_3x3_stride_2,
    lambda x: nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1))),
    _normal(0, 2, 6, 8, 3),
  )


def test_pooling_rounds_odd_sizes_up():
  x = jnp.arange(6.0).reshape(1, 2, 3, 1)
  np.testing.assert_array_equal(max_pool_2x2_ceil(x)[0, :, :, 0], [[4, 5]])


def test_unpooling_equals_pytorch_with_ties():
  torch = pytest.importorskip("torch")
  x = np.random.default_rng(0).integers(3, size=(2, 6, 8, 5)).astype(np.float32)  # many ties
  cotangent = np.array(_normal(1, *x.shape))

  def ours(x):
    pooled, index = max_pool_2x2_indices(x)
    return max_unpool_2x2(pooled * 2 + 1, index)

  theirs = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
  pooled, index = torch.nn.functional.max_pool2d(theirs, 2, return_indices=True)
  unpooled = torch.nn.functional.max_unpool2d(pooled * 2 + 1, index, 2)
  unpooled.backward(torch.tensor(cotangent.transpose(0, 3, 1, 2)))
  got, backward = jax.vjp(ours, jnp.array(x))
  np.testing.assert_array_equal(got, unpooled.detach().permute(0, 2, 3, 1))
  np.testing.assert_allclose(
    backward(jnp.array(cotangent))[0], theirs.grad.permute(0, 2, 3, 1), rtol=1e-6
  )


def test_pooling_with_indices_passes_nan_on():
  x = jnp.array([[1.0, jnp.nan], [2.0, 0.0]]).reshape(1, 2, 2, 1)
  pooled, index = max_pool_2x2_indices(x)
  assert np.isnan(pooled[0, 0, 0, 0]) and index[0, 0, 0, 0] == 1


def test_upsampling_of_two_pixels_by_hand():
  x = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
  np.testing.assert_array_equal(upsample_bilinear(x, 2)[0, :, :, 0], [[0, 1, 3, 4]] * 2)


def test_channel_product_equals_the_plain_one():
  _assert_same_function(
    channel_product,
    lambda x, matrix: jnp.tensordot(x, matrix, axes=1),
    _normal(0, 2, 3, 5, 4),
    _normal(1, 4, 6),
  )


@pytest.mark.parametrize(("platform", "barriers"), [("cpu", 1), ("cuda", 0)])
def test_channel_product_is_written_out_for_cpus_alone(platform, barriers):
  gradient = jax.jit(jax.grad(lambda matrix, x: channel_product(x, matrix).sum()))
  exported = jax.export.export(gradient, platforms=[platform])(jnp.ones((4, 6)), jnp.ones((8, 4)))
  assert exported.mlir_module().count("stablehlo.optimization_barrier") == barriers


def test_transposed_conv_equals_the_plain_one():
  x, kernel, bias = _normal(0, 2, 3, 5, 4), _normal(1, 2, 2, 4, 6), _normal(2, 6)

  def ours(x, kernel, bias):
    return TransposedConv2x2(6).apply({"params": {"kernel": kernel, "bias": bias}}, x)

  def plain(x, kernel, bias):
    params = {"kernel": kernel[::-1, ::-1], "bias": bias}
    return nn.ConvTranspose(6, (2, 2), strides=(2, 2)).apply({"params": params}, x)

  _assert_same_function(ours, plain, x, kernel, bias, atol=1e-4)


def test_transposed_conv_starts_with_the_variance_of_its_fan_in():
  params = TransposedConv2x2(64).init(jax.random.key(0), jnp.zeros((1, 1, 1, 128)))["params"]
  assert float(params["kernel"].std()) == pytest.approx((2 / 128) ** 0.5, rel=0.02)
  assert not params["bias"].any()
