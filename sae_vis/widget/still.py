"""Cards and prompts that need no script: what a notebook shows of a widget where nothing runs, as on GitHub."""

from __future__ import annotations

import codecs
import html
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sae_vis.contract import FeatureView, LayerFeatures
from sae_vis.contract.examples import Contexts
from sae_vis.corpus.text import TokenText

MOST_EXAMPLES = 12
MOST_TOKENS = 10
BOX = "font: 14px/1.6 sans-serif; max-width: 960px"
FIRES = "background: rgba(255, 163, 26, {share:.2f})"
BELOW = "background: rgba(111, 155, 255, {share:.2f})"


def still_card(view: FeatureView, text: TokenText) -> str:
    """HTML of a feature's numbers, its logit effects and its strongest examples, a few kilobytes.

    Args:
        view: the feature's card.
        text: what token ids spell.
    """
    found = view.stats
    parts = [f"<b>Feature {view.feature}</b>"]
    if found.n_firings == 0:
        parts.append("never fires on this text")
    else:
        parts.append(f"fires {found.n_firings:,} times, density {found.density:.3%}, max {found.max:.4g}")
    table = view.logits_table
    if table is not None:
        parts.append(f"pushes up {_chips(table.top_tokens, text)}")
        parts.append(f"pushes down {_chips(table.bottom_tokens, text)}")
    groups = [group for group in view.sequences if group.kind in ("top", "bottom")]
    rows = [row for group in groups for row in _rows(group.contexts, text)]
    body = "".join(f"<div>{part}</div>" for part in parts)
    return f'<div style="{BOX}">{body}<ol>{"".join(f"<li>{row}</li>" for row in rows)}</ol></div>'


def still_prompt(tokens: NDArray[np.int32], found: LayerFeatures, text: TokenText) -> str:
    """HTML of a prompt and the features that matter most to it.

    Args:
        tokens: of the prompt, int32 ``[n_positions]``.
        found: the features.
        text: what token ids spell.
    """
    lines = [
        f"feature {feature}: {value:.3g} at {_chips(tokens[[position]], text)} (fires most on {_chips(top, text)})"
        for feature, value, position, top in zip(
            found.features.tolist(),
            found.values.tolist(),
            found.positions.tolist(),
            found.top_tokens.reshape(-1, 1),
            strict=True,
        )
    ]
    spelled = _row(tokens, np.zeros(len(tokens), np.float32), 1.0, text)
    parts = [f"<b>Prompt</b> {spelled}", f"By {_escaped(found.metric)}:"]
    body = "".join(f"<div>{part}</div>" for part in parts)
    return f'<div style="{BOX}">{body}<ol>{"".join(f"<li>{line}</li>" for line in lines)}</ol></div>'


def _chips(tokens: NDArray[np.int32], text: TokenText) -> str:
    shown = [text.bytes_of(int(token)).decode("utf-8", "replace") for token in tokens[:MOST_TOKENS] if token >= 0]
    return " ".join(f"<code>{_escaped(one)}</code>" for one in shown)


def _rows(contexts: Contexts, text: TokenText) -> list[str]:
    """Each example as a line; the strongest activation of all of them has the strongest colour."""
    most = float(np.abs(np.nan_to_num(contexts.acts)).max(initial=0.0)) or 1.0
    ends = contexts.offsets.tolist()
    lines = list(pairwise(ends))[:MOST_EXAMPLES]
    return [_row(contexts.tokens[start:stop], contexts.acts[start:stop], most, text) for start, stop in lines]


def _row(tokens: NDArray[np.int32], acts: NDArray[np.float32], most: float, text: TokenText) -> str:
    """A character that is split over tokens stands where its last byte is."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    out = []
    for i, (token, act) in enumerate(zip(tokens.tolist(), np.nan_to_num(acts).tolist(), strict=True)):
        shown = _escaped(decoder.decode(text.bytes_of(token), final=i == len(tokens) - 1))
        if act != 0:
            style = (FIRES if act > 0 else BELOW).format(share=0.15 + 0.85 * min(abs(act) / most, 1))
            shown = f'<span style="{style}" title="{act:.3g}">{shown}</span>'
        out.append(shown)
    return "".join(out)


def _escaped(text: str) -> str:
    return html.escape(text.replace("\n", "↵"))
