"""A dictionary with the model or models that it reads: what indices and pages are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sae_vis.config import IndexConfig
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attention import AttentionAttribution, NoAttention
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.effects.probes import Probes, as_probes
from sae_vis.effects.reference import Reference
from sae_vis.effects.wiring import Wiring, Write, in_order
from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.models.base import HookPoint, LanguageModel, RunnableModel
from sae_vis.models.joint import JointModel
from sae_vis.neutral import all_neutrally
from sae_vis.saes.base import Dictionary, Endpoint

Names = str | Sequence[str] | None


@all_neutrally
@dataclass(frozen=True, kw_only=True)
class ModelAndSae:
    """A model and a dictionary of features at one of its hook points.

    Attributes:
        model: the language model, adapted (`sae_vis.models.loading.load_model`).
        sae: the dictionary (`sae_vis.saes.saelens_format.load_sae`).
        hook: hook name or module path; None: where the dictionary says it reads. Of a crosscoder one name for all
            places, or one for each.
        hook_out: where a transcoder writes, in the same form; None: where it says.
        other_models: models 1, 2, … of a crosscoder that reads several, on the same tokens; `model` is model 0.
        effects_model: number of the model on whose logits and losses effects are measured.

    Raises:
        InputError: another number of models than the dictionary reads, or no such ``effects_model``.
    """

    model: LanguageModel
    sae: Dictionary
    hook: Names = None
    hook_out: Names = None
    other_models: tuple[LanguageModel, ...] = ()
    effects_model: int = 0

    def __post_init__(self) -> None:
        """The dictionary must read the models that there are."""
        n = 1 + len(self.other_models)
        wanted = 1 + max(end.model for end in (*self.sae.reads, *self.sae.writes))
        if wanted != n:
            raise InputError(
                f"the dictionary reads {wanted} {'model' if wanted == 1 else 'models'}, but {n} "
                f"{'is' if n == 1 else 'are'} given: give the others as other_models=, in the dictionary's order"
            )
        if not 0 <= self.effects_model < n:
            raise InputError(f"effects_model is {self.effects_model}; there are {n} models, 0 to {n - 1}")

    # Where it reads

    @property
    def hook_name(self) -> str:
        """The hook point's name. Raises `InputError` if neither the user nor the checkpoint names one."""
        return self.read.name if self._reads_several else self._named(self.sae.reads, self.hook, "hook")[0]

    @property
    def read(self) -> HookPoint:
        """Where the dictionary reads; several places as one."""
        reader = self.reader
        return reader.hook if isinstance(reader, JointModel) else reader.hook_point(self.hook_name)

    @property
    def reader(self) -> LanguageModel:
        """What gives the activations that are encoded: the model, or all of them at all places."""
        if not self._reads_several:
            return self.model
        names = self._named(self.sae.reads, self.hook, "hook")
        ends = zip(self.sae.reads, names, strict=True)
        return JointModel(self._models, [(end.model, self._models[end.model].hook_point(name)) for end, name in ends])

    @property
    def _reads_several(self) -> bool:
        return len(self.sae.reads) > 1

    @property
    def _models(self) -> tuple[LanguageModel, ...]:
        return (self.model, *self.other_models)

    def _named(self, ends: Sequence[Endpoint], given: Names, option: str) -> list[str]:
        names: list[str | None] = [end.hook_name for end in ends]
        if given is not None:
            names = [given] * len(ends) if isinstance(given, str) else list(given)
        if len(names) != len(ends):
            raise InputError(f"{option}= names {len(names)} places, but the dictionary has {len(ends)} there")
        found = [name for name in names if isinstance(name, str)]
        if len(found) < len(ends):
            raise InputError(
                "the SAE's checkpoint names no hook point; give one, such as hook='blocks.8.hook_resid_post'"
            )
        return found

    # Where it writes

    @property
    def elsewhere(self) -> bool:
        """Whether the dictionary writes at another place than it reads."""
        return self.hook_out is not None or self.sae.writes_elsewhere

    @property
    def measured(self) -> LanguageModel:
        """The model that effects are measured on."""
        return self._models[self.effects_model]

    @property
    def all_writes(self) -> list[tuple[int, Write]]:
        """Number of the model and place of everything that is written, in the decoder's order; () if not known."""
        ends = self.sae.writes
        if self.elsewhere and self.hook_out is None and any(end.hook_name is None for end in ends):
            return []
        names = self._named(ends, self.hook_out if self.elsewhere else self.hook, "hook_out")
        found, start = [], 0
        for end, name in zip(ends, names, strict=True):
            hook = self._models[end.model].hook_point(name)
            found.append((end.model, Write(hook=hook, columns=slice(start, start + end.d))))
            start += end.d
        return found

    @property
    def writes(self) -> tuple[Write, ...]:
        """Where the dictionary writes in the model that effects are measured on; none where nobody says where."""
        return in_order([write for number, write in self.all_writes if number == self.effects_model])

    @property
    def wiring(self) -> Wiring:
        """Where it reads and writes. Raises `InputError` where it writes elsewhere and nobody says where."""
        writes = self.writes
        if not writes:
            raise InputError(
                f"this dictionary reads at {self.hook_name!r} and writes elsewhere, but its checkpoint does not say "
                "where: give hook_out=, such as ModelAndSae(…, hook_out='blocks.8.hook_mlp_out')"
            )
        return Wiring(reader=self.reader, read=self.read, writes=writes)

    # For the manifest

    @property
    def places_read(self) -> tuple[dict[str, Any], ...]:
        """Where a dictionary reads that does so at several places, as `Provenance.reads`."""
        if not self._reads_several:
            return ()
        names = self._named(self.sae.reads, self.hook, "hook")
        hooks = [self._models[end.model].hook_point(name) for end, name in zip(self.sae.reads, names, strict=True)]
        return tuple(_told(end.model, hook) for end, hook in zip(self.sae.reads, hooks, strict=True))

    @property
    def places_written(self) -> tuple[dict[str, Any], ...]:
        """Where a dictionary writes that does so elsewhere or at several places, as `Provenance.writes`."""
        several = len(self.sae.writes) > 1
        if not self.elsewhere and not several:
            return ()
        told = [_told(number, write.hook) for number, write in self.all_writes]
        if self.other_models:
            told = [{**one, "measured": one["model"] == self.effects_model} for one in told]
        return tuple(told)

    # What it does

    def lens(self, config: IndexConfig) -> LogitLens | None:
        """The logit lens of the dictionary's features.

        Args:
            config: settings of the index.

        Returns:
            The lens; None where the way to the residual stream is not known.
        """
        if not self._leads_to_logits or not self.wiring.one_way(self.measured):
            return None
        return LogitLens(self.measured, self.sae, self.wiring, n_tokens=config.logit_tokens, n_bins=config.logits_bins)

    def place_lenses(self, config: IndexConfig) -> tuple[LogitLens | None, ...]:
        """The logit lens of the decoder directions at each place alone.

        None where the way to the logits is not known; empty for a dictionary that writes at one place.

        Args:
            config: settings of the index.

        Returns:
            A lens for each place written, in the decoder's order.
        """
        if len(self.sae.writes) < 2:
            return ()
        made: dict[int, LogitLens] = {}
        return tuple(self._place_lens(number, write, config, made) for number, write in self.all_writes)

    def _place_lens(
        self, number: int, write: Write, config: IndexConfig, made: dict[int, LogitLens]
    ) -> LogitLens | None:
        if write.hook.site == "other" or not self._ends_in_logits:
            return None
        model, alone = self._models[number], Wiring(reader=self.model, read=write.hook, writes=(write,))
        if number in made:
            return made[number].of(alone)
        made[number] = LogitLens(model, self.sae, alone, n_tokens=config.logit_tokens, n_bins=config.logits_bins)
        return made[number]

    def direct_effects(self, reference: Reference | None = None) -> DirectEffects | None:
        """Direct effects of the dictionary's features.

        Args:
            reference: what the loss is taken against; None: the next token.

        Returns:
            What computes them; None where the way to the logits is not known.
        """
        if not self._leads_to_logits or not isinstance(self.measured, RunnableModel):
            return None
        return DirectEffects(self.measured, self.sae, self.wiring, reference)

    def probes(self, given: Sequence[object], names: Mapping[int, str] | None = None) -> Probes:
        """Linear probes beside the dictionary's features.

        Args:
            given: `LinearProbe` objects, or tuples ``(side, name, tensor)``.
            names: of the classes, where the probes bring none.

        Returns:
            What computes the dot products.

        Raises:
            InputError: probes that make no sense, or don't fit model and dictionary.
        """
        wiring = self.wiring if self.writes else None
        return Probes(as_probes(given, names), self.measured, self.sae, self.read, wiring)

    def attribution(self) -> AttentionAttribution | NoAttention:
        """Attribution of activations to source tokens and heads, for an attention SAE.

        Returns:
            What computes it, or why there is none.
        """
        if self._reads_several or not isinstance(self.model, RunnableModel):
            return NoAttention(
                "only a dictionary that reads one place of a model that can be run has them", unexpected=False
            )
        hook = self.read
        try:
            return AttentionAttribution(self.model, self.sae, hook)
        except InputError as error:
            return NoAttention(str(error), unexpected=hook.site in {"heads", "attn_out"})

    @property
    def _leads_to_logits(self) -> bool:
        return (
            len(self.writes) > 0 and all(write.hook.site != "other" for write in self.writes) and self._ends_in_logits
        )

    @property
    def _ends_in_logits(self) -> bool:
        """Whether the way from the residual stream to the logits is known, of a model that can be asked."""
        if isinstance(self.measured, RunnableModel):
            try:
                self.measured.final_residual  # noqa: B018  asked for what it raises
            except UnknownWiringError:
                return False
        return True


def _told(model: int, hook: HookPoint) -> dict[str, Any]:
    return {"name": hook.name, "place": hook.place, "model": model}
