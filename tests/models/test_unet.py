import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.models.unet import UNet


def _images(*shape: int, seed: int = 1) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), shape)


def _num_parameters(model: UNet, channels: int) -> int:
  images = jnp.zeros((1, 16, 16, channels))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
  return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def _loss_and_gradients(model: UNet, variables, images, **kwargs):
  """A loss that weights every logit differently, its gradients, and the new statistics."""

  def loss_fn(params):
    logits, updates = model.apply(
      {**variables, "params": params}, images, train=True, mutable=["batch_stats"], **kwargs
    )
    return (logits * _images(*logits.shape, seed=7)).mean(), updates

  (loss, updates), gradients = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))(
    variables["params"]
  )
  return loss, gradients, updates


def _assert_close(got, expected, atol):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=atol), got, expected)


def test_number_of_parameters():
  # The paper's network; milesial/Pytorch-UNet's default, and with bilinear upsampling, whose
  # 1x1 convolutions have a quarter of the weights of 2x2 transposed ones.
  assert _num_parameters(UNet(2, norm="none"), channels=1) == 31_030_658
  assert _num_parameters(UNet(2), channels=3) == 31_037_698
  halved = sum(2 * 64 * 2**level * 64 * 2**level for level in range(4))
  assert _num_parameters(UNet(2, upsample="bilinear"), channels=3) == 31_037_698 - 3 * halved


def test_valid_padding_gives_the_sizes_of_the_paper():
  model = UNet(2, norm="none", padding="valid")
  images = jnp.zeros((1, 572, 572, 1))
  logits, _ = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images, train=False))
  assert logits.shape == (1, 388, 388, 2)


def _size_by_counting(size: int, depth: int) -> int | None:
  """The output size with padding "valid", layer by layer; None if a layer is impossible."""
  for _ in range(depth):
    if size <= 4 or size % 2:
      return None
    size = (size - 4) // 2
  size -= 4
  for _ in range(depth):
    size = 2 * size - 4
  return size if size > 0 else None


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_output_size_under_valid_padding(depth):
  for size in range(1, 300):
    if expected := _size_by_counting(size, depth):
      assert UNet(2, depth=depth, padding="valid").geometry.output_size(size) == expected
    else:
      with pytest.raises(ValueError, match="does not fit"):
        UNet(2, depth=depth, padding="valid").geometry.output_size(size)


@pytest.mark.parametrize(
  ("size", "padding", "near"),
  [
    (100, "same", "96 or 112"),
    (7, "same", "16"),
    (570, "valid", "556 or 572"),
    (100, "valid", "188"),
  ],
)
def test_size_that_does_not_fit_names_the_nearest(size, padding, near):
  with pytest.raises(ValueError, match=rf"of {size} .*depth=4, padding='{padding}'.* is {near}$"):
    UNet(2, depth=4, padding=padding).geometry.output_size(size)


@pytest.mark.parametrize("shape", [(1, 12, 8, 3), (1, 8, 12, 3)])
def test_height_and_width_are_both_checked(shape):
  with pytest.raises(ValueError, match=r"height or width of 12 .* is 8 or 16"):
    UNet(2, width=2, depth=3).init(jax.random.key(0), jnp.zeros(shape), train=False)


@pytest.mark.parametrize(
  ("attributes", "message"),
  [
    ({"norm": "layer"}, "norm='layer': choose one of batch, group, none"),
    ({"padding": "reflect"}, "padding='reflect'"),
    ({"upsample": "nearest"}, "upsample='nearest'"),
    ({"depth": 0}, "depth of at least 1, not 0"),
    ({"dropout": 1.0}, r"in \[0, 1\), not 1.0"),
  ],
)
def test_wrong_attributes_are_refused(attributes, message):
  model = UNet(2, **attributes)
  with pytest.raises(ValueError, match=message):
    model.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)), train=False)


@pytest.mark.parametrize(("norm", "upsample"), [("batch", "transpose"), ("group", "bilinear")])
def test_remat_has_the_same_parameters_and_gradients(norm, upsample):
  model = UNet(3, width=4, depth=1, norm=norm, upsample=upsample, dropout=0.5)
  images = _images(2, 8, 12, 3)
  variables = model.init(jax.random.key(0), images, train=False)
  rngs = {"dropout": jax.random.key(3)}
  plain = _loss_and_gradients(model, variables, images, rngs=rngs)
  remat = _loss_and_gradients(model.clone(remat=True), variables, images, rngs=rngs)
  _assert_close(remat, plain, atol=1e-6)
  apply = functools.partial(model.clone(remat=True).apply, variables, train=False)
  jaxpr = jax.make_jaxpr(apply)(images).jaxpr
  assert sum(equation.primitive.name.startswith("remat") for equation in jaxpr.eqns) == 3  # blocks


def test_group_norm_does_not_depend_on_the_rest_of_the_batch():
  model = UNet(3, width=24, depth=1, norm="group")
  images = _images(2, 4, 4, 3)
  variables = model.init(jax.random.key(0), images, train=False)
  both = model.apply(variables, images, train=True)
  _assert_close(model.apply(variables, images[:1], train=True), both[:1], atol=1e-5)
  assert "batch_stats" not in variables


def test_synchronised_batch_norm_equals_the_whole_batch():
  model = UNet(3, width=4, depth=2)
  # The devices' images differ in mean and spread, so that local statistics would show.
  images = _images(8, 8, 8, 3) * jnp.arange(1.0, 9.0).reshape(8, 1, 1, 1) + 1
  variables = model.init(jax.random.key(0), images, train=False)
  expected, expected_updates = model.apply(variables, images, train=True, mutable=["batch_stats"])

  apply = jax.pmap(
    lambda images: model.clone(axis_name="batch").apply(
      variables, images, train=True, mutable=["batch_stats"]
    ),
    axis_name="batch",
  )
  logits, updates = apply(images.reshape(4, 2, 8, 8, 3))
  _assert_close(logits.reshape(expected.shape), expected, atol=1e-4)
  everywhere = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), expected_updates)
  _assert_close(updates, everywhere, atol=1e-5)


def test_evaluation_uses_the_running_statistics():
  model = UNet(3, width=4, depth=1, axis_name="batch")  # the axis does not exist, and is not needed
  images = _images(2, 4, 4, 3)
  variables = model.init(jax.random.key(0), images, train=False)
  alone = model.apply(variables, images[:1], train=False)
  _assert_close(model.apply(variables, images, train=False)[:1], alone, atol=1e-5)


def test_dropout_acts_in_training_only():
  model = UNet(3, width=4, depth=1, norm="none", dropout=0.5)
  images = _images(1, 4, 4, 3)
  variables = model.init(jax.random.key(0), images, train=False)
  plain = model.clone(dropout=0.0).apply(variables, images, train=True)
  _assert_close(model.apply(variables, images, train=False), plain, atol=0)
  dropped = model.apply(variables, images, train=True, rngs={"dropout": jax.random.key(1)})
  assert not np.allclose(dropped, plain, atol=0.01)


def test_bfloat16_is_close_to_float32():
  model = UNet(3, width=8, depth=1)
  images = _images(2, 16, 16, 3)
  variables = model.init(jax.random.key(0), images, train=False)
  low = model.clone(dtype="bfloat16")
  apply = functools.partial(low.apply, variables, train=True, mutable=["batch_stats"])
  logits, updates = apply(images)
  expected = model.apply(variables, images, train=True, mutable=["batch_stats"])
  assert logits.dtype == jnp.float32
  assert not np.allclose(logits, expected[0], atol=1e-4)  # or nothing was computed in bfloat16
  _assert_close((logits, updates), expected, atol=0.1)

  low_variables = low.init(jax.random.key(0), images, train=False)
  dtypes = {leaf.dtype for leaf in jax.tree.leaves((low_variables, updates))}
  assert dtypes == {jnp.dtype("float32")}
  lowered = jax.jit(apply).lower(images).as_text().splitlines()
  products = [line for line in lowered if "convolution" in line or "dot_general" in line]
  dtypes = [line.partition("->")[2].rpartition("x")[2].partition(">")[0] for line in products]
  assert dtypes == ["bf16"] * 7 + ["f32"]  # the last one computes the logits


def test_plain_convolutions_give_the_same_and_can_be_differentiated_forward():
  images = jax.random.normal(jax.random.key(1), (2, 16, 32, 3))
  fast, plain = (UNet(3, width=16, depth=2, norm="group", conv=conv) for conv in ("auto", "xla"))
  variables = jax.jit(functools.partial(plain.init, train=False))(jax.random.key(0), images)

  def loss(model, params):
    return (model.apply({"params": params}, images, train=False) ** 2).mean()

  params = variables["params"]
  gradients = [jax.jit(jax.grad(functools.partial(loss, m)))(params) for m in (fast, plain)]
  scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradients[1]))
  for a, b in zip(*map(jax.tree.leaves, gradients), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5 * scale)
  # The forward-mode derivative along a direction is the gradient's product with it.
  direction = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), params)
  _, slope = jax.jit(lambda p, d: jax.jvp(functools.partial(loss, plain), (p,), (d,)))(
    params, direction
  )
  product = sum(jax.tree.leaves(jax.tree.map(lambda a, b: (a * b).sum(), gradients[1], direction)))
  np.testing.assert_allclose(slope, product, rtol=1e-4)
  with pytest.raises(TypeError, match="forward-mode"):
    jax.jvp(functools.partial(loss, fast), (params,), (direction,))
