"""The explorer in a notebook's cell."""
