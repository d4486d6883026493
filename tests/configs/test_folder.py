import pytest

from configs import folder


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
  config = folder.get_config("images=a,labels=b,num_classes=2,train_list=t.txt,val_list=v.txt")
  assert config.input.data.lists.to_dict() == {"train": "t.txt", "validation": "v.txt"}


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
