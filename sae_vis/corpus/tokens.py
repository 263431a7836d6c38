"""The token source: sequences of token ids, flat, with offsets, document starts and the mask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sae_vis.checks import a_text, shown, whole_number
from sae_vis.corpus.labels import DocumentLabels, LabelledText, Labelling, LabelValues, labellings_of_rows
from sae_vis.corpus.mask import MaskConfig, Positions
from sae_vis.corpus.rows import Cut, Rows, Tokens, attended, attention_rows, token_rows, without_left_padding
from sae_vis.corpus.texts import checked_texts, documents_of
from sae_vis.errors import InputError
from sae_vis.moved import Moved, moved

TOKENIZE_BATCH = 256  # documents handed to the tokenizer at once


class TokenBatch(NamedTuple):
    """Some consecutive sequences as a rectangle.

    Attributes:
        tokens: int64 ``[n_seqs, longest]``; rows shorter than the longest are filled up with their own last token.
        counted: bool ``[n_seqs, longest]``: unmasked tokens (never the filling).
        positions: int64 ``[n_counted]``: flat corpus position of each counted token, ascending.
    """

    tokens: torch.Tensor
    counted: torch.Tensor
    positions: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """Sequences of token ids with one mask.

    Attributes:
        tokens: int32 ``[n_tokens]``, all sequences end to end.
        offsets: int64 ``[n_seqs + 1]``: sequence ``i`` is ``tokens[offsets[i]:offsets[i + 1]]``.
        documents: int64 ``[n_docs + 1]`` flat position where each document starts, and the end.
        counted: bool ``[n_tokens]``, True where a token counts.
        mask: what made ``counted``.
        source: where the text came from, in words.
        labellings: ways to tell parts of the text apart, such as by language.

    Raises:
        InputError: no token at all, or none that the mask leaves.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    documents: NDArray[np.int64]
    mask: MaskConfig
    source: str = "tokens"
    labellings: tuple[Labelling, ...] = ()
    counted: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Refuse an empty corpus; make the mask."""
        source = a_text(self.source, "source")  # made of names of files, which may hold bytes that are not text
        object.__setattr__(self, "source", source.encode("utf-8", "replace").decode("utf-8"))
        if self.tokens.size == 0:
            raise InputError("the corpus is empty: it holds no token; give at least one non-empty text or sequence")
        counted = self.mask.counted(self.tokens, self.offsets)
        if not counted.any():
            raise InputError(
                f"the mask leaves no token of {self.tokens.size:,} ({self.mask.describe()}); "
                "leave fewer ids or positions out"
            )
        object.__setattr__(self, "counted", counted)

    @classmethod
    def from_tokens(
        cls,
        tokens: Tokens,
        mask: MaskConfig | None = None,
        *,
        attention_mask: object = None,
        padding: Literal["cut", "keep"] = "cut",
        source: str = "tokens",
        labels: LabelValues | None = None,
    ) -> Corpus:
        """A corpus of rows of token ids, one document to a row.

        A row is a sequence that the model reads from its first token on, so padding at its left is cut off: activations
        and positions are those without it. Padding at the right changes no activation and stays where ``mask.pad_id``
        names it; what an attention mask leaves out is cut off on both sides.

        Args:
            tokens: ids ``[n_seqs, seq_len]``; rows of unequal lengths, each a sequence; or what a tokenizer returns,
                ``input_ids`` with or without ``attention_mask``.
            mask: what is left out; None: nothing.
            attention_mask: as the tokens, 0 where there is padding; None: that of the tokenizer's output, or padding
                is the tokens of ``mask.pad_id``. Where this is BOS, too, one of them that begins every row is BOS.
            padding: ``keep`` leaves rows as they are, for activations that were computed elsewhere.
            source: where the tokens came from, in words.
            labels: of rows ``[n_seqs]``, or of tokens ``[n_seqs, seq_len]``, by labelling, such as
                ``{"language": ["de", "fr", None]}``.

        Returns:
            The corpus.

        Raises:
            InputError: no rows of integers, negative ids, an empty row, padding between tokens; labels that don't fit.
        """
        mask = mask or MaskConfig()
        rows, attention = token_rows(tokens)
        if attention_mask is not None:
            if attention is not None:
                raise InputError("the tokens come with an attention_mask and attention_mask= is given, too; give one")
            attention = attention_rows(attention_mask, rows)
        cut = _cut(rows, attention, mask, padding)
        kept = cut.of(rows)
        return cls(
            tokens=np.ascontiguousarray(kept.values.astype(np.int32)),
            offsets=kept.offsets,
            documents=kept.offsets,
            mask=mask,
            source=source,
            labellings=labellings_of_rows(labels or {}, rows.lengths, *cut),
        )

    @classmethod
    @moved(Moved("mask", None, ("seqpos_slice",)))
    def from_texts(
        cls,
        texts: Iterable[str | LabelledText],
        tokenizer: Any,  # noqa: ANN401  a transformers tokenizer; typing it would import transformers
        *,
        seq_len: int,
        rows: Literal["packed", "document"] = "packed",
        prepend_bos: bool = True,
        mask: MaskConfig | Positions | None = None,
        source: str = "texts",
        labels: LabelValues | None = None,
    ) -> Corpus:
        """Tokenize texts, and cut them into sequences.

        Args:
            texts: documents, with labels of their own or without.
            tokenizer: a `transformers` tokenizer.
            seq_len: tokens in a sequence, BOS included.
            rows: ``packed``: documents end to end with the end-of-sequence token between them, cut into full
                sequences (the rest that fills none is kept as a shorter last one); ``document``: each document starts
                a sequence of its own and goes on in further ones.
            prepend_bos: start every sequence with the BOS token, where the tokenizer has one.
            mask: what is left out; None: BOS (if prepended), padding, the document separator. Positions that count, as
                a slice's ends such as ``(8, None)``: these are left out and all other positions.
            source: where the text came from, in words.
            labels: of documents that have none of their own: one value for each, by labelling, such as
                ``{"language": ["de", "fr", None]}``. In packed rows every token keeps the label of its own document.

        Returns:
            The corpus.

        Raises:
            InputError: something else than texts, no text at all, a sequence length too short for a token, labels that
                don't fit.
        """
        _check_options(tokenizer, rows)
        bos = tokenizer.bos_token_id if prepend_bos else None
        body = whole_number(seq_len, "seq_len") - (bos is not None)
        if body < 1:
            raise InputError(f"seq_len is {seq_len}; it must leave room for at least one token beside BOS")
        collected = DocumentLabels(labels)
        every = list(_tokenized(checked_texts(collected.texts(documents_of(texts))), tokenizer))
        kept = [number for number, ids in enumerate(every) if len(ids)]
        pieces = [every[number] for number in kept]
        if rows == "packed":
            flat, offsets, documents = _pack(pieces, body, bos, tokenizer.eos_token_id)
        else:
            flat, offsets, documents = _one_to_a_row(pieces, body, bos)
        label_starts = documents[:-1] if bos is None else starts_with_bos(documents, offsets)
        return cls(
            tokens=flat,
            offsets=offsets,
            documents=documents,
            mask=mask if isinstance(mask, MaskConfig) else _mask_of(tokenizer, bos, rows, mask or (None, None)),
            source=source,
            labellings=collected.labellings(kept, label_starts),
        )

    @property
    def n_seqs(self) -> int:
        """Number of sequences."""
        return len(self.offsets) - 1

    @property
    def n_tokens(self) -> int:
        """Number of tokens, masked ones included."""
        return len(self.tokens)

    @property
    def n_counted(self) -> int:
        """Number of unmasked tokens."""
        return int(np.count_nonzero(self.counted))

    def check_vocabulary(self, n_vocab: int) -> None:
        """Check that every token id is within a model's vocabulary.

        Args:
            n_vocab: ids that there are.

        Raises:
            InputError: an id is not below ``n_vocab``; names the id and its place.
        """
        largest = int(self.tokens.max())
        if largest >= n_vocab:
            at = int(self.tokens.argmax())
            seq = int(np.searchsorted(self.offsets, at, side="right")) - 1
            raise InputError(
                f"token id {largest} (sequence {seq}, position {at - int(self.offsets[seq])}) is outside the model's "
                f"vocabulary of {n_vocab:,}; were these tokens made by another model's tokenizer?"
            )

    def batch(self, start: int, stop: int) -> TokenBatch:
        """Some sequences as a rectangle.

        Args:
            start: the first sequence.
            stop: the one after the last.

        Returns:
            Tokens, which of them count, and their corpus positions.
        """
        offsets = self.offsets[start : stop + 1]
        lengths = np.diff(offsets)
        columns = np.arange(int(lengths.max()))
        flat = offsets[:-1, None] + np.minimum(columns[None, :], lengths[:, None] - 1)
        counted = self.counted[flat] & (columns[None, :] < lengths[:, None])
        return TokenBatch(
            torch.from_numpy(self.tokens[flat].astype(np.int64)), torch.from_numpy(counted), flat[counted]
        )

    def fingerprint(self) -> str:
        """A hash of tokens, sequence and document offsets and the mask.

        Returns:
            ``sha256:…``.
        """
        digest = hashlib.sha256()
        for array in (self.tokens, self.offsets, self.documents, np.packbits(self.counted)):
            digest.update(str((array.dtype.str, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return f"sha256:{digest.hexdigest()}"


def read_document(path: str | Path) -> str:
    """The text of a UTF-8 file; raises `InputError`, naming the file, if it is none."""
    if Path(path).is_dir():
        raise InputError(f"{path} is a folder, expected a text file; give the files in it")
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start:,}); convert it first"
        ) from error


def read_files(paths: Sequence[Path], labels: Sequence[str] = ()) -> Iterator[str | LabelledText]:
    """The texts of files, labelled by the file's name where the labelling ``file`` is asked for.

    Raises:
        InputError: a file that is not UTF-8, or another labelling, which files don't have.
    """
    if set(labels) - {"file"}:
        other = next(name for name in labels if name != "file")
        raise InputError(f"text files have no column {other!r}; label them by 'file', their names, or index a dataset")
    for path in paths:
        text = read_document(path)
        yield LabelledText(text, {"file": path.name}) if labels else text


def _check_options(tokenizer: object, rows: object) -> None:
    if not callable(tokenizer) or not hasattr(tokenizer, "bos_token_id"):
        raise InputError(f"tokenizer is {shown(tokenizer)}, expected a transformers tokenizer, as load_tokenizer gives")
    if rows not in ("packed", "document"):
        raise InputError(f"rows is {shown(rows)}, expected 'packed' or 'document'")


def _mask_of(
    tokenizer: Any,  # noqa: ANN401
    bos: int | None,
    rows: str,
    positions: Positions,
) -> MaskConfig:
    """The mask of texts for which none was given."""
    separator = (tokenizer.eos_token_id,) if rows == "packed" and tokenizer.eos_token_id is not None else ()
    ids = tuple(i for i in separator if i != bos)
    return MaskConfig(bos_id=bos, pad_id=tokenizer.pad_token_id, ids=ids, seqpos_slice=positions)


def _cut(rows: Rows, attention: Rows | None, mask: MaskConfig, padding: str) -> Cut:
    """What is kept of each row."""
    if padding not in ("cut", "keep"):
        raise InputError(f"padding is {shown(padding)}, expected 'cut' or 'keep'")
    if padding == "keep":
        if attention is not None:
            raise InputError("padding='keep' keeps every token, but there is an attention_mask, too; give one")
        return Cut(np.zeros(len(rows.lengths), dtype=np.int64), rows.lengths)
    return without_left_padding(rows, mask) if attention is None else attended(attention)


def _tokenized(texts: Iterable[str], tokenizer: Any) -> Iterable[NDArray[np.int32]]:  # noqa: ANN401
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == TOKENIZE_BATCH:
            yield from _encode(batch, tokenizer)
            batch = []
    if batch:
        yield from _encode(batch, tokenizer)


def _encode(batch: Sequence[str], tokenizer: Any) -> Iterable[NDArray[np.int32]]:  # noqa: ANN401
    encoded = tokenizer(list(batch), add_special_tokens=False, verbose=False)["input_ids"]
    return (np.asarray(ids, dtype=np.int32) for ids in encoded)


def _pack(
    pieces: Iterable[NDArray[np.int32]], body: int, bos: int | None, eos: int | None
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    separator = np.array([] if eos is None else [eos], dtype=np.int32)
    parts: list[NDArray[np.int32]] = []
    starts, length = [], 0
    for ids in pieces:
        starts.append(length)
        parts += [ids, separator]
        length += len(ids) + len(separator)
    stream = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    cuts = [*range(0, length, body), length]
    flat, offsets = _with_bos(stream, cuts, bos)
    extra = 0 if bos is None else 1  # each sequence begins with one BOS before the document's own tokens
    documents = [start + extra * (start // body + 1) for start in starts] + [len(flat)]
    return flat, offsets, np.array(documents, dtype=np.int64)


def _one_to_a_row(
    pieces: Iterable[NDArray[np.int32]], body: int, bos: int | None
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    parts: list[NDArray[np.int32]] = []
    cuts: list[int] = []
    first_rows, length = [], 0
    for ids in pieces:
        first_rows.append(len(cuts))
        cuts += range(length, length + len(ids), body)
        parts.append(ids)
        length += len(ids)
    stream = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    flat, offsets = _with_bos(stream, [*cuts, length], bos)
    return flat, offsets, np.append(offsets[np.array(first_rows, dtype=np.int64)], len(flat))


def starts_with_bos(documents: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each document begins with the BOS in front of it, if one stands there, int64 ``[n_docs]``.

    Args:
        documents: int64 ``[n_docs + 1]`` where each document's own first token is, and the end.
        offsets: int64 ``[n_seqs + 1]`` of sequences that all begin with a BOS.
    """
    starts = documents[:-1]
    return np.where(np.isin(starts - 1, offsets[:-1]) & ~np.isin(starts, offsets[:-1]), starts - 1, starts)


def _with_bos(
    stream: NDArray[np.int32], cuts: Sequence[int], bos: int | None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    edges = np.asarray(cuts, dtype=np.int64)
    if bos is None or len(stream) == 0:
        return stream, edges
    return np.insert(stream, edges[:-1], bos).astype(np.int32), edges + np.arange(len(edges))
