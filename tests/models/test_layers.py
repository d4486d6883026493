import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.models.layers import (
  TransposedConv2x2,
  channel_product,
  max_pool_2x2,
  upsample_bilinear_2x,
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


def test_upsampling_equals_resize():
  shape = (2, 6, 10, 4)
  _assert_same_function(
    upsample_bilinear_2x, lambda x: jax.image.resize(x, shape, "bilinear"), _normal(0, 2, 3, 5, 4)
  )


def test_upsampling_of_two_pixels_by_hand():
  x = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
  np.testing.assert_array_equal(upsample_bilinear_2x(x)[0, :, :, 0], [[0, 1, 3, 4]] * 2)


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
