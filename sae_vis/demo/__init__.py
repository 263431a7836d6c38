"""The embedded demo: a small model, two SAEs, text."""
