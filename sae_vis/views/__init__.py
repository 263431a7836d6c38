"""Views: queries on the index, as typed payloads."""
