"""The explorer: a whole dictionary, of which everything but the first view comes when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from sae_vis.contract.annotations import F32, I32, Array
from sae_vis.contract.compare import Overview
from sae_vis.contract.layout import LayoutSpec
from sae_vis.contract.page import PageHead


@dataclass(frozen=True, kw_only=True)
class ColumnInfo:
    """A column of the table of all features.

    Attributes:
        name: as it is asked for.
        title: in the table's head.
        meaning: what its values are, in a sentence.
        kind: ``number``; ``token``: ids of tokens, -1 for none; ``label``: places in a labelling, -1 for none;
            ``tokens`` and ``words``: texts of the rows in sight, which can't be sorted by.
        scale: of its histogram.
        percent: whether numbers are shares, shown in percent.
        whole: whether they are whole numbers.
        best: which end comes first when it is sorted by.
        labelling: of a label, its place among the page's labellings; else -1.
    """

    name: str
    title: str
    meaning: str
    kind: Literal["number", "token", "label", "tokens", "words"]
    scale: Literal["linear", "log"] = "linear"
    percent: bool = False
    whole: bool = False
    best: Literal["high", "low"] = "high"
    labelling: int = -1


@dataclass(frozen=True, kw_only=True)
class IndexChoice:
    """One of the indices that are served.

    Attributes:
        identity: of the index and of how its cards look; a part of every address of its data.
        title: short.
        hook: where its dictionary reads.
        sae: architecture and size in words.
        same_text: whether it is over the same tokens as the one that is open, so that both can be compared.
    """

    identity: str
    title: str
    hook: str
    sae: str
    same_text: bool


@dataclass(frozen=True, kw_only=True)
class ExplorerCan:
    """What can be asked beside cards, columns and rows.

    Attributes:
        phrases: which features fire where a phrase of the text stands: needs codes by token and token text.
        reader: the text itself, with what fires on it.
        live: whatever runs the model: texts of the user's own, prompts, effects.
        why_not_live: why there is nothing live, in words; empty where there is.
        notes: whether notes can be written.
        map: whether there is a map of decoder directions.
        explanations: whether explanations are kept.
    """

    phrases: bool
    reader: bool
    live: bool
    why_not_live: str
    notes: bool
    map: bool
    explanations: bool = False


@dataclass(frozen=True, kw_only=True)
class ExplorerHead:
    """What the explorer begins with; its page's summary is empty, since the table comes by columns.

    Attributes:
        page: what the cards were made from, and how they look.
        identity: of the index and of how its cards look.
        columns: every column that there is.
        shown: those that the table shows unless told otherwise.
        sort: the column that it is sorted by unless told otherwise.
        indices: all that are served, this one among them.
        can: what can be asked.
        first: rows that the table begins with.
    """

    page: PageHead
    identity: str
    columns: tuple[ColumnInfo, ...]
    shown: tuple[str, ...]
    sort: str
    indices: tuple[IndexChoice, ...]
    can: ExplorerCan
    first: FirstRows


@dataclass(frozen=True, kw_only=True)
class NumberColumn:
    """One number for each feature of the dictionary, NaN where there is none."""

    values: Annotated[F32, Array("n_features")]


@dataclass(frozen=True, kw_only=True)
class WholeColumn:
    """One whole number for each feature of the dictionary: ids of tokens or places in a labelling, -1 for none."""

    values: Annotated[I32, Array("n_features")]


@dataclass(frozen=True, kw_only=True)
class TokensOfRows:
    """A few tokens for each of some features, strongest first; row ``i`` has those from ``offsets[i]`` on."""

    offsets: Annotated[I32, Array("n_rows + 1", "offsets", ends_at="n_listed")]
    tokens: Annotated[I32, Array("n_listed", "token")]


@dataclass(frozen=True, kw_only=True)
class RowTexts:
    """What rows of the table show beside numbers.

    Attributes:
        features: ids, in the order asked for.
        top: the token on which each fires most strongly, -1 for none.
        fired: tokens that each fires on most.
        up: tokens that each pushes up most.
        down: tokens that each pushes down most.
        explanations: the best explanation of each, empty for none; no rows at all where none are kept.
    """

    features: Annotated[I32, Array("n_rows")]
    top: Annotated[I32, Array("n_rows", "token")]
    fired: TokensOfRows
    up: TokensOfRows
    down: TokensOfRows
    explanations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FirstRows:
    """The rows that the table begins with, in their order, so that they are on screen before any column is.

    Attributes:
        features: ids.
        columns: names of the columns whose values are here.
        values: of the first column, then the second; a column's values in the order of the rows.
        texts: of the rows.
    """

    features: Annotated[I32, Array("n_rows")]
    columns: tuple[str, ...]
    values: Annotated[F32, Array("n_values")]
    texts: RowTexts


@dataclass(frozen=True, kw_only=True)
class SitePage:
    """A page that lies beside the explorer of a site.

    Attributes:
        title: of the link.
        address: relative to the explorer.
    """

    title: str
    address: str


@dataclass(frozen=True, kw_only=True)
class SiteHead:
    """What the explorer of a static site begins with: there is no server, everything lies in files of a few kinds.

    Attributes:
        explorer: as from a server; nothing in it is live.
        cards_in_file: features in a file of cards (`sae_vis.deliver.answers.pack`): feature ``f`` is in file
            ``f // cards_in_file``.
        files_in_folder: files of cards in a folder: file ``i`` is in folder ``i // files_in_folder``.
        rows_in_file: features in a file of texts of rows (`RowTexts`), likewise.
        letters: the first text of each file of the vocabulary (`WordList`), ascending.
        text_files: the place among all texts of the first one in each file of features (`WordFeatures`), ascending.
        explained_letters: first word in each file of explanations by word (`ExplainedWords`), ascending.
        chosen: the features that the site holds, where these are not all, ascending; else empty. Their places in this
            list are then what files of cards and of rows count by, and columns hold their values alone.
        pages: that lie beside it.
    """

    explorer: ExplorerHead
    cards_in_file: int
    files_in_folder: int
    rows_in_file: int
    letters: tuple[str, ...]
    text_files: Annotated[I32, Array("n_text_files", "delta")]
    explained_letters: tuple[str, ...]
    chosen: Annotated[I32, Array("n_chosen", "gaps")]
    pages: tuple[SitePage, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WordList:
    """Texts that can be searched for, some of them, ascending: small letters without spaces around them.

    A text is a word of the vocabulary, or a beginning that many words share and that is none itself.

    Attributes:
        first: the place of the first of these among all texts.
        words: each once.
        n_tokens: of the vocabulary that are each word, or begin with it.
    """

    first: int
    words: tuple[str, ...]
    n_tokens: Annotated[I32, Array("n_words")]


@dataclass(frozen=True, kw_only=True)
class ExplainedWords:
    """Which explanations hold words; word ``i`` has the entries from ``offsets[i]`` on.

    Attributes:
        words: of explanations, small letters, ascending.
        totals: how many explanations hold each; where that is more than it has entries, these are the best of them,
            and the word is only looked for by itself.
        rows: number of the explanation, ascending.
        features: that it is of.
        counts: how often the word stands there.
        lengths: how many words the explanation has.
    """

    words: tuple[str, ...]
    totals: Annotated[I32, Array("n_words")]
    offsets: Annotated[I32, Array("n_words + 1", "offsets", ends_at="n_entries")]
    rows: Annotated[I32, Array("n_entries", "delta")]
    features: Annotated[I32, Array("n_entries", "delta")]
    counts: Annotated[I32, Array("n_entries")]
    lengths: Annotated[I32, Array("n_entries")]


@dataclass(frozen=True, kw_only=True)
class WordFeatures:
    """Which features fire on texts that lie behind each other, and push them up; text ``i`` from ``offsets[i]`` on.

    Attributes:
        fires: features that fire on each, by the share of their firings there, the largest first.
        shares: these shares.
        pushes: features that push each up, by their logit effect on it, the largest first.
        effects: these effects.
    """

    fires_offsets: Annotated[I32, Array("n_texts + 1", "offsets", ends_at="n_fires")]
    fires: Annotated[I32, Array("n_fires")]
    shares: Annotated[F32, Array("n_fires")]
    pushes_offsets: Annotated[I32, Array("n_texts + 1", "offsets", ends_at="n_pushes")]
    pushes: Annotated[I32, Array("n_pushes")]
    effects: Annotated[F32, Array("n_pushes", unit="logits")]


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Features that a search found in one way, best first.

    Attributes:
        way: ``fires``: it fires most on a token of this text; ``pushes``: it pushes up such a token; ``phrase``: it
            fires where the phrase stands in the corpus more than elsewhere; ``explanation``: an explanation of it
            holds the words; ``note``: a note holds them; ``text``: the text, run through the model, wakes it.
        said: what the score is, in words.
        n_places: how many tokens or places of the corpus were found, whatever fires there.
        features: ids.
        scores: of each.
    """

    way: Literal["fires", "pushes", "phrase", "explanation", "note", "text"]
    said: str
    n_places: int
    features: Annotated[I32, Array("n_found")]
    scores: Annotated[F32, Array("n_found")]


@dataclass(frozen=True, kw_only=True)
class SearchAnswer:
    """What was found, way by way; ways that found nothing are there with no features.

    Attributes:
        hits: of each way.
        tokens: what the model read, without what the mask leaves out; none where no model was asked.
    """

    hits: tuple[Hits, ...]
    tokens: Annotated[I32, Array("n_read", "token")]


@dataclass(frozen=True, kw_only=True)
class TriedText:
    """A text of the user's own, run through model and dictionary; token ``i`` has the codes from ``offsets[i]`` on.

    Attributes:
        tokens: ids, the BOS in front where the index's sequences have one.
        masked: 1 where the index's mask would leave the token out, else 0.
        features: those that fire.
        acts: how strongly.
    """

    tokens: Annotated[I32, Array("n_positions", "token")]
    masked: Annotated[I32, Array("n_positions")]
    offsets: Annotated[I32, Array("n_positions + 1", "offsets", ends_at="n_codes")]
    features: Annotated[I32, Array("n_codes", "delta")]
    acts: Annotated[F32, Array("n_codes", unit="activation")]


@dataclass(frozen=True, kw_only=True)
class TokenLogits:
    """A feature's logit effects on tokens of the user's choice, the largest first.

    Attributes:
        n_found: tokens that were found, listed or not.
        n_vocab: tokens that there are effects on.
        tokens: ids.
        effects: on their logits.
        ranks: how many tokens of the vocabulary have a larger effect.
    """

    n_found: int
    n_vocab: int
    tokens: Annotated[I32, Array("n_listed", "token")]
    effects: Annotated[F32, Array("n_listed", unit="logits")]
    ranks: Annotated[I32, Array("n_listed")]


@dataclass(frozen=True, kw_only=True)
class MeasuredEffects:
    """Full effects on a prompt, some of those that were asked for.

    Attributes:
        side: which of two prompts.
        done: pairs measured so far, of all sides.
        total: pairs that will be measured.
        pairs: places of the pairs among the prompt's.
        loss: effect on the loss of the next token, with the feature minus without it.
        later: the same, summed over this and all later tokens.
    """

    side: int
    done: int
    total: int
    pairs: Annotated[I32, Array("n_measured")]
    loss: Annotated[F32, Array("n_measured", unit="nats")]
    later: Annotated[F32, Array("n_measured", unit="nats")]


@dataclass(frozen=True, kw_only=True)
class ComparisonHead:
    """Two of the indices that are served, compared; cards and pairs come when they are asked for.

    Attributes:
        overview: what is known of all features of both.
        layout: of the cards beside each other.
    """

    overview: Overview
    layout: LayoutSpec


@dataclass(frozen=True, kw_only=True)
class LayerFeatures:
    """The features that matter most to a prompt in one of the indices that are served, the most important first.

    Attributes:
        identity: of the index.
        metric: what they are ranked by, in words.
        features: ids.
        values: of the metric, at the token where it is largest.
        positions: of that token.
        top_tokens: the token on which each fires most strongly in the corpus.
    """

    identity: str
    metric: str
    features: Annotated[I32, Array("n_ranked")]
    values: Annotated[F32, Array("n_ranked")]
    positions: Annotated[I32, Array("n_ranked")]
    top_tokens: Annotated[I32, Array("n_ranked", "token")]


@dataclass(frozen=True, kw_only=True)
class EveryLayer:
    """One prompt at every index that is served with its model; indices in the order in which they are served.

    Attributes:
        tokens: of the prompt.
        layers: of each index.
    """

    tokens: Annotated[I32, Array("n_positions", "token")]
    layers: tuple[LayerFeatures, ...]


@dataclass(frozen=True, kw_only=True)
class Note:
    """A note of the user's on a feature.

    Attributes:
        feature: its number.
        text: of the note.
        revision: 1 for the first text, one more for every text since.
    """

    feature: int
    text: str
    revision: int


@dataclass(frozen=True, kw_only=True)
class Notes:
    """All notes on an index, by feature."""

    notes: tuple[Note, ...]
