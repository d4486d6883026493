import numpy as np
import pytest

from flax_unet import errors
from flax_unet.data import label_spaces
from flax_unet.data.label_space import IGNORED


def test_voc_colors():
  # VOCdevkit, VOClabelcolormap.m
  colors = dict(
    zip(label_spaces.VOC_21.class_names, label_spaces.VOC_21.colors.tolist(), strict=True)
  )
  assert colors["background"] == [0, 0, 0]
  assert colors["aeroplane"] == [128, 0, 0]
  assert colors["bicycle"] == [0, 128, 0]
  assert colors["cat"] == [64, 0, 0]
  assert colors["person"] == [192, 128, 128]
  assert colors["tvmonitor"] == [0, 64, 128]
  assert label_spaces.VOC_21.id_to_index == {**{i: i for i in range(21)}, 255: IGNORED}


def test_pet_trimaps_count_from_one():
  trimap = np.array([1, 2, 3], np.uint8)
  np.testing.assert_array_equal(label_spaces.OXFORD_IIIT_PET.to_index(trimap), [0, 1, 2])
  with pytest.raises(ValueError, match="label value 0 is not in label space 'oxford_iiit_pet'"):
    label_spaces.OXFORD_IIIT_PET.to_index(np.array([0], np.uint8))


def test_numbered_classes():
  space = label_spaces.get("255_classes")
  assert space.class_names[-1] == "254"
  assert space.id_to_index[254] == 254
  # Distinct colours, none of them that of ignored pixels.
  assert len({(0, 0, 0), *map(tuple, space.colors.tolist())}) == 256


@pytest.mark.parametrize("name", ["0_classes", "cityscapes", "-1_classes"])
def test_unknown_names_are_refused(name):
  with pytest.raises(errors.UserError, match=f"unknown label space '{name}'.*cityscapes_19"):
    label_spaces.get(name)


def test_too_many_classes_are_refused():
  with pytest.raises(errors.UserError, match="255 classes at most"):
    label_spaces.get("256_classes")
