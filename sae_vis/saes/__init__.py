"""What an SAE is to us: encoders to sparse codes, one file for each checkpoint format."""
