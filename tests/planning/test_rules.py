"""Each rule, by hand-computed numbers."""

import cv2
import numpy as np
import pytest

from flax_unet import base_config
from flax_unet.planning import facts, rules
from flax_unet.planning.situation import Machine, Situation, Step
from flax_unet.run import workdir

GIB = 2**30
CPU = Machine(is_cpu=True, devices=2, cores=2, memory=8 * GIB)
GPUS = Machine(is_cpu=False, devices=4, cores=32, memory=24 * GIB)


def _situation(machine=CPU, size=(360, 480), images=100, sides=(60.0, 16.0), step=None, **settings):
  """Images of one size with two classes: one everywhere, one in half of the images."""
  config = base_config.get_config()
  base_config.set_network(config, "ma_unet")
  config = workdir.replaced(config, {"plan.rules": tuple(rules.RULES), **settings})
  pixels = np.tile([size[0] * size[1] - 100, 100], (images, 1))
  pixels[images // 2 :, 1] = 0
  found = facts.Facts(
    sizes=np.tile(size, (images, 1)), class_pixels=pixels, object_sides=np.tile(sides, (images, 1))
  )
  return Situation(config, found, ("ground", "cell"), machine, step)


def _choice(rule, situation):
  return rules.RULES[rule].choose(situation)


def test_objects_are_measured_by_the_area_that_holds_the_median_pixel():
  # 100 of 132 pixels are in the square of 100; specks of one pixel do not count.
  assert facts.object_side(np.array([1] * 16 + [16, 100])) == 10
  assert facts.object_side(np.array([], int)) == 0
  mask = np.zeros((20, 30), np.uint8)
  cv2.rectangle(mask, (2, 2), (9, 9), 1, -1)  # 8 x 8
  mask[15, 25] = 1
  mask[:, 29] = 255  # ignored
  height, width, *rest = facts.of_mask(mask, 3)
  assert (height, width) == (20, 30)
  assert rest[:3] == [20 * 29 - 65, 65, 0]
  assert rest[3:] == [pytest.approx((20 * 29 - 65) ** 0.5), 8, 0]
  rows = np.array([[4.0, 0.0], [8.0, 0.0], [0.0, 0.0]])
  assert facts.Facts(np.ones((3, 2)), np.ones((3, 2)), rows).class_sides.tolist() == [6, 0]


@pytest.mark.parametrize(
  ("machine", "size", "side", "scale"),
  [
    (CPU, (360, 480), 16, 0.667),  # sqrt(76,800 / 172,800)
    (CPU, (360, 480), 10, 0.8),  # 8 pixels of 10
    (CPU, (360, 480), 5, 1.0),
    (CPU, (260, 340), 60, 1.0),  # 0.93: not worth resampling
    (CPU, (3000, 4000), 500, 0.08),
    (GPUS, (1024, 2048), 16, 1.0),
    (GPUS, (2048, 4096), 32, 0.5),
  ],
)
def test_resolution(machine, size, side, scale):
  situation = _situation(machine, size, sides=(600.0, side))
  settings = _choice("resolution", situation).settings
  assert settings["evals.val.inference.scales"] == (scale,)
  low, high = round(2 / 3 * scale, 3), round(4 / 3 * scale, 3)
  assert settings["input.pp"] == (
    f"label_map|random_scale({low}, {high})|random_crop(256, 256)|flip_lr|photometric"
  )


@pytest.mark.parametrize(
  ("size", "depth"), [((360, 480), 4), ((64, 64), 3), ((20, 90), 2), ((4, 4), 1)]
)
def test_depth_leaves_four_pixels_at_the_lowest_level(size, depth):
  # 0.8 * 64 = 51: three halvings leave 6 pixels, four would leave 3.
  settings = _choice("depth", _situation(size=size)).settings
  assert settings == {"model.depth": depth}


@pytest.mark.parametrize(("crop", "depth"), [((64, 96), 4), ((48, 40), 3), ((50, 50), 1)])
def test_depth_fits_a_given_crop(crop, depth):
  pp = f"label_map|random_crop({crop[0]}, {crop[1]})"
  situation = _situation(**{"input.pp": pp, "plan.rules": ("depth",)})
  assert _choice("depth", situation).settings["model.depth"] == depth


@pytest.mark.parametrize(
  ("machine", "size", "depth", "crop"),
  [
    (CPU, (240, 320), 4, (192, 256)),  # 0.8 of each side
    (CPU, (480, 640), 4, (192, 256)),  # the same number of pixels
    (CPU, (100, 1000), 4, (64, 704)),  # 49,152 pixels: 70 x 701
    (CPU, (64, 64), 3, (48, 48)),
    (GPUS, (1024, 2048), 4, (512, 1024)),
    (GPUS, (256, 256), 4, (208, 208)),
  ],
)
def test_crop_has_the_proportions_of_the_images(machine, size, depth, crop):
  settings = _choice("crop", _situation(machine, size, **{"model.depth": depth})).settings
  assert f"random_crop({crop[0]}, {crop[1]})" in settings["input.pp"]


def test_sampling_favours_classes_that_few_crops_hold():
  # Half of the images hold the cell, and a crop covers 256 * 256 of its 512 * 512 pixels: 12.5 %.
  choice = _choice("sampling", _situation(size=(512, 512)))
  assert choice.settings == {} and "12%" in choice.reason
  alike = _situation(size=(512, 512))
  alike.facts.class_pixels[:, 1] = 100  # now every image holds both, and the cell has fewer pixels
  assert "cell, is in at least 25%" in _choice("sampling", alike).reason
  choice = _choice("sampling", _situation(size=(640, 640)))  # 8 %
  assert "|balanced_crop(256, 256, share=0.33)|" in choice.settings["input.pp"]
  assert "cell" in choice.reason and "8.0%" in choice.reason


@pytest.mark.parametrize(("machine", "width"), [(CPU, 16), (GPUS, 32)])
def test_width(machine, width):
  assert _choice("width", _situation(machine)).settings == {"model.width": width}
  situation = _situation(machine)
  base_config.set_network(situation.config, "unet_resnet34")
  assert _choice("width", situation) is None  # that of the published weights


@pytest.mark.parametrize(
  ("machine", "crop", "images", "size"),
  [
    (CPU, (192, 256), 367, 4),
    (CPU, (96, 128), 367, 16),
    (CPU, (96, 128), 200, 8),  # 5 % are 10
    (CPU, (96, 128), 20, 4),  # 5 % are 1
    (CPU, (32, 32), 10_000, 32),
    (GPUS, (512, 1024), 2975, 8),
    (GPUS, (256, 256), 10_000, 64),
  ],
)
def test_batch(machine, crop, images, size):
  pp = f"label_map|random_crop({crop[0]}, {crop[1]})"
  situation = _situation(machine, images=images, **{"input.pp": pp})
  assert _choice("batch", situation).settings == {"input.batch_size": size}


def test_batch_is_shared_evenly_among_the_devices():
  three = Machine(is_cpu=False, devices=3, cores=8, memory=GIB)
  assert _choice("batch", _situation(three, images=10)).settings == {"input.batch_size": 9}


@pytest.mark.parametrize(
  ("cores", "is_cpu", "number"),
  [(2, True, 1), (1, True, 1), (64, True, 4), (8, False, 7), (96, False, 16)],
)
def test_workers(cores, is_cpu, number):
  machine = Machine(is_cpu=is_cpu, devices=1, cores=cores, memory=GIB)
  assert _choice("workers", _situation(machine)).settings == {"input.workers": number}


@pytest.mark.parametrize(
  ("loss", "weights"),
  [("cross_entropy_dice", None), ("cross_entropy", "median_frequency"), ("lovasz_softmax", None)],
)
def test_class_weights(loss, weights):
  assert _choice("class weights", _situation(loss=loss)).settings == {"class_weights": weights}


def test_inference_takes_whole_images_while_they_fit():
  # A step of 4 crops of 256 x 256 on each of two devices takes 1 GiB: 4,096 bytes a pixel.
  step = Step(arguments=GIB, total=2 * GIB)
  big = _situation(size=(1024, 1024), step=step)  # 4 GiB an image, 7 GiB are left
  settings = _choice("inference", big).settings
  assert settings == {"evals.val.inference.mode": "whole", "evals.val.batch_size": 2}
  small = _situation(size=(256, 256), step=step)  # 0.25 GiB
  assert _choice("inference", small).settings["evals.val.batch_size"] == 8
  halved = {"evals.val.inference.scales": (0.5,)}
  huge = _situation(size=(4096, 4096), step=step, **halved)  # 16 GiB
  assert _choice("inference", huge).settings == {
    "evals.val.inference.mode": "tiles",
    "evals.val.inference.tile": (512, 512),  # what becomes a crop at half the resolution
    "evals.val.inference.overlap": 128,
    "evals.val.batch_size": 2,
  }


@pytest.mark.parametrize(
  ("images", "hours", "steps"),
  [(367, None, 4588), (20, None, 1000), (100_000, None, 160_000), (367, 0.5, 765)],
)
def test_length(images, hours, steps):
  # 100 epochs of 367 images in batches of 8; 0.85 of 1,800 s at 2 s a step.
  step = Step(arguments=1, total=1, seconds=2.0)
  situation = _situation(images=images, step=step, **{"plan.hours": hours})
  settings = _choice("length", situation).settings
  assert settings == {"total_steps": steps, "total_epochs": None}


def test_average_and_evaluations_follow_the_length():
  situation = _situation(total_steps=9000)
  assert _choice("average", situation).settings == {"ema_decay": 0.999}
  assert _choice("evaluations", situation).settings == {"evals.val.log_steps": 1500}
  situation = _situation(images=10, total_epochs=20)  # 25 steps of 8
  assert _choice("average", situation).settings == {"ema_decay": None}
  assert _choice("evaluations", situation).settings == {"evals.val.log_steps": 5}


def test_rules_leave_a_preprocessing_alone_that_they_do_not_know():
  situation = _situation(**{"input.pp": "label_map|resize(64, 64)|flip_lr"})
  assert [_choice(rule, situation) for rule in ("resolution", "crop", "sampling")] == [None] * 3


def test_every_rule_has_settings_that_exist():
  config = _situation().config
  for name in rules.RULES:
    assert rules.keys([name], config)
  assert rules.keys(["batch", "length"], config) == [
    "input.batch_size",
    "total_epochs",
    "total_steps",
  ]
