"""Which features belong to which kind of text: labels on documents, features ranked by how unevenly they fire.

    python examples/labels.py page.html

The embedded documents are labelled by source (Python's library, its documentation, speeches, novels, a dictionary)
and by kind. With your own: ``Corpus.from_texts(texts, tokenizer, labels={"language": [...]}, seq_len=128)``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sae_vis import (
    Column,
    FeatureSettings,
    LabelsConfig,
    SaeVisLayoutConfig,
    SeqMultiGroupConfig,
    index_features,
    save_feature_page,
)
from sae_vis.demo.run import RESID, demo_corpus, demo_parts
from sae_vis.layout import ActsHistogramConfig, LogitsTableConfig
from sae_vis.views.labels import most_uneven

LAYOUT = SaeVisLayoutConfig(
    [
        Column(LabelsConfig(), ActsHistogramConfig(), LogitsTableConfig(n_rows=5), width=400),
        Column(SeqMultiGroupConfig(by_label="source", label_group_size=4, top_acts_group_size=6, n_quantiles=0)),
    ]
)


def main(path: Path, n_features: int = 64) -> None:
    """Write the page."""
    corpus, text = demo_corpus(labels=True)
    parts = demo_parts(RESID)
    index = index_features(corpus, parts, text=text)
    for labelling in index.labellings:
        table = index.labels(labelling.name)
        first = index.rank_by_label(labelling.name, k=5)
        said = ", ".join(f"{feature} ({table.labels[table.top[feature]]})" for feature in first)
        print(f"most uneven over {labelling.name}: {said}")
    chosen = most_uneven(index, "source", n_features)
    settings = FeatureSettings(title="Features by the source of the text", selection=chosen.rule)
    save_feature_page(index, path, features=chosen.features, parts=parts, layout=LAYOUT, settings=settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
