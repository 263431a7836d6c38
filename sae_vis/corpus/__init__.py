"""The corpus: token source, mask, exact display text."""
