"""Scripts that make the embedded demo: tokenizer, language model, two sparse autoencoders and text."""
