import pytest

from configs import folder
from flax_unet.run import parts


def test_arguments_reach_the_configuration():
  config = folder.get_config(
    "images=a,labels=b,num_classes=3,suffix=_mask,val_share=0.1,res=64x96,width=8"
  )
  assert config.label_space == "3_classes"
  assert (config.input.data.images, config.input.data.labels) == ("a", "b")
  assert (config.input.data.label_suffix, config.input.data.validation_share) == ("_mask", 0.1)
  assert "random_crop(64, 96)" in config.input.pp
  assert config.model.width == 8
  assert folder.get_config("images=a,labels=b,classes=c.csv").label_space == "c.csv"


def test_lists_reach_the_configuration():
  lists = "train_list=t.txt,val_list=v.txt"
  config = folder.get_config(f"images=a,labels=b,num_classes=2,{lists}")
  expected = {"train": "t.txt", "validation": "v.txt", "test": ""}
  assert config.input.data.lists.to_dict() == expected
  assert list(config.evals) == ["val"]
  config = folder.get_config(f"images=a,labels=b,num_classes=2,{lists},test_list=e.txt")
  assert config.input.data.lists.test == "e.txt"
  assert config.evals.test.split == "test"
  assert parts.ordered_evals(config) == ["val", "test"]  # "val" decides what is best


def test_folders_reach_the_configuration():
  config = folder.get_config("images=a,labels=b,num_classes=2,train_dir=t,val_dir=v,test_dir=e")
  assert config.input.data.folders.to_dict() == {"train": "t", "validation": "v", "test": "e"}
  assert config.evals.test.split == "test"


def test_an_ignored_value_reaches_the_label_space():
  config = folder.get_config("images=a,labels=b,num_classes=11,ignore=11,image_suffix=_x")
  assert config.label_space == "11_classes_ignore_11"
  assert config.input.data.image_suffix == "_x"


@pytest.mark.parametrize(
  "arg",
  [
    None,
    "images=a,labels=b",
    "images=a,num_classes=2",
    "images=a,labels=b,num_classes=2,classes=c",
  ],
)
def test_what_is_needed_is_asked_for(arg):
  with pytest.raises(ValueError, match="needs images=DIR,labels=DIR and either num_classes=N or"):
    folder.get_config(arg)
