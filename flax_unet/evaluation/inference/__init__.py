"""From pictures to classes: in one pass or in tiles, at several scales."""
