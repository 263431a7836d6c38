"""The second script of sae_vis 0.3: columns of one's own choice, whole sequences (``buffer=None``).

python examples/custom_layout.py page.html
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from sae_vis.data_config_classes import (
    ActsHistogramConfig,
    Column,
    FeatureTablesConfig,
    LogitsTableConfig,
    SaeVisConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
)
from sae_vis.data_storing_fns import SaeVisData
from sae_vis.demo.run import RESID, assets, demo_corpus


def main(path: Path) -> None:
    """Write the page."""
    corpus, _ = demo_corpus()
    tokens = torch.from_numpy(corpus.tokens[: 128 * 64].reshape(64, 128)).long()
    layout = SaeVisLayoutConfig(
        columns=[
            Column(SeqMultiGroupConfig(buffer=None, n_quantiles=0, top_acts_group_size=10), width=900),
            Column(ActsHistogramConfig(), LogitsTableConfig(n_rows=5), FeatureTablesConfig(n_rows=5), width=420),
        ],
        height=1000,
    )
    cfg = SaeVisConfig(features=range(8, 24), feature_centric_layout=layout)
    data = SaeVisData.create(sae=assets() / RESID.folder, model=assets() / "model", tokens=tokens, cfg=cfg)
    data.save_feature_centric_vis(filename=path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
