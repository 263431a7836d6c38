"""Where a phrase stands in a corpus, byte by byte: within tokens, across their borders, in parts of characters.

The text of a corpus is the bytes of its tokens end to end. It breaks at the end of a document, at tokens without text
(special ones, ids that the vocabulary lacks), and goes on over the end of a sequence where the document does: the BOS
that every sequence begins with is passed over there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sae_vis.checks import shown, surrogate_at, whole_number
from sae_vis.corpus.text import TokenText
from sae_vis.errors import InputError
from sae_vis.index.shards import ranges

I64 = NDArray[np.int64]
CHUNK = 1 << 22  # tokens looked through at a time
ENDED = -1  # state of a beginning that the next token does not go on with


class Matches(NamedTuple):
    """Places where a phrase stands, by ascending place in the text; overlapping ones are all there.

    Match ``i`` is covered by the tokens at corpus positions ``starts[i]`` to ``stops[i] - 1``, masked ones and a BOS
    passed over among them.

    Attributes:
        starts: int64 ``[n]`` corpus position of the token in which the phrase begins.
        stops: int64 ``[n]`` corpus position after the token in which it ends.
        before: int64 ``[n]`` bytes of the first token before the phrase.
        after: int64 ``[n]`` bytes of the last token after the phrase.
    """

    starts: I64
    stops: I64
    before: I64
    after: I64

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Bool ``[n]``: whether the match is token-exact, so that it begins and ends at borders of tokens."""
        exact: NDArray[np.bool_] = (self.before == 0) & (self.after == 0)
        return exact

    @property
    def positions(self) -> I64:
        """Corpus positions that a match covers, each once, ascending."""
        return np.unique(ranges(self.starts, self.stops - self.starts))

    def rows(self, chosen: NDArray[np.bool_] | I64) -> Matches:
        """Some of the matches, such as those that are ``exact``.

        Args:
            chosen: bool ``[n]``, or indices of matches.

        Returns:
            These matches.
        """
        return Matches(*(column[chosen] for column in self))


def phrase_bytes(phrase: object, *, ignore_case: bool = False) -> bytes:
    """A phrase as UTF-8, letters A to Z as small ones where ``ignore_case``.

    Raises:
        InputError: empty, no text or bytes, half a character; letters other than A to Z whose case is to be ignored.
    """
    if not isinstance(phrase, (str, bytes)):
        raise InputError(f"the phrase is {shown(phrase)}, expected text, or bytes for a part of a character")
    if not phrase:
        raise InputError("the phrase is empty, expected at least one character")
    if isinstance(phrase, str) and surrogate_at(phrase) is not None:
        raise InputError(f"the phrase {shown(phrase)} holds half a character; give the bytes that it stands for")
    if ignore_case:
        text = phrase if isinstance(phrase, str) else phrase.decode("utf-8", "replace")
        cased = next((one for one in text if not one.isascii() and one.lower() != one.upper()), None)
        if cased is not None:
            raise InputError(
                f"the case of {cased!r} can't be ignored, only that of A to Z; search each spelling of {shown(phrase)}"
            )
    data = phrase.encode("utf-8") if isinstance(phrase, str) else phrase
    return data.lower() if ignore_case else data


class TextSearch:
    """Search in the text of one corpus.

    Args:
        tokens: int32 ``[n_tokens]``.
        offsets: int64 ``[n_seqs + 1]`` of the sequences.
        documents: int64 ``[n_docs + 1]`` where each document starts, and the end.
        text: what the token ids spell.
    """

    def __init__(self, tokens: NDArray[np.int32], offsets: I64, documents: I64, text: TokenText) -> None:
        self._tokens, self._offsets, self._documents = tokens, offsets, documents
        self._spelled = {token: data for token, data, special in text.entries() if not special}
        first = tokens[offsets[:-1]]
        self._bos = int(first[0]) if bool((first == first[0]).all()) and int(first[0]) not in self._spelled else None

    def find(self, phrase: str | bytes, *, limit: int | None = None, ignore_case: bool = False) -> Matches:
        """Every place where ``phrase`` stands, the first ``limit`` of them (None: all).

        Raises:
            InputError: what `phrase_bytes` refuses, or a limit below 1.
        """
        data = phrase_bytes(phrase, ignore_case=ignore_case)
        most = None if limit is None else whole_number(limit, "limit", 1)
        speller = _Speller(self._spelled, data, ignore_case=ignore_case)
        found, n = [_no_matches()], 0
        for first in range(0, len(self._tokens), CHUNK):
            found.append(self._finished(speller, speller.beginnings(self._tokens[first : first + CHUNK], first)))
            n += len(found[-1].starts)
            if most is not None and n >= most:
                break
        return Matches(*(np.concatenate(columns)[:most] for columns in zip(*found, strict=True)))

    def _finished(self, speller: _Speller, begun: _Begun) -> Matches:
        """Those beginnings that the tokens after them complete."""
        whole = [_no_matches()]
        at, state = begun.starts.copy(), begun.state
        order = np.arange(len(at))
        rank = [order[:0]]
        while len(order):
            done = state >= speller.length
            rows = order[done]
            rank.append(rows)
            whole.append(Matches(begun.starts[rows], at[done] + 1, begun.before[rows], state[done] - speller.length))
            order, at, state = order[~done], at[~done] + 1, state[~done]
            passed = self._goes_on(at)
            order, at, state = order[passed], at[passed], state[passed]
            spells = self._tokens[at]
            silent = np.zeros(len(at), dtype=bool) if self._bos is None else spells == self._bos
            state = np.where(silent, state, speller.after(state, spells))
            kept = state != ENDED
            order, at, state = order[kept], at[kept], state[kept]
        matches = Matches(*(np.concatenate(columns) for columns in zip(*whole, strict=True)))
        return matches.rows(np.argsort(np.concatenate(rank), kind="stable"))

    def _goes_on(self, at: I64) -> NDArray[np.bool_]:
        """Whether the text goes on at some positions from the token before; a BOS does not within a sequence."""
        inside = at < len(self._tokens)
        goes_on: NDArray[np.bool_] = inside & ~_among(at, self._documents)
        if self._bos is not None:
            bos = self._tokens[np.minimum(at, len(self._tokens) - 1)] == self._bos
            goes_on &= ~bos | _among(at, self._offsets)
        return goes_on


class _Begun(NamedTuple):
    """Places where a match may begin, ascending.

    Attributes:
        starts: int64 ``[n]`` corpus position of the token.
        before: int64 ``[n]`` where in its bytes.
        state: int64 ``[n]`` bytes from there to the token's end: of the phrase, unless it ends within the token.
    """

    starts: I64
    before: I64
    state: I64


class _Speller:
    """What each token of a vocabulary does to a phrase that has been matched up to a byte.

    The state is the number of bytes matched; above ``length``, of bytes from the phrase's first on, some of which
    follow it in its last token.
    """

    def __init__(self, spelled: dict[int, bytes], phrase: bytes, *, ignore_case: bool) -> None:
        self._spelled, self._phrase, self._fold = spelled, phrase, ignore_case
        self.length = len(phrase)
        self._known: dict[int, int] = {}
        found = [(token, at, n) for token, data in spelled.items() for at, n in self._begins(data)]
        table = np.array(found, dtype=np.int64).reshape(-1, 3)
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        self._ids, self._first, self._counts = np.unique(table[:, 0], return_index=True, return_counts=True)
        self._before, self._state = table[:, 1], table[:, 2]

    def _begins(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where in a token's bytes a match can begin, and how many bytes there are from there on."""
        data = data.lower() if self._fold else data
        at = data.find(self._phrase[:1])
        while at >= 0:
            rest = data[at:]
            if rest.startswith(self._phrase) or self._phrase.startswith(rest):
                yield at, len(rest)
            at = data.find(self._phrase[:1], at + 1)

    def beginnings(self, tokens: NDArray[np.int32], first: int) -> _Begun:
        """All places in some tokens, which begin at corpus position ``first``, where a match can begin."""
        at = np.flatnonzero(np.isin(tokens, self._ids))
        kind = np.searchsorted(self._ids, tokens[at])
        counts = self._counts[kind]
        rows = ranges(self._first[kind], counts)
        return _Begun(first + np.repeat(at, counts), self._before[rows], self._state[rows])

    def after(self, state: I64, tokens: NDArray[np.int32]) -> I64:
        """The states after one more token each."""
        keys, where = np.unique(tokens.astype(np.int64) * self.length + state, return_inverse=True)
        steps = np.array([self._step(int(key)) for key in keys], dtype=np.int64)
        return steps[where]

    def _step(self, key: int) -> int:
        if key not in self._known:
            token, matched = divmod(key, self.length)
            data, rest = self._spelled.get(token), self._phrase[matched:]
            data = data.lower() if self._fold and data is not None else data
            fits = data is not None and (data.startswith(rest) or rest.startswith(data))
            self._known[key] = matched + len(data) if fits and data is not None else ENDED
        return self._known[key]


def _among(values: I64, known: I64) -> NDArray[np.bool_]:
    """Whether each value is one of ``known``, which ascend; in ``log(len(known))``, however many these are."""
    found: NDArray[np.bool_] = np.searchsorted(known, values, "right") > np.searchsorted(known, values)
    return found


def _no_matches() -> Matches:
    return Matches(*(np.zeros(0, dtype=np.int64) for _ in Matches._fields))
