"""The index: postings and a feature table, built in one pass, in memory or on disk."""
