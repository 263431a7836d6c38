"""What a model is to us, hook names, Hugging Face models."""
