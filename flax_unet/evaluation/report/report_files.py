"""Names of the files of a report, in the folder `report` of a run folder."""

FOLDER = "report"  # in the run folder
PAGE = "index.html"
SCORES, CONFUSIONS = "metrics.json", "confusions.npz"
COMPLETE = (SCORES, CONFUSIONS, PAGE)  # a complete report has all of them


def confusion_matrix(evaluation: str, ending: str) -> str:
  """The name of the confusion matrix of an evaluation, as "csv" or "png"."""
  return f"confusion_{evaluation}.{ending}"


def image_scores(evaluation: str, ending: str) -> str:
  """The name of the scores of each image of an evaluation, as "csv" or "png"."""
  return f"image_scores_{evaluation}.{ending}"
