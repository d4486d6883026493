r"""U-Net on the Oxford-IIIT Pet data set: pet, background and the border between them.

    python main.py --config=configs/oxford_iiit_pet.py

TFDS downloads the data on first use (about 800 MB). The official training split (3,680 images) is
divided 9:1 into training and validation; the official test split (3,669 images) is scored at the
end. Not run here: the data could not be downloaded.

Arguments after the colon:

    res=256x256    Height and width of the training crops.
    model=unet     The network, see docs/networks.md.
    width=32       Channels at its first level.
"""

from flax_unet import base_config, config_arg


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = config_arg.parse(arg, res="256x256", model="unet", width=32)
  config = base_config.get_config()

  config.label_space = "oxford_iiit_pet"
  config.total_epochs = 50
  config.input.data.name = "oxford_iiit_pet"
  config.input.data.split = "train[:90%]"
  config.input.on_bad_example = "skip"  # some JPEGs in the official archive are damaged
  config.input.pp = config.input.pp.replace("256, 256", arg.res.replace("x", ", "))
  config.input.batch_size = 16
  config.input.workers = 8
  base_config.set_network(config, arg.model, width=arg.width)
  config.evals.val.split = "train[90%:]"
  # A few images are much larger than the rest; multiples of 256 keep compilations few.
  config.evals.val.pp = "label_map|pad_to_multiple(256)"
  config.evals.val.log_steps = 2000
  config.evals = {"val": config.evals.val, "test": base_config.test_evaluation(config.evals.val)}
  config.ckpt_steps = 1000
  return config
