import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.models.conv_gradient import conv_3x3, kernel_gradient_3x3


def _normal(seed: int, *shape: int) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), shape)


def _assert_close(actual: jax.Array, expected: jax.Array) -> None:
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def _output_and_gradients(conv_general_dilated, x, kernel, padding, dtype=jnp.float32):
  """Of `nn.Conv`: the output, and the gradients with respect to input and kernel."""
  conv = nn.Conv(
    kernel.shape[-1],
    (3, 3),
    padding=padding,
    use_bias=False,
    dtype=dtype,
    conv_general_dilated=conv_general_dilated,
  )

  @jax.jit
  def run(x, kernel):
    y, vjp = jax.vjp(lambda x, kernel: conv.apply({"params": {"kernel": kernel}}, x), x, kernel)
    return y, *vjp(_normal(9, *y.shape).astype(y.dtype))

  return run(x, kernel)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
  ("shape", "features"),
  [
    ((2, 16, 24, 8), 8),
    ((3, 7, 5, 3), 24),  # rows that no power of two divides
    ((1, 3, 3, 48), 1),
    ((2, 64, 128, 2), 3),  # several pieces
    ((1, 3, 2051, 2), 2),  # rows longer than a piece
  ],
)
def test_kernel_gradient_equals_that_of_the_plain_convolution(shape, features, padding):
  x, kernel = _normal(0, *shape), _normal(1, 3, 3, shape[-1], features)
  y, _, expected = _output_and_gradients(None, x, kernel, padding)
  _assert_close(jax.jit(kernel_gradient_3x3)(x, _normal(9, *y.shape)), expected)


@pytest.mark.parametrize("size", [(8, 16), (128, 130)])  # below and above where the trick pays
def test_convolution_equals_the_plain_one_with_its_gradients(size):
  x, kernel = _normal(0, 1, *size, 3), _normal(1, 3, 3, 3, 4)
  got = _output_and_gradients(conv_3x3, x, kernel, "SAME")
  for actual, expected in zip(got, _output_and_gradients(None, x, kernel, "SAME"), strict=True):
    _assert_close(actual, expected)


def test_gradients_in_bfloat16_have_the_types_of_the_plain_convolution():
  x, kernel = _normal(0, 1, 128, 130, 3), _normal(1, 3, 3, 3, 4)
  got = _output_and_gradients(conv_3x3, x, kernel, "SAME", jnp.bfloat16)
  plain = _output_and_gradients(None, x, kernel, "SAME", jnp.bfloat16)
  assert [a.dtype for a in got] == [a.dtype for a in plain]
  np.testing.assert_allclose(got[2], plain[2], rtol=0.02, atol=0.02 * np.abs(plain[2]).max())


def test_other_devices_keep_their_own_kernels():
  def gradient(kernel):
    return jax.grad(lambda kernel: conv_3x3(x, kernel, (1, 1), "SAME", **layout).sum())(kernel)

  layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
  x, kernel = jnp.ones((1, 128, 128, 2)), jnp.ones((3, 3, 2, 2))
  text = {
    platform: jax.export.export(jax.jit(gradient), platforms=[platform])(kernel).mlir_module()
    for platform in ("cpu", "cuda")
  }
  assert "stablehlo.while" in text["cpu"]
  assert "stablehlo.while" not in text["cuda"]
