"""U-Net on Cityscapes."""

from configs import street_scenes


def get_config(arg=None):
  config = street_scenes.get_config("runlocal")
  config.input.data.name = "cityscapes/semantic_segmentation"
  config.input.pp = (
    "label_map|random_scale(0.5, 2.0)|random_crop(128, 256, cat_max_ratio=0.75)|flip_lr|photometric"
  )
  config.evals.val.batch_size = 1
  return config
