"""What the library claims of a model, tried by running the model and plain hooks: nothing of `sae_vis` decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sae_vis.api import index_features, save_prompt_page
from sae_vis.config import IndexConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.intervention import FullEffects
from sae_vis.errors import InputError, UnknownWiringError
from sae_vis.models.base import HookPoint
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.parts import ModelAndSae
from sae_vis.views.prompt import PromptSettings, PromptSources, prompt_view
from sae_vis.views.sources import ViewSources
from tests.effects.conftest import tiny_sae

METRICS = ("act_size", "loss_effect", "logit_effect", "attribution")
CLAIMS = ("residual stream", "attention", "MLP", "mixer", "heads", "neurons", "logit lens", "direct effect")
CLAIMS += ("full effect", "prompt page")
OUTPUTS = {"attention": "hook_attn_out", "MLP": "hook_mlp_out", "mixer": "hook_mixer_out"}
INNER = {"heads": "attn.hook_z", "neurons": "mlp.hook_post"}
N_TOKENS = 9


@dataclass
class Proved:
    """What was claimed of a model and held.

    Attributes:
        claims: of `CLAIMS` those that hold; for parts of blocks, of how many of the blocks.
        unknown: why what is not claimed is not.
    """

    claims: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def change_first(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The first tensor in what a module takes or gives, changed."""
    if isinstance(value, Tensor):
        return change(value)
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    key = next(key for key, item in items if isinstance(item, Tensor))
    changed = {name: change(item) if name == key else item for name, item in items}
    if isinstance(value, dict):
        return type(value)(**changed) if type(value) is not dict else changed
    return type(value)(*changed.values()) if hasattr(value, "_fields") else type(value)(changed.values())


@contextmanager
def changed(module: nn.Module, side: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """A plain hook that changes what a module takes or gives."""

    def before(_: nn.Module, args: tuple, kwargs: dict) -> tuple:
        if any(isinstance(one, Tensor) for one in args):
            return change_first(args, change), kwargs
        return args, change_first(kwargs, change)

    def after(_: nn.Module, __: tuple, output: Any) -> Any:
        return change_first(output, change)

    if side == "input":
        handle = module.register_forward_pre_hook(before, with_kwargs=True)
    else:
        handle = module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def seen(model: nn.Module, tokens: Tensor, places: list[tuple[str, str]]) -> list[Tensor]:
    """What modules take or give in a run of the model."""
    found: dict[int, Tensor] = {}

    def keeping(number: int) -> Callable[[Tensor], Tensor]:
        def keep(x: Tensor) -> Tensor:
            found[number] = x.detach().clone()
            return x

        return keep

    with ExitStack() as on:
        for number, (path, side) in enumerate(places):
            on.enter_context(changed(model.get_submodule(path), side, keeping(number)))
        model(input_ids=tokens, use_cache=False)
    return [found[number].reshape(*tokens.shape, -1) for number in range(len(places))]


class Trial:
    """One model, some tokens, and what the library says of them.

    Args:
        adapter: the model as the library has it.
        tokens: ``[1, n_tokens]``.
    """

    def __init__(self, adapter: HuggingFaceModel, tokens: Tensor) -> None:
        self.adapter, self.model, self.tokens = adapter, adapter.model, tokens
        self.blocks = adapter.anatomy.blocks

    def prove(self, folder: Path) -> Proved:
        """Try every claim. Raises `AssertionError` for one that does not hold."""
        proved = Proved(unknown=list(dict.fromkeys(self.adapter.anatomy.unknown.values())))
        self._stream(proved)
        self._parts(proved)
        site = self._site()
        if site is None:
            return proved
        if self._lens(proved) and site.site == "resid":
            self._direct(proved, site)
        if self._has_logits():
            self._full(proved, site)
        self._prompt(proved, site, folder)
        return proved

    def _site(self) -> HookPoint | None:
        """A place in the middle of the model."""
        return (
            None
            if not self.blocks
            else self.adapter.hook_point(f"blocks.{self.blocks[len(self.blocks) // 2].layer}.hook_resid_post")
        )

    def _end(self) -> tuple[str, str]:
        """Where the residual stream ends: the final norm's input, or the last block's output."""
        ending = self.adapter.anatomy.ending
        return (self.blocks[-1].path, "output") if ending is None else (ending.final_norm, "input")

    def _stream(self, proved: Proved) -> None:
        """A change at a block's output arrives at the end of the stream as the scale says, all else held as it was."""
        held = 0
        for block in self.blocks:
            hook = self.adapter.hook_point(f"blocks.{block.layer}.hook_resid_post")
            assert torch.equal(
                self.adapter.activations(self.tokens, hook), seen(self.model, self.tokens, [(block.path, "output")])[0]
            )
            if hook.site == "resid":
                self._arrives(hook, None)
                held += 1
        if held:
            proved.claims["residual stream"] = self._share(held)

    def _share(self, n: int) -> str:
        return "all" if n == len(self.blocks) else f"{n} of {len(self.blocks)}"

    def _parts(self, proved: Proved) -> None:
        for claim, name in {**OUTPUTS, **INNER}.items():
            held = 0
            for block in self.blocks:
                try:
                    hook = self.adapter.hook_point(f"blocks.{block.layer}.{name}")
                except InputError:
                    continue
                found = seen(self.model, self.tokens, [(hook.module, hook.side)])[0]
                assert torch.equal(self.adapter.activations(self.tokens, hook), found)
                if hook.onward is None:
                    continue
                self._arrives(hook, next(part for part in block.parts if self._is_of(hook, part)))
                held += 1
            if held:
                proved.claims[claim] = self._share(held)

    def _is_of(self, hook: HookPoint, part: Any) -> bool:
        return hook.module in {part.module, part.post_norm, part.projection}

    def _arrives(self, hook: HookPoint, own: Any) -> None:
        """What is written at a place is in the end what `to_residual` says, every other part held as it was."""
        norm = next((path for path in hook.onward if path in self.adapter.anatomy.norms), None)
        others = [(part.post_norm or part.module) for block in self.blocks for part in block.parts if part is not own]
        clean = dict(zip(others, seen(self.model, self.tokens, [(path, "output") for path in others]), strict=True))
        clean_end = seen(self.model, self.tokens, [self._end()])[0]
        direction = torch.randn(hook.d, generator=torch.Generator().manual_seed(3)) * 0.1
        with ExitStack() as on:
            for path, value in clean.items():
                on.enter_context(
                    changed(self.model.get_submodule(path), "output", lambda x, v=value: v.reshape(x.shape))
                )
            add = changed(
                self.model.get_submodule(hook.module),
                hook.side,
                lambda x: (
                    x + direction.view(x.shape[-1:]) if x.shape[-1] == hook.d else x + direction.view(x.shape[2:])
                ),
            )
            on.enter_context(add)
            places = [self._end()] + ([] if norm is None else [(norm, "input")])
            after = seen(self.model, self.tokens, places)
        change = after[0] - clean_end
        expected = self.adapter.to_residual(direction[None], hook)[0].expand_as(change)
        if norm is not None:  # a post-norm divides by the size of what it is given, which the change itself changes
            reads = self.adapter.post_norm(hook)
            before = seen(self.model, self.tokens, [(norm, "input")])[0][0]
            one, other = reads.divisor(before)[:, None], reads.divisor(after[1][0])[:, None]
            kept = self._normed(norm, before) * (one / other - 1)
            scale = hook.scale
            expected = (expected[0].double() / other + scale * kept).float()[None]
        bound = 2e-4 * float(clean_end.abs().max().clamp(min=1))
        assert float((change - expected).abs().max()) <= bound, hook.name
        assert float(expected.abs().max()) > 10 * bound or float(change.abs().max()) > bound

    def _normed(self, norm: str, x: Tensor) -> Tensor:
        module = self.model.get_submodule(norm)
        with torch.no_grad():
            return (
                module(x) - (module(torch.zeros_like(x)) if getattr(module, "bias", None) is not None else 0)
            ).double()

    def _lens(self, proved: Proved) -> bool:
        """The model's logits are what norm and unembedding make of the end of the stream."""
        try:
            end = self.adapter.unembedding()
        except UnknownWiringError:
            return False
        x = seen(self.model, self.tokens, [self._end()])[0].double()
        x = x - x.mean(-1, keepdim=True) if end.centred else x
        made = (x / (x.pow(2).mean(-1, keepdim=True) + end.eps).sqrt() * end.gain) @ end.weight.double().T
        made = made if end.bias is None else made + end.bias
        cap = self.adapter.logit_softcap
        made = made if cap is None else cap * torch.tanh(made / cap)
        torch.testing.assert_close(made.float(), self._logits(), rtol=1e-4, atol=1e-4)
        proved.claims["logit lens"] = "yes"
        return True

    def _has_logits(self) -> bool:
        with torch.no_grad():
            return getattr(self.model(input_ids=self.tokens, use_cache=False), "logits", None) is not None

    @torch.no_grad()
    def _logits(self) -> Tensor:
        return self.model(input_ids=self.tokens, use_cache=False).logits

    def _pairs(self, hook: HookPoint, n: int) -> tuple[Any, Tensor, Tensor, Tensor]:
        """Some firings of a small SAE at a place: positions, features, activations."""
        sae = tiny_sae(hook.d)
        codes = sae.encode(self.adapter.activations(self.tokens, hook)[0].float())
        positions = torch.repeat_interleave(codes.offsets.diff())
        every = torch.arange(0, len(positions), max(1, len(positions) // n))[:n]
        every = every[positions[every] < N_TOKENS - 1]
        return sae, positions[every], codes.features[every], codes.acts[every]

    @torch.no_grad()
    def _losses(self) -> Tensor:
        return -self._logits()[0, :-1].float().log_softmax(-1).gather(1, self.tokens[0, 1:, None])[:, 0]

    def _edited(self, place: tuple[str, str], position: int, vector: Tensor) -> Tensor:
        """Losses with a vector taken out of what a module takes or gives at one position."""

        def without(x: Tensor) -> Tensor:
            x = x.clone()
            x[:, position] -= vector.to(x).reshape(x.shape[2:])
            return x

        with changed(self.model.get_submodule(place[0]), place[1], without):
            return self._losses()

    def _direct(self, proved: Proved, hook: HookPoint) -> None:
        sae, at, features, acts = self._pairs(hook, 8)
        effects = DirectEffects(self.adapter, sae, hook)
        found = effects.losses_only(effects.prepare(self.tokens[0]), at, features, acts)
        clean, end = self._losses(), self._end()
        for number, (t, feature, act) in enumerate(zip(at.tolist(), features, acts, strict=True)):
            vector = act * hook.scale * sae.decoder[feature]
            expected = float((clean - self._edited(end, t, vector))[t])
            assert abs(float(found[number]) - expected) <= 1e-4 + 1e-4 * abs(expected), hook.name
        assert float(np.abs(found).max()) > 1e-3
        proved.claims["direct effect"] = "yes"

    def _full(self, proved: Proved, hook: HookPoint) -> None:
        sae, at, features, acts = self._pairs(hook, 5)
        found = FullEffects(self.adapter, sae, hook).at(self.tokens[0], at, features, acts)
        clean = self._losses()
        for number, (t, feature, act) in enumerate(zip(at.tolist(), features, acts, strict=True)):
            expected = (clean - self._edited((hook.module, hook.side), t, act * sae.decoder[feature]))[t:]
            np.testing.assert_allclose(found.loss[number, t:-1], expected, atol=2e-4, rtol=1e-3)
        assert float(np.nan_to_num(np.abs(found.loss)).max()) > 1e-3
        proved.claims["full effect"] = "yes"

    def _prompt(self, proved: Proved, hook: HookPoint, folder: Path) -> None:
        parts = ModelAndSae(model=self.adapter, sae=tiny_sae(hook.d), hook=hook.name)
        corpus = Corpus.from_tokens(self.tokens.repeat(3, 1))
        index = index_features(corpus, parts, config=IndexConfig(correlated_features=0, aligned_neurons=0))
        save_prompt_page(index, folder / "prompt.html", self.tokens[0].tolist(), parts=parts)
        sources = PromptSources(ViewSources(index=index, text=index.text), self.adapter, parts.sae, hook)
        view = prompt_view(sources, "a prompt", self.tokens[0].tolist(), PromptSettings())
        metrics = {metric.name: metric for metric in view.metrics}
        known = {name: bool(np.isfinite(np.array(metrics[name].values)).any()) for name in METRICS}
        for name, finite in known.items():
            assert finite != metrics[name].meaning.startswith("Not known here: "), name
        assert known["loss_effect"] == known["logit_effect"] == ("direct effect" in proved.claims)
        if known["attribution"] != ("full effect" in proved.claims):
            assert "no gradient comes back" in metrics["attribution"].meaning
            proved.unknown.append("no gradient comes back from the logits")
        proved.claims["prompt page"] = "all metrics" if "direct effect" in proved.claims else "without direct effects"
