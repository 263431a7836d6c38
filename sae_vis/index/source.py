"""What an index is made from: tokens, and their sparse codes batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from sae_vis.config import IndexConfig, NeuronCorrelations
from sae_vis.corpus.labels import labels_fingerprint
from sae_vis.corpus.text import TokenText
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import InputError
from sae_vis.index import shards
from sae_vis.index.by_label import labelling_facts
from sae_vis.index.feature_table import FeatureColumns
from sae_vis.index.manifest import Provenance
from sae_vis.index.shards import CodedBatch, coded_batches, coded_batches_of
from sae_vis.models.base import HookPoint, LanguageModel
from sae_vis.saes.base import Dictionary


class CodeSource(ABC):
    """Tokens with their codes: what a build asks of its source, whatever gives the activations.

    Attributes:
        corpus: the tokens and their mask.
        text: what the token ids spell, kept with the index so that pages need no tokenizer; None: ids are shown.
    """

    corpus: Corpus
    text: TokenText | None

    @property
    @abstractmethod
    def d_sae(self) -> int:
        """Number of features."""

    @property
    def beside(self) -> bool:
        """Whether a device makes the codes that works while this process does something else."""
        return False

    @property
    @abstractmethod
    def decoder(self) -> Tensor | None:
        """Decoder directions ``[d_sae, d_out]``, or None where there are none."""

    @property
    @abstractmethod
    def centre(self) -> Tensor:
        """A constant ``[d_in]`` near the mean of what is encoded; asked for only where `has_neurons`."""

    @abstractmethod
    def has_neurons(self, wanted: NeuronCorrelations) -> bool:
        """Whether correlations with neurons, the coordinates of what is encoded, are to be computed."""

    @abstractmethod
    def batches(self, runs: list[tuple[int, int]]) -> Iterator[CodedBatch]:
        """Codes of the unmasked tokens of runs of sequences, which are in corpus order."""

    @abstractmethod
    def check(self) -> None:
        """Raise `InputError` where the parts don't fit together."""

    @abstractmethod
    def provenance(self, config: IndexConfig, columns: Sequence[FeatureColumns] = ()) -> Provenance:
        """What the manifest says about it, with the statistics that ``columns`` add."""


@dataclass(frozen=True, kw_only=True)
class Source(CodeSource):
    """What an index is made from, ordinarily: a model that reads the corpus, and a dictionary.

    Attributes:
        corpus: the tokens and their mask.
        model: the language model.
        sae: the dictionary.
        hook: where the model is read.
        text: what the token ids spell, kept with the index so that pages need no tokenizer; None: ids are shown.
        writes: where the dictionary writes, as `Provenance.writes`; empty for one that writes where it reads.
        reads: where it reads, as `Provenance.reads`; empty for one place.
    """

    corpus: Corpus
    model: LanguageModel
    sae: Dictionary
    hook: HookPoint
    text: TokenText | None = None
    writes: tuple[dict[str, Any], ...] = ()
    reads: tuple[dict[str, Any], ...] = ()

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.sae.d_sae

    @property
    def beside(self) -> bool:
        """Whether the dictionary is on such a device."""
        return self.sae.decoder.device.type in shards.ASYNCHRONOUS

    @property
    def decoder(self) -> Tensor | None:
        """The dictionary's directions; None where they are for several places: no one numbering of neurons fits."""
        return self.sae.decoder if len(self.sae.writes) == 1 else None

    @property
    def centre(self) -> Tensor:
        """The dictionary's constant."""
        return self.sae.centre

    def has_neurons(self, wanted: NeuronCorrelations) -> bool:
        """Whether the hook point has a privileged basis, where that is asked for."""
        return wanted == "always" or (wanted == "privileged" and self.hook.privileged)

    def batches(self, runs: list[tuple[int, int]]) -> Iterator[CodedBatch]:
        """Model, up to the hook, and dictionary over runs of sequences."""
        return coded_batches(self.corpus, self.model, self.sae, self.hook, runs)

    def check(self) -> None:
        """Raise `InputError` where the parts don't fit together."""
        if self.sae.d_in != self.hook.d:
            raise InputError(
                f"the SAE reads vectors of width {self.sae.d_in}, but the model's activations at {self.hook.name!r} "
                f"have width {self.hook.d}; check model and hook point (the SAE names {self.sae.hook_name or 'none'})"
            )
        self.corpus.check_vocabulary(self.model.n_vocab)
        self._check_placeholders()

    def _check_placeholders(self) -> None:
        for number, name in self.model.placeholders.items():
            n = int(np.count_nonzero(self.corpus.counted & (self.corpus.tokens == number)))
            if n:
                raise InputError(
                    f"{n:,} tokens have the id {number} ({name}): they stand for what is not text, and the model reads "
                    f"text alone here; leave them out of the statistics: MaskConfig(ids=({number},))"
                )

    def provenance(self, config: IndexConfig, columns: Sequence[FeatureColumns] = ()) -> Provenance:
        """What the manifest says about it, with the statistics that ``columns`` add."""
        return Provenance(
            model={**self.model.describe(), "fingerprint": self.model.fingerprint()},
            sae={**self.sae.describe(), "fingerprint": self.sae.fingerprint()},
            hook=_told(self.hook),
            corpus=corpus_facts(self.corpus),
            settings=settings_facts(config, self.text, columns),
            writes=list(self.writes),
            reads=list(self.reads),
        )


def batches_of(sources: Sequence[CodeSource], runs: list[tuple[int, int]]) -> Iterator[tuple[CodedBatch, ...]]:
    """Codes of several sources over the same runs: of one, or of dictionaries that read one model, in one pass."""
    if len(sources) == 1:
        return ((batch,) for batch in sources[0].batches(runs))
    ordinary = [source for source in sources if isinstance(source, Source)]
    readers = [(source.sae, source.hook) for source in ordinary]
    return coded_batches_of(ordinary[0].corpus, ordinary[0].model, readers, runs)


def corpus_facts(corpus: Corpus) -> dict[str, Any]:
    """What the manifest says about a corpus."""
    labels = {
        "labellings": labelling_facts(corpus.labellings, corpus.documents, corpus.counted),
        "labels_fingerprint": labels_fingerprint(corpus.labellings),
    }
    return {
        "source": corpus.source,
        "n_sequences": corpus.n_seqs,
        "n_tokens": corpus.n_tokens,
        "n_counted": corpus.n_counted,
        "mask": corpus.mask.describe(),
        "mask_settings": asdict(corpus.mask),
        "fingerprint": corpus.fingerprint(),
        **(labels if corpus.labellings else {}),
    }


def settings_facts(config: IndexConfig, text: TokenText | None, columns: Sequence[FeatureColumns]) -> dict[str, Any]:
    """What the manifest says about settings that change a result."""
    return {
        **config.content,
        "token_text": text is not None,
        "statistics": [type(statistic).__name__ for statistic in columns],
    }


def _told(hook: HookPoint) -> dict[str, Any]:
    """A hook point as the manifest has it; its scale only where there is one."""
    facts = asdict(hook)
    return {name: value for name, value in facts.items() if name != "scale" or value != 1.0}
