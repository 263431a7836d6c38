"""The commands; no logic of their own."""

from sae_vis.cli.commands import app, main

__all__ = ["app", "main"]
