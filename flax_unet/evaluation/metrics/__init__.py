"""What is counted, and what scores follow from it."""
