"""Makes docs/gallery.md and its pictures; `__main__.py` says how."""
