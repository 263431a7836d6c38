"""Put a live explorer of the demo beside the documentation.

Usage: demo_site.py FOLDER [CACHE]

The index of the demo's residual SAE, with its map, is kept in CACHE (default: ``demo-index`` beside the built
documentation's folder), and so is what is in FOLDER: only what changed is made again. All addresses in the explorer are
relative, so documentation and explorer may lie under any path.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from sae_vis import SiteSettings, index_features, make_map, save_site
from sae_vis.demo import run as demo

SAE = demo.RESID


def main() -> None:
    """Command line."""
    folder = Path(sys.argv[1])
    cache = Path(sys.argv[2]) if len(sys.argv) > 2 else folder.parents[1] / "demo-index"
    corpus, text = demo.demo_corpus(labels=True)
    parts = demo.demo_parts(SAE)
    index = index_features(corpus, parts, cache, text=text)
    make_map(index, parts.sae)
    settings = SiteSettings(title=f"sae_vis demo: {SAE.reads}", effects=False)
    report = save_site(cache, folder, parts=partial(demo.demo_parts, SAE), settings=settings)
    print(f"{folder}: {report.files} files, {report.n_bytes / 1e6:.1f} MB, {report.made} of them made now")


if __name__ == "__main__":
    main()
