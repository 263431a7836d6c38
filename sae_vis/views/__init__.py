"""Views: queries on the index, in the terms of the contract."""
