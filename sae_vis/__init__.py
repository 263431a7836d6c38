"""See what the features of a sparse autoencoder mean: an exact index in one pass, and pages that work offline."""

__version__ = "1.0.0.dev0"
