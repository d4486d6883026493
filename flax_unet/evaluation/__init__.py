"""What a split is scored by, inference, metrics and the report."""
