"""Networks; `base` has the interface that the rest of the program uses."""
