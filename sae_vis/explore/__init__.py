"""What the explorer asks of an index: columns of all features, texts of rows, search, the user's own texts."""
