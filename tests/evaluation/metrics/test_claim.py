import numpy as np
import pytest

from flax_unet.data import label_spaces
from flax_unet.evaluation.metrics import audit, claim

SPACE = label_spaces.CITYSCAPES_19
CLAIMED = 0.9665521


def test_the_accuracy_that_the_reports_number_needs():
  needed = {item.name: item.pixel_accuracy for item in claim.requirements(CLAIMED, SPACE)}
  assert needed["micro IoU"] == pytest.approx(0.9830, abs=5e-5)
  assert needed["accuracy with true negatives, 19 classes"] == pytest.approx(0.682, abs=5e-4)
  name = "accuracy with true negatives, 8 categories, with void"
  assert needed[name] == pytest.approx(0.866, abs=5e-4)


@pytest.mark.parametrize("num_classes", [2, 8, 19])
@pytest.mark.parametrize("pixel_accuracy", [0.0, 0.3, 0.9, 1.0])
def test_each_inverse_undoes_its_definition(num_classes, pixel_accuracy):
  right = round(1000 * pixel_accuracy)
  confusion = np.zeros((num_classes, num_classes), np.int64)
  confusion[0, 0], confusion[0, 1] = right, 1000 - right
  undone = [
    claim.micro_iou_accuracy(audit.micro_iou(confusion)),
    claim.true_negative_accuracy(audit.true_negative_accuracy(confusion), num_classes),
    claim.one_hot_accuracy(audit.one_hot_binary_iou(confusion), num_classes),
  ]
  np.testing.assert_allclose(undone, pixel_accuracy, atol=1e-12)


def test_a_claim_below_what_every_model_reaches_needs_nothing():
  assert claim.true_negative_accuracy(0.5, 19) == 0
  assert claim.one_hot_accuracy(0.4, 19) == 0


def test_report_names_the_definition_and_the_ceiling():
  # 7 of 10 pixels correct, 19 classes: 0.9684 as accuracy with true negatives.
  confusion = np.zeros((19, 19), np.int64)
  confusion[0, 0], confusion[1, 0] = 7, 3
  rows = audit.definitions(confusion[None])
  ceiling = audit.Row("ceiling at 1/4", 0.952, "")
  text = claim.report(CLAIMED, rows, [ceiling], SPACE)
  assert "Within 0.01 of the claim: accuracy with true negatives (0.9684)." in text
  assert "above the ceiling at 1/4" in text
  assert "mean F1 of 0.9830 at most" in text
  assert "the nearest is official mean IoU (0.3500)" in claim.report(0.2, rows, [], SPACE)
