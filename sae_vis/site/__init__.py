"""The explorer as a folder of files, which any file host can serve."""
