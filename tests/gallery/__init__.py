"""The gallery: a picture of each component, layout and state of the page; ``python -m tests.gallery`` takes them."""
