import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.models.cpu import narrow, winograd
from flax_unet.models.cpu.conv import conv_3x3, kernel_gradient


def _normal(seed: int, *shape: int) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), shape)


def _assert_close(actual: jax.Array, expected: jax.Array) -> None:
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def _output_and_gradients(conv_general_dilated, x, kernel, padding, dtype=jnp.float32):
  """Output and gradients with respect to input and kernel, as `nn.Conv` computes them."""
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
    ((3, 7, 5, 3), 24),  # no power of two divides the rows
    ((1, 3, 3, 48), 1),
    ((2, 64, 128, 2), 3),  # several pieces
    ((1, 3, 2051, 2), 2),  # rows longer than a piece
  ],
)
def test_kernel_gradient_equals_that_of_the_plain_convolution(shape, features, padding):
  x, kernel = _normal(0, *shape), _normal(1, 3, 3, shape[-1], features)
  y, _, expected = _output_and_gradients(None, x, kernel, padding)
  _assert_close(jax.jit(kernel_gradient)(x, _normal(9, *y.shape)), expected)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
  ("shape", "features"),
  [
    ((1, 8, 16, 3), 4),  # too small for special algorithms
    ((1, 128, 130, 20), 4),  # many pixels
    ((1, 128, 133, 16), 16),  # and few channels
    ((1, 128, 130, 3), 24),  # an image
    ((2, 16, 34, 64), 64),  # many channels
    ((1, 31, 35, 64), 72),  # and odd sizes
    ((2, 61, 66, 32), 64),  # several strips
  ],
)
def test_convolution_equals_the_plain_one_with_its_gradients(shape, features, padding):
  x, kernel = _normal(0, *shape), _normal(1, 3, 3, shape[-1], features)
  got = _output_and_gradients(conv_3x3, x, kernel, padding)
  for actual, expected in zip(got, _output_and_gradients(None, x, kernel, padding), strict=True):
    _assert_close(actual, expected)


@pytest.mark.parametrize("margin", [0, 1, 2])
@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 3, 3, 1), (1, 5, 4, 24), (1, 9, 1100, 2)])
@pytest.mark.parametrize("algorithm", [winograd, narrow])
def test_convolution_and_gradients_of_an_algorithm_equal_those_of_xla(algorithm, shape, margin):
  def plain(x, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), [(margin, margin)] * 2, None, None, layout
    )

  x, kernel = _normal(0, *shape), _normal(1, 3, 3, shape[-1], 5)
  y, vjp = jax.vjp(plain, x, kernel)
  gradient = _normal(2, *y.shape)
  of_x, of_kernel = vjp(gradient)
  _assert_close(algorithm.conv(x, kernel, margin), y)
  _assert_close(algorithm.input_gradient(kernel, gradient, margin), of_x)
  _assert_close(algorithm.kernel_gradient(x, gradient, margin), of_kernel)


def test_rounding_errors_of_winograds_convolution_are_those_of_its_points():
  x, kernel = _normal(0, 1, 18, 18, 64), _normal(1, 3, 3, 64, 64)
  windows = np.lib.stride_tricks.sliding_window_view(np.asarray(x, np.float64), (3, 3), (1, 2))
  expected = np.einsum("nhwcij,ijcf->nhwf", windows, np.asarray(kernel, np.float64))
  error = np.abs(winograd.conv(x, kernel, 0) - expected).max() / np.abs(expected).max()
  assert error < 3e-6  # 6e-6 with the points 0, 1, -1, 2, -2 and infinity


@pytest.mark.parametrize("channels", [16, 32])
def test_gradients_in_bfloat16_have_the_types_of_the_plain_convolution(channels):
  x, kernel = _normal(0, 1, 128, 130, channels), _normal(1, 3, 3, channels, 4)
  got = _output_and_gradients(conv_3x3, x, kernel, "SAME", jnp.bfloat16)
  plain = _output_and_gradients(None, x, kernel, "SAME", jnp.bfloat16)
  assert [a.dtype for a in got] == [a.dtype for a in plain]
  np.testing.assert_allclose(got[2], plain[2], rtol=0.02, atol=0.02 * np.abs(plain[2]).max())


@pytest.mark.parametrize(
  ("shape", "trick"),
  [
    ((1, 128, 128, 16), "3x4x16x32xf32"),  # the kernel of two pixels
    ((1, 128, 128, 32), "stablehlo.while"),
    ((1, 32, 32, 64), "tensor<36x64x64xf32>"),  # the kernel of Winograd's tiles
  ],
)
def test_other_devices_keep_their_own_kernels(shape, trick):
  assert trick in _lowered_gradient(shape, "cpu")
  assert trick not in _lowered_gradient(shape, "cuda")


@pytest.mark.parametrize("shape", [(1, 64, 64, 32), (1, 64, 64, 16), (1, 16, 16, 64)])
def test_cpus_keep_them_where_a_trick_would_cost_more(shape):
  text = _lowered_gradient(shape, "cpu")
  assert "stablehlo.convolution" in text
  for trick in ("3x4x", "stablehlo.while", "<36x"):
    assert trick not in text


def _lowered_gradient(shape: tuple[int, ...], platform: str) -> str:
  """The program of the gradient with respect to a square kernel, for one platform."""

  def gradient(kernel):
    return jax.grad(lambda kernel: conv_3x3(x, kernel, (1, 1), "SAME", **layout).sum())(kernel)

  layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
  x, kernel = jnp.ones(shape), jnp.ones((3, 3, shape[-1], shape[-1]))
  return jax.export.export(jax.jit(gradient), platforms=[platform])(kernel).mlir_module()
