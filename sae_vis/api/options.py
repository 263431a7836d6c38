"""What belongs together in the calls of the library: option objects, the same for every kind of page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sae_vis.boards.base import BoardGame
from sae_vis.checks import a_text, require_a, whole_number
from sae_vis.effects.probes import Probes
from sae_vis.effects.reference import Reference, Rows
from sae_vis.errors import InputError
from sae_vis.index.build import Progress
from sae_vis.index.index import Index
from sae_vis.models.base import Unembedding

PAGE_SCHEMES = ("http", "https", "file")


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """What a page of features says of itself, and how it begins.

    Attributes:
        title: page title; None: made from model and hook point.
        selection: how the features were chosen, said on the page; None: said from ``features``.
        first: the feature that the page opens with; None: the first.
    """

    title: str | None = None
    selection: str | None = None
    first: int | None = None

    def __post_init__(self) -> None:
        """Texts must be texts, and numbers numbers."""
        for name in ("title", "selection"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, a_text(getattr(self, name), name))
        if self.first is not None:
            object.__setattr__(self, "first", whole_number(self.first, "first"))


@dataclass(frozen=True, kw_only=True)
class ComputeSettings:
    """What is computed for a page, of any kind, beyond what the index holds.

    Attributes:
        effects: whether to compute direct effects that the index does not keep yet, on the examples of each card; they
            are kept in it. None: on pages of features and of two dictionaries, not on prompt pages.
        linear_probes: `LinearProbe` objects, or tuples ``(side, name, tensor)`` as for `as_probes`; need ``parts``.
        target_logits: `Reference`, or what it takes: the loss is then the cross entropy against it; need ``parts``.
        game: whose boards are drawn where the layout asks for boards; None: Othello, by the tokens' names.
        seed: of the interval samples.
        progress: called with stage, done, total where two dictionaries are correlated, and as cards are made.
    """

    effects: bool | None = None
    linear_probes: Sequence[object] | Probes | None = None
    target_logits: torch.Tensor | Rows | Reference | None = None
    game: BoardGame | None = None
    seed: int = 0
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """The seed must be a number."""
        object.__setattr__(self, "seed", whole_number(self.seed, "seed"))


@dataclass(frozen=True, kw_only=True)
class SecondIndex:
    """A second dictionary (B) over the same tokens, beside the features of the first.

    Attributes:
        index_b: its index. It may be of another hook point, width or architecture.
        b_page: address of a page of B's features, relative to the page made: B features are links to it.
        compare_page: address of a page that compares both (`save_compare_page`), relative to the page made.
    """

    index_b: Index
    b_page: str | None = None
    compare_page: str | None = None

    def __post_init__(self) -> None:
        """Addresses must be those of pages."""
        require_a(Index, self.index_b, "index_b", "Index.open(path) opens one, index_features builds one")
        for name in ("b_page", "compare_page"):
            require_page_address(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class ActivationFacts:
    """What is known of activations that were computed elsewhere.

    Attributes:
        d_sae: number of features; None: from dense activations or the decoder.
        decoder: directions ``[d_sae, d_model]`` in the residual stream, for tables of weights and neighbours.
        unembedding: ``[d_vocab, d_model]``, any gain of the final norm in it: with the decoder it gives logit tables.
        name: what pages call the dictionary.
        hook: where the activations come from, in words.
        fingerprint: of a stream: tells it from others, so that a build that was killed can go on.
    """

    d_sae: int | None = None
    decoder: torch.Tensor | None = None
    unembedding: torch.Tensor | Unembedding | None = None
    name: str = "activations"
    hook: str = "own activations"
    fingerprint: str | None = None


def require_page_address(name: str, address: str | None) -> None:
    """Raise `InputError` for what can't be the address of a page."""
    if address is None:
        return
    scheme = re.match(r"\s*([A-Za-z][A-Za-z0-9+.-]*):", address)
    if not address.strip() or "#" in address or (scheme is not None and scheme[1].lower() not in PAGE_SCHEMES):
        raise InputError(
            f"{name} is {address!r}, expected the address of a page, relative to the one that is made, such as "
            "'b.html', without anything behind a #"
        )
