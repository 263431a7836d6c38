"""Effects of features on the logits."""
