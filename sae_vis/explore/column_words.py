"""What the columns of the table of all features are called, and what they mean."""

from __future__ import annotations

from sae_vis.contract import ColumnInfo

SHOWN = ("density", "max", "top_token", "explanation", "fired_tokens", "pushed_up")
"""What the table shows unless told otherwise."""
SORT = "density"

NUMBERS = (
    ColumnInfo(
        name="density",
        title="Density",
        meaning="Share of unmasked tokens on which it fires.",
        kind="number",
        scale="log",
        percent=True,
    ),
    ColumnInfo(
        name="n_firings", title="Firings", meaning="Tokens on which it fires.", kind="number", scale="log", whole=True
    ),
    ColumnInfo(name="max", title="Max", meaning="Its largest activation.", kind="number"),
    ColumnInfo(name="mean", title="Mean", meaning="Mean activation among its firings.", kind="number"),
    ColumnInfo(
        name="std", title="Std", meaning="Standard deviation of its activations among its firings.", kind="number"
    ),
    ColumnInfo(
        name="skewness", title="Skewness", meaning="Skewness of its activations among its firings.", kind="number"
    ),
    ColumnInfo(
        name="kurtosis",
        title="Kurtosis",
        meaning="Excess kurtosis of its activations among its firings: large where a few are far above the rest.",
        kind="number",
    ),
)
"""Columns of the feature table, shown as they are."""
MIN = ColumnInfo(name="min", title="Min", meaning="Its most negative activation.", kind="number", best="low")
TOP_TOKEN = ColumnInfo(
    name="top_token",
    title="Strongest token",
    meaning="The token of the corpus on which it fires most strongly.",
    kind="token",
)
TOP_SHARE = ColumnInfo(
    name="top_share",
    title="Top share",
    meaning="Share of its firings on the token it fires on most: near 100 % for a feature of one token.",
    kind="number",
    percent=True,
)
N_TOKENS = ColumnInfo(
    name="n_fired_tokens",
    title="Distinct tokens",
    meaning="How many different tokens of the vocabulary it fires on.",
    kind="number",
    scale="log",
    whole=True,
)
CORRELATED = ColumnInfo(
    name="correlated",
    title="Correlation",
    meaning="Largest Pearson correlation of its activations with those of another feature.",
    kind="number",
)
LOSS_EFFECT = ColumnInfo(
    name="loss_effect",
    title="Loss effect",
    meaning=(
        "Mean direct effect on the loss of the next token, in nats, over the firings for which it was computed, below "
        "0 where the feature helps. Cards that are looked at with the model add to it."
    ),
    kind="number",
    best="low",
)
RECONSTRUCTION = ColumnInfo(
    name="reconstruction",
    title="Reconstruction",
    meaning="E[a²] |d|²: mean square, over unmasked tokens, of what it adds to the reconstruction.",
    kind="number",
    scale="log",
)
NEAREST = ColumnInfo(
    name="nearest",
    title="Nearest cosine",
    meaning="Cosine of its decoder direction with that of the nearest other feature.",
    kind="number",
)
SCORE = ColumnInfo(
    name="explained",
    title="Explanation score",
    meaning="Score of its best explanation, as the explanation's author gave it; larger is better.",
    kind="number",
)
EXPLANATION = ColumnInfo(name="explanation", title="Explanation", meaning="What is said that it means.", kind="words")
LISTED = (
    ColumnInfo(name="fired_tokens", title="Fires on", meaning="The tokens that it fires on most.", kind="tokens"),
    ColumnInfo(name="pushed_up", title="Pushes up", meaning="The tokens whose logits it raises most.", kind="tokens"),
    ColumnInfo(
        name="pushed_down", title="Pushes down", meaning="The tokens whose logits it lowers most.", kind="tokens"
    ),
)
"""Texts of the rows in sight."""


def unevenness(labelling: str, number: int) -> ColumnInfo:
    """How unevenly features fire over a labelling, which is the ``number``-th of the corpus."""
    return ColumnInfo(
        name=f"unevenness {number}",
        title=f"Uneven by {labelling}",
        meaning=(
            f"How unevenly it fires over {labelling}: bits per firing by which the labels of its firings differ from "
            "those of all tokens."
        ),
        kind="number",
    )


def density_on(labelling: str, number: int, label: str, code: int) -> ColumnInfo:
    """Density on the tokens of one label, the ``code``-th of a labelling, which is the ``number``-th of the corpus."""
    return ColumnInfo(
        name=f"on {number} {code}",
        title=f"On {label}",
        meaning=f"Share of the unmasked tokens of {labelling} {label} on which it fires.",
        kind="number",
        percent=True,
        scale="log",
    )


def preferred(labelling: str, number: int) -> ColumnInfo:
    """The label of a labelling, which is the ``number``-th of the corpus, that features prefer."""
    return ColumnInfo(
        name=f"label {number}",
        title=labelling,
        meaning=f"The {labelling} that it prefers most.",
        kind="label",
        labelling=number,
    )
