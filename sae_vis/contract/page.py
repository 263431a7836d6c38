"""A page as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from sae_vis.contract.annotations import I32, U8, Array
from sae_vis.contract.boards import BoardLook, ProbeHead
from sae_vis.contract.compare import Compared, Overview
from sae_vis.contract.feature import FeatureView
from sae_vis.contract.layout import ComponentModule, LayoutSpec
from sae_vis.contract.prompt import PromptPart
from sae_vis.contract.summary import FeatureSummary
from sae_vis.contract.tables import LabellingWords, LabelRanks, WrittenPlaces


@dataclass(frozen=True, kw_only=True)
class OtherDictionary:
    """A second dictionary over the same tokens (B), and where more is to be seen of it.

    Attributes:
        sae: architecture and size in words.
        hook: hook point.
        page: address of a page of its features, relative to this page; None: there is none.
        compare: address of a page that compares both, relative to this page; None: there is none.
    """

    sae: str
    hook: str
    page: str | None
    compare: str | None


@dataclass(frozen=True, kw_only=True)
class PageMeta:
    """What the numbers were made from, said in the page's header.

    Attributes:
        title: page title.
        model: the model's name; None without a model.
        hook: hook point.
        sae: architecture and size in words, such as ``topk, 8192 features``.
        corpus: the corpus in words.
        mask: which tokens were left out, in words.
        n_tokens: unmasked tokens.
        n_sequences: rows of the corpus.
        d_sae: number of features of the dictionary (the page may hold fewer).
        n_dead: features that never fire.
        selection: the rule by which the page's features were chosen, in words.
        first: the feature that the page opens with; None: the first.
        no_sources: why examples have no source tokens, where one would expect them (an attention SAE); else None.
        version: version of sae_vis that wrote the page.
        places: where the dictionary writes, if at several places, and a component shows that.
        b: the dictionary of the tables of B features; None: none was given.
        signed: whether some activation of the dictionary is negative.
        acts: what was done to the activations before anything was computed from them, in words; None: nothing.
        places: where the dictionary writes, if at several places, and a component shows that.
    """

    title: str
    model: str | None
    hook: str | None
    sae: str
    corpus: str
    mask: str
    n_tokens: int
    n_sequences: int
    d_sae: int
    n_dead: int
    selection: str
    first: int | None
    no_sources: str | None = None
    version: str
    b: OtherDictionary | None = None
    signed: bool = False
    acts: str | None = None
    places: WrittenPlaces | None = None


@dataclass(frozen=True, kw_only=True)
class TokenTable:
    """The text of every token that occurs in a page; elsewhere token ids travel as places in this table.

    Attributes:
        ids: the tokens' ids, the most frequent one first.
        lengths: bytes of each token's text.
        text: the bytes of all of them, one after the other.
        special: places in the table of special tokens, which are shown as a name, not as text; ascending.
    """

    ids: Annotated[I32, Array("n_tokens")]
    lengths: Annotated[I32, Array("n_tokens")]
    text: Annotated[U8, Array("n_bytes")]
    special: Annotated[I32, Array("n_special", "gaps")]


@dataclass(frozen=True, kw_only=True)
class PageHead:
    """Everything of a page but its features.

    Attributes:
        prompt: whether the page is prompt-centric: it has a block of that name.
        compare: whether the page compares two dictionaries; what its head tells is of the first.
        modules: types of the user's own components, in the order of their blocks.
        labellings: of the corpus.
        label_ranks: columns of the picker, for each labelling; () on a prompt-centric page.
        board: what the boards of the page look like; None: there are none.
        probes: the linear probes that features are compared with.
    """

    meta: PageMeta
    layout: LayoutSpec
    summary: FeatureSummary
    prompt: bool
    compare: bool
    modules: tuple[str, ...] = ()
    labellings: tuple[LabellingWords, ...] = ()
    label_ranks: tuple[LabelRanks, ...] = ()
    board: BoardLook | None = None
    probes: tuple[ProbeHead, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComparePart(Overview):
    """What makes a page one that compares two dictionaries over the same tokens.

    Attributes:
        b: the second dictionary's features; the page's own are those of the first.
        compared: each of the page's features of A, in the order of the page.
    """

    b: FeaturePage
    compared: tuple[Compared, ...]


@dataclass(frozen=True, kw_only=True)
class FeaturePage:
    """A page of feature views, before it is written anywhere.

    Attributes:
        prompt: of a prompt-centric page; its features are cards of those that fire on the prompt.
        token_bytes: bytes of each token id that occurs in the views.
        special: the ids among them that are special tokens (shown as a name, not as text).
        modules: how the user's own components are drawn.
        labellings: of the corpus.
        label_ranks: columns of the picker, for each labelling; () on a prompt-centric page.
        board: what the boards of the page look like; None: there are none.
        probes: the linear probes that features are compared with.
        compare: of a page that compares two dictionaries; its features are those of the first.
    """

    meta: PageMeta
    layout: LayoutSpec
    summary: FeatureSummary
    features: tuple[FeatureView, ...]
    token_bytes: dict[int, bytes]
    special: tuple[int, ...]
    modules: tuple[ComponentModule, ...] = ()
    labellings: tuple[LabellingWords, ...] = ()
    label_ranks: tuple[LabelRanks, ...] = ()
    prompt: PromptPart | None = None
    board: BoardLook | None = None
    probes: tuple[ProbeHead, ...] = ()
    compare: ComparePart | None = None
