import numpy as np
import pytest
from cityscapesscripts.helpers import labels as cityscapes

from flax_unet import errors
from flax_unet.data import label_spaces
from flax_unet.data.label_space import IGNORED, count_values


def test_cityscapes_is_the_scripts_table():
  space = label_spaces.CITYSCAPES_19
  rows = [row for row in cityscapes.labels if row.id >= 0]
  assert space.num_classes == 19
  assert space.id_to_index == {row.id: row.trainId for row in rows}
  for row in rows:
    if row.trainId == IGNORED:
      continue
    assert space.class_names[row.trainId] == row.name
    assert tuple(space.colors[row.trainId]) == row.color
    assert space.index_to_id[row.trainId] == row.id
    assert row.trainId in space.categories[row.category]
    assert (row.trainId in space.instance_classes) == row.hasInstances
  assert sorted(sum(space.categories.values(), ())) == list(range(19))
  assert {row.name: row.id for row in rows} == label_spaces.CITYSCAPES_IDS


def test_cityscapes_categories_merge_what_is_scored():
  space = label_spaces.CITYSCAPES_CATEGORIES
  assert space.class_names == (
    *("flat", "construction", "object", "nature", "sky", "human", "vehicle"),
  )
  for row in cityscapes.labels:
    if row.trainId not in (-1, IGNORED):
      assert space.class_names[space.id_to_index[row.id]] == row.category
  # Classes that Cityscapes does not score are not in their categories either.
  assert space.id_to_index[label_spaces.CITYSCAPES_IDS["parking"]] == IGNORED
  assert [space.class_names[index] for index in space.instance_classes] == ["human", "vehicle"]


def test_the_30_classes_of_the_paper():
  space = label_spaces.CITYSCAPES_30
  assert space.num_classes == 30
  np.testing.assert_array_equal(space.to_index(np.arange(34, dtype=np.uint8))[:4], [IGNORED] * 4)
  np.testing.assert_array_equal(space.index_to_id, np.arange(4, 34))


@pytest.mark.parametrize(
  "name", ["cityscapes_19", "cityscapes_30", "cityscapes_categories", "voc_21", "oxford_iiit_pet"]
)
def test_classes_come_back_from_the_ids_to_write(name):
  space = label_spaces.get(name)
  assert space.name == name
  np.testing.assert_array_equal(space.to_index(space.index_to_id), np.arange(space.num_classes))


def test_unknown_ids_are_refused_and_ignored_pixels_painted_black():
  space = label_spaces.CITYSCAPES_19
  with pytest.raises(ValueError, match="label value 34, 200 is not in label space 'cityscapes_19'"):
    space.to_index(np.array([[200, 7], [34, 0]], np.uint8))
  painted = space.colorize(np.array([[0, 18, IGNORED]], np.uint8))
  np.testing.assert_array_equal(painted, [[[128, 64, 128], [119, 11, 32], [0, 0, 0]]])


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
  # Distinct colours, none of which is that of ignored pixels.
  assert len({(0, 0, 0), *map(tuple, space.colors.tolist())}) == 256


@pytest.mark.parametrize("name", ["0_classes", "cityscapes", "-1_classes"])
def test_unknown_names_are_refused(name):
  with pytest.raises(errors.UserError, match=f"unknown label space '{name}'.*cityscapes_19"):
    label_spaces.get(name)


def test_too_many_classes_are_refused():
  with pytest.raises(errors.UserError, match="255 classes at most"):
    label_spaces.get("256_classes")


@pytest.mark.parametrize("shape", [(7,), (5, 9), (2, 3, 4)])
def test_values_are_counted(shape):
  label = np.random.default_rng(0).integers(256, size=shape).astype(np.uint8)
  for view in (label, label[..., 1:-1]):  # one of them is not contiguous
    counts = count_values(view)
    np.testing.assert_array_equal(counts, np.bincount(view.reshape(-1), minlength=256))
    assert counts.dtype == np.int64


@pytest.mark.parametrize(
  ("name", "ids", "ignored"),
  [
    ("2_classes", [0, 1], {255}),
    ("11_classes_ignore_11", list(range(11)), {11, 255}),
    ("3_classes_ignore_0", [1, 2, 3], {0, 255}),
    ("3_classes_ignore_1", [0, 2, 3], {1, 255}),
    ("255_classes", list(range(255)), {255}),
    ("254_classes_ignore_254", list(range(254)), {254, 255}),
  ],
)
def test_an_ignored_value_is_no_class(name, ids, ignored):
  space = label_spaces.get(name)
  assert space.index_to_id.tolist() == ids
  assert space.class_names == tuple(map(str, ids))
  assert space.id_to_index == dict(zip(ids, range(256), strict=False)) | dict.fromkeys(ignored, 255)


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("256_classes", "there can be 255 classes at most"),
    ("255_classes_ignore_0", "there can be 254 classes at most"),
    ("2_classes_ignore_256", "mask values go up to 255"),
  ],
)
def test_too_many_numbered_classes(name, message):
  with pytest.raises(errors.UserError, match=message):
    label_spaces.get(name)
