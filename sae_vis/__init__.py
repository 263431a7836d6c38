"""sae_vis: see what the features of a sparse autoencoder mean."""
