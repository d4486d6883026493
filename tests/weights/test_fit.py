import functools

import jax
import jax.numpy as jnp
import pytest

from flax_unet.errors import UserError
from flax_unet.models.unet import UNet
from flax_unet.weights import fit


def _variables(**attributes):
  model = UNet(3, **{"width": 4, "depth": 1, **attributes})
  init = functools.partial(model.init, train=False)
  return jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))


def test_variables_of_the_network_pass():
  for norm in ("batch", "none"):
    model = UNet(3, width=4, depth=1, norm=norm)
    variables = _variables(norm=norm)
    fit.check_variables(model, variables, "here")
    fit.check_variables(model, {"batch_stats": {}, **variables}, "here")


@pytest.mark.parametrize(
  ("attributes", "message"),
  [
    ({"width": 8}, r"of another shape \(\S+ \[\d+(, \d+)*\] instead of \["),
    ({"norm": "none"}, r"missing \(.*bias|missing \(.*norm_1"),
    ({"depth": 2}, r"left over \(\S*(bottleneck|encoder_1|decoder_1|upsample_1)"),
    ({"upsample": "bilinear"}, r"upsample_0/kernel"),
  ],
)
def test_variables_of_another_network_are_refused_in_one_line(attributes, message):
  model = UNet(3, width=4, depth=1)
  with pytest.raises(UserError, match=message) as caught:
    fit.check_variables(model, _variables(**attributes), "runs/a, step 3")
  assert str(caught.value).startswith("runs/a, step 3: its arrays do not fit config.model: ")
  assert "\n" not in str(caught.value)
