"""Networks, and in `base` what the rest of the program knows of one."""
