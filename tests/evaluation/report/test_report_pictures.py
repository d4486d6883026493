from flax_unet.evaluation.report import report_pictures

_FIGURE = """
<figure class="picture{more}">
  <figcaption><b>{name}</b><span>mean IoU 0.5</span></figcaption>
  <img src="data:image/jpeg;base64,{number}" alt="image">
  <img src="data:image/png;base64,{number}" alt="label">
  <img class="over" src="data:image/png;base64,{number}p" alt="prediction">
</figure>
"""


def test_the_first_figure_of_an_image_counts(tmp_path):
  page = tmp_path / "index.html"
  figures = [("a &lt;b&gt;", 1, ""), ("c", 2, " enlarged"), ("c", 3, "")]
  page.write_text(
    "<b>bold</b><figure><img src='x' alt='image'></figure>"
    + "".join(_FIGURE.format(name=name, number=n, more=more) for name, n, more in figures)
  )
  found = report_pictures.read(page)
  assert list(found) == ["a <b>", "c"]
  assert found["c"] == {
    "image": "data:image/jpeg;base64,2",
    "label": "data:image/png;base64,2",
    "prediction": "data:image/png;base64,2p",
  }


def test_figures_without_all_panels_and_missing_pages_have_no_pictures(tmp_path):
  page = tmp_path / "index.html"
  page.write_text(_FIGURE.format(name="a", number=1, more="").replace("data:image/png", "http"))
  assert report_pictures.read(page) == {}
  assert report_pictures.read(tmp_path / "missing.html") == {}
