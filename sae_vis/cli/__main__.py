"""``python -m sae_vis.cli``."""

from sae_vis.cli.commands import main

main()
