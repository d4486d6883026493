"""Reports: tables, figures, the HTML report of a run, comparisons."""
