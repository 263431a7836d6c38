"""The commands that write pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sae_vis.cli.loaded import dtype_of, known_parts, load_parts, read_layout
from sae_vis.cli.options import (
    BothPartsOptions,
    ChosenOfAOptions,
    ChosenOptions,
    CompareOptions,
    ComputeOptions,
    FeatureOptions,
    IndexAt,
    Layout,
    Out,
    PartsOptions,
    PromptOptions,
    ReadersOptions,
    SecondOptions,
)
from sae_vis.cli.said import progress_bars, say, say_what_lacks

if TYPE_CHECKING:
    from sae_vis.api import Index, SecondIndex
    from sae_vis.parts import ModelAndSae


def feature(
    index: IndexAt,
    chosen: ChosenOptions,
    parts: PartsOptions,
    settings: FeatureOptions,
    compute: ComputeOptions,
    second: SecondOptions,
    out: Out = Path("features.html"),
    layout: Layout = None,
) -> None:
    """Write a page of features from an index: one HTML file that works offline."""
    from sae_vis.api import ComputeSettings, FeatureSettings, Index, save_feature_page
    from sae_vis.deliver.output import output_file

    _require_one_choice(chosen, parts)
    output_file(out)
    opened = Index.open(index)
    made = _parts_of(opened, parts)
    features, rule = _features(opened, chosen)
    with progress_bars() as progress:
        report = save_feature_page(
            opened,
            out,
            features=features,
            parts=made,
            layout=read_layout(layout),
            settings=FeatureSettings(title=settings.title, selection=settings.selection or rule, first=settings.first),
            compute=ComputeSettings(effects=compute.effects, seed=compute.seed, progress=progress),
            second=_second(second),
        )
    say(f"wrote {report.path} ({report.sizes})")
    if made is None:
        say_what_lacks(opened)


def _require_one_choice(chosen: ChosenOptions, parts: PartsOptions) -> None:
    """Raise `InputError` for options that exclude or need each other."""
    from sae_vis.errors import InputError

    if (parts.model is None) != (parts.sae is None):
        raise InputError("--model and --sae belong together: give both, or none")
    if chosen.label is not None and chosen.most_uneven is None:
        raise InputError("--label says which label of --most-uneven LABELLING: give both")
    if chosen.ids and chosen.most_uneven is not None:
        raise InputError("features are named by number and by --most-uneven: give one of the two")


def _parts_of(index: Index, given: PartsOptions) -> ModelAndSae | None:
    if given.model is None or given.sae is None:
        return None
    return load_parts(given.model, given.sae, (given.hook, given.hook_out), given.dtype or dtype_of(index))


def _features(index: Index, chosen: ChosenOptions) -> tuple[list[int] | int | None, str | None]:
    """The features of the page, and the rule that chose them where it is not that of their number."""
    from sae_vis.views.labels import most_uneven

    count = None if chosen.every else chosen.count
    if chosen.most_uneven is not None:
        return most_uneven(index, chosen.most_uneven, count, label=chosen.label)
    return chosen.ids or count, None


def _second(given: SecondOptions) -> SecondIndex | None:
    """The second index; raises `InputError` for addresses of its pages without it."""
    from sae_vis.api import Index, SecondIndex
    from sae_vis.errors import InputError

    if given.index_b is not None:
        opened = Index.open(given.index_b)
        return SecondIndex(index_b=opened, b_page=given.b_page, compare_page=given.compare_page)
    for name, address in (("b-page", given.b_page), ("compare-page", given.compare_page)):
        if address is not None:
            raise InputError(f"--{name} is {address!r}, but there is no second index: give --index-b, too")
    return None


def prompt(
    index: IndexAt,
    text: Annotated[str, typer.Argument(help="the prompt")],
    readers: ReadersOptions,
    settings: PromptOptions,
    out: Out = Path("prompt.html"),
    layout: Layout = None,
) -> None:
    """Write a page about one text, which ranks the features that matter at every token by several metrics."""
    from sae_vis.api import ComputeSettings, Index, save_prompt_page, single_token
    from sae_vis.deliver.output import output_file
    from sae_vis.models.loading import load_tokenizer
    from sae_vis.views.prompt import PromptSettings

    output_file(out)
    opened = Index.open(index)
    model, sae = known_parts(opened, index, readers.model, readers.sae)
    tokenizer = load_tokenizer(model)
    made = PromptSettings(
        metric=settings.metric,
        seq_pos=settings.seq_pos,
        num_top_features=settings.num_top_features,
        max_density=settings.max_density,
        logit_tokens=tuple(single_token(word, tokenizer) for word in settings.logit_tokens or ()),
        full_effects=settings.full_effects,
        compare=settings.compare,
        title=settings.title,
    )
    parts = load_parts(model, sae, (readers.hook, readers.hook_out), readers.dtype or dtype_of(opened))
    with progress_bars() as progress:
        report = save_prompt_page(
            opened,
            out,
            text,
            parts=parts,
            tokenizer=tokenizer,
            layout=read_layout(layout),
            settings=made,
            compute=ComputeSettings(progress=progress),
        )
    say(f"wrote {report.path} ({report.sizes})")


def compare(
    index_a: Annotated[str, typer.Argument(help="index directory of the first SAE (A)")],
    index_b: Annotated[str, typer.Argument(help="index directory of the second SAE (B), over the same text")],
    chosen: ChosenOfAOptions,
    parts: BothPartsOptions,
    settings: CompareOptions,
    compute: ComputeOptions,
    out: Out = Path("compare.html"),
    layout: Layout = None,
) -> None:
    """Write a page that compares two SAEs indexed over the same text: nearest features, splits, merges, what is new."""
    from sae_vis.api import ComputeSettings, Index, save_compare_page
    from sae_vis.deliver.output import output_file
    from sae_vis.errors import InputError
    from sae_vis.views.compare import CompareSettings

    given = (parts.model, parts.sae_a, parts.sae_b)
    if any(given) and not all(given):
        raise InputError("--model, --sae-a and --sae-b belong together: give all three, or none")
    output_file(out)
    opened_a, opened_b = Index.open(index_a), Index.open(index_b)
    parts_a, parts_b = (
        _parts_of(opened, PartsOptions(model=parts.model, sae=sae, dtype=parts.dtype))
        for sae, opened in ((parts.sae_a, opened_a), (parts.sae_b, opened_b))
    )
    with progress_bars() as progress:
        report = save_compare_page(
            opened_a,
            opened_b,
            out,
            features=chosen.ids or (None if chosen.every else chosen.count),
            parts=(parts_a, parts_b),
            layout=read_layout(layout),
            settings=CompareSettings(
                partners=settings.partners,
                a_page=settings.a_page,
                b_page=settings.b_page,
                title=settings.title,
                first=settings.first,
            ),
            compute=ComputeSettings(effects=compute.effects, seed=compute.seed, progress=progress),
        )
    say(f"wrote {report.path} ({report.sizes} of A)")
