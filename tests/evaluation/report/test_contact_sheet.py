import numpy as np

from flax_unet.data.label_spaces import CITYSCAPES_19
from flax_unet.evaluation.report import contact_sheet


def test_rows_of_image_overlay_and_label():
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (20, 100, 3), np.uint8)
  label = rng.choice(np.array([0, 13, 255], np.uint8), (20, 100))  # road, car, ignored
  sheet = contact_sheet.draw([("a", image, label), ("b", image[::-1], label[::-1])], CITYSCAPES_19)
  colors = np.select(
    [label[..., None] == 0, label[..., None] == 13], [(128, 64, 128), (0, 0, 142)], (0, 0, 0)
  )
  np.testing.assert_array_equal(sheet[:20, :100], image)
  mixed = (image.astype(int) + colors) / 2
  assert np.abs(sheet[:20, 108:208] - mixed).max() <= 1
  np.testing.assert_array_equal(sheet[:20, 216:316], colors)
  np.testing.assert_array_equal(sheet[44:64, :100], image[::-1])  # below the id of the first
  legend = sheet[88:]
  assert (legend == (128, 64, 128)).all(-1).any()
  assert (legend == (0, 0, 142)).all(-1).any()
  assert not (legend == (0, 0, 70)).all(-1).any()  # no truck


def test_large_pictures_are_shrunk_without_mixing_classes():
  label = np.random.default_rng(0).integers(0, 19, (600, 1024), np.uint8)
  sheet = contact_sheet.draw([("a", np.zeros((600, 1024, 3), np.uint8), label)], CITYSCAPES_19)
  colors = sheet[:300, -512:].reshape(-1, 3)
  assert {tuple(color) for color in colors.tolist()} == {
    tuple(color) for color in CITYSCAPES_19.colors.tolist()
  }
