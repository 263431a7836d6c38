"""The explorer's server: an index, live in the browser."""
