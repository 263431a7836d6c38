"""The third script of sae_vis 0.3: one prompt, and at a position the features that matter most by a metric.

python examples/prompt_centric.py page.html
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from sae_vis.data_config_classes import SaeVisConfig
from sae_vis.data_storing_fns import SaeVisData
from sae_vis.demo.run import RESID, assets, demo_corpus


def main(path: Path) -> None:
    """Write the page."""
    corpus, _ = demo_corpus()
    tokens = torch.from_numpy(corpus.tokens[: 128 * 64].reshape(64, 128)).long()
    data = SaeVisData.create(
        sae=assets() / RESID.folder, model=assets() / "model", tokens=tokens, cfg=SaeVisConfig(features=range(64))
    )
    data.save_prompt_centric_vis(
        filename=path, prompt="for line in self.lines:", metric="act_quantile", seq_pos=3, num_top_features=8
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
