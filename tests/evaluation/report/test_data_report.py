from flax_unet.data import inspection
from flax_unet.data.label_spaces import CITYSCAPES_19
from flax_unet.evaluation.report import data_report


def test_compares_counts_with_the_official_ones():
  def last_paragraph(validation):
    splits = {
      "train": inspection.SplitFacts(examples=2975),
      "validation": inspection.SplitFacts(examples=validation),
    }
    return list(data_report.paragraphs(splits, "cityscapes/semantic_segmentation", CITYSCAPES_19))[
      -1
    ]

  assert "2975/500 examples, officially 2975/500: complete" in last_paragraph(500)
  assert "2975/499 examples, officially 2975/500: scores are not" in last_paragraph(499)
