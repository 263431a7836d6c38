"""The command that indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sae_vis.cli.index_options import LayerOptions, NewRunOptions, SequenceOptions, TextOptions, WorkerOptions
from sae_vis.cli.loaded import load_layers, load_parts, load_placed
from sae_vis.cli.options import OutAnywhere
from sae_vis.cli.said import progress_bars, say_indices, say_unused_gpu

if TYPE_CHECKING:
    from sae_vis.config import IndexConfig, Ranks, RayWorkers


def index(
    model: Annotated[str, typer.Option(help="Hugging Face model: local path or hub name")],
    sae: Annotated[str, typer.Option(help="SAE: folder, file, hub name (repo:folder), or RELEASE:ID of SAELens")],
    out: OutAnywhere,
    layers: LayerOptions,
    texts: TextOptions,
    run: NewRunOptions,
    sequences: SequenceOptions,
    workers: WorkerOptions,
) -> None:
    """Index every feature of an SAE over text, in one pass. Run the command again to continue an interrupted build."""
    from sae_vis.api import index_features, index_layers
    from sae_vis.corpus.datasets import DatasetConfig, TokenBudget, documents
    from sae_vis.corpus.text import TokenText
    from sae_vis.corpus.tokens import Corpus, read_files
    from sae_vis.errors import InputError
    from sae_vis.models.loading import load_tokenizer

    if bool(texts.text) == (texts.dataset is not None):
        raise InputError("give the text to index as --text FILE or as --dataset NAME, one of the two")
    config = _config(run, workers)
    say_unused_gpu(run.device)
    tokenizer = load_tokenizer(model)
    hook_names = (run.hook, run.hook_out)
    several = load_layers(sae, layers.match, every_layer=layers.every_layer, device=run.device)
    parts = None if several else load_parts(model, sae, hook_names, run.dtype, run.device)
    wanted = DatasetConfig(
        name=texts.dataset or "",
        subset=texts.subset,
        split=texts.split,
        column=texts.column,
        chat=texts.chat,
        labels=tuple(texts.label or ()),
    )
    read = read_files(texts.text, wanted.labels) if texts.text else documents(wanted, tokenizer)
    budget = None if texts.tokens is None else TokenBudget(tokenizer, texts.tokens)
    corpus = Corpus.from_texts(
        read if budget is None else budget.documents(read),
        budget or tokenizer,
        seq_len=sequences.seq_len,
        prepend_bos=sequences.bos,
        mask=(sequences.skip or None, None),
        source=", ".join(path.name for path in texts.text) if texts.text else wanted.source,
    )
    spelled = TokenText.from_tokenizer(tokenizer)
    with progress_bars() as progress:
        if parts is None:
            loaded = load_placed(model, run.dtype, run.device)
            made = index_layers(
                corpus, loaded, several, out, hooks=hook_names, text=spelled, config=config, progress=progress
            )
        else:
            made = {"": index_features(corpus, parts, out, text=spelled, config=config, progress=progress)}
    say_indices(made, out)


def _config(run: NewRunOptions, workers: WorkerOptions) -> IndexConfig:
    """What is kept, and who does the work."""
    from sae_vis.config import IndexConfig

    return IndexConfig(
        acts_dtype=run.acts_dtype,  # type: ignore[arg-type]  # it checks the words itself
        codes=run.codes,
        neuron_correlations=run.neurons,  # type: ignore[arg-type]
        workers=_workers(workers),
    )


def _workers(options: WorkerOptions) -> Ranks | RayWorkers | None:
    """Who does the work."""
    from sae_vis.config import STALL, Ranks, RayWorkers
    from sae_vis.errors import InputError

    stall = STALL if options.stall is None else options.stall
    if options.ray is not None:
        if options.rank is not None or options.world is not None:
            raise InputError("--ray and --rank are two ways to share the work: give one of them")
        return RayWorkers(address=options.ray, stall=stall)
    if (options.rank is None) != (options.world is None):
        raise InputError("--rank and --world belong together: the number of this process, and how many there are")
    if options.rank is None or options.world is None:
        if options.stall is not None:
            raise InputError("--stall is for work that is shared: give --ray, or --rank and --world")
        return None
    return Ranks(rank=options.rank, world=options.world, stall=stall)
