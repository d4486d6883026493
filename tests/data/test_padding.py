import numpy as np
import pytest

from flax_unet.data import label_spaces, op_spec, pipeline
from flax_unet.data.label_space import IGNORED
from flax_unet.data.padding import PadToMultiple
from flax_unet.errors import UserError


def _example(height, width, name="a"):
  rng = np.random.default_rng(height * width)
  return {
    "image": rng.integers(0, 256, (height, width, 3), np.uint8),
    "label": rng.integers(0, 3, (height, width), np.uint8),
    "id": name,
  }


def test_the_picture_goes_on_mirrored_and_ignored():
  example = _example(3, 6)
  padded = PadToMultiple(4)(example, np.random.default_rng(0))
  assert padded["image"].shape == (4, 8, 3)
  np.testing.assert_array_equal(padded["image"][:3, :6], example["image"])
  np.testing.assert_array_equal(padded["image"][3, :6], example["image"][1])
  np.testing.assert_array_equal(padded["image"][:3, 6:], example["image"][:, [4, 3]])
  np.testing.assert_array_equal(padded["label"][:3, :6], example["label"])
  assert (padded["label"][3:] == IGNORED).all() and (padded["label"][:, 6:] == IGNORED).all()
  np.testing.assert_array_equal(padded["size"], [3, 6])


def test_a_picture_that_fits_stays_as_it_is():
  example = _example(8, 4)
  padded = PadToMultiple(4)(example, np.random.default_rng(0))
  np.testing.assert_array_equal(padded["image"], example["image"])
  assert PadToMultiple(4).output_size((8, 5)) == (8, 8)
  assert PadToMultiple(4).output_size(None) is None


def test_image_and_label_must_be_of_one_size():
  op = op_spec.parse("resize_image(4, 4)|pad_to_multiple(4)", label_spaces.VOC_21)
  with pytest.raises(UserError, match=r"example 'a': pad_to_multiple needs .* equal size"):
    op(_example(8, 8), np.random.default_rng(0))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_split_of_many_sizes_comes_in_batches_of_few_shapes(workers):
  sizes = [(5, 7), (12, 3), (8, 8), (6, 6), (16, 2), (1, 1), (9, 5)]
  source = [_example(*size, name=f"p{index}") for index, size in enumerate(sizes)]
  op = op_spec.parse("label_map|pad_to_multiple(8)", label_spaces.get("3_classes"))
  batches = list(pipeline.eval_batches(source, op, batch_size=4, workers=workers))
  # Four images fit into 8 x 8 (places 0, 2, 3, 5); three into 16 x 8, filled up with a blank.
  assert [batch["image"].shape for batch in batches] == [(4, 1, 8, 8, 3), (4, 1, 16, 8, 3)]
  assert [batch["index"].reshape(-1).tolist() for batch in batches] == [[0, 2, 3, 5], [1, 4, 6, -1]]
  assert [batch["mask"].reshape(-1).tolist() for batch in batches] == [
    [True] * 4,
    [True] * 3 + [False],
  ]
  for batch in batches:
    flat = {key: x.reshape(4, *x.shape[2:]) for key, x in batch.items()}
    for index, image, label, size, name in zip(
      *(flat[key] for key in ("index", "image", "label", "size", "id")), strict=True
    ):
      if index < 0:
        continue
      height, width = size
      assert (height, width) == sizes[index] and name == f"p{index}"
      np.testing.assert_array_equal(image[:height, :width], source[index]["image"])
      np.testing.assert_array_equal(label[:height, :width], source[index]["label"])
      # Every pixel of the image is scored once, and no others.
      assert (label != IGNORED).sum() == height * width


def test_training_on_several_sizes_without_a_crop_is_refused():
  source = [_example(8, 8, "a"), _example(8, 9, "b")]
  op = op_spec.parse("label_map|flip_lr", label_spaces.get("3_classes"))
  batches = pipeline.train_batches(source, op, batch_size=4, seed=0)
  with pytest.raises(
    UserError, match=r"the same size, '.' is 8 x . pixels but '.' is 8 x . pixels"
  ):
    next(batches)
