"""What there is to look at: tables, figures, the page of a run, comparisons."""
