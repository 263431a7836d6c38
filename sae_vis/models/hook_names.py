"""TransformerLens hook names as places in a model: which module, which side, and the way on to the residual stream.

The names mean what they mean in TransformerLens. Where a block has post-norms (Gemma 2 and 3, OLMo 2), its
``hook_attn_out`` and ``hook_mlp_out`` come after them: what is added to the residual stream (``ln1_post`` and
``ln2_post`` run before the hook in `transformer_lens/components/transformer_block.py`). The module path of the MLP
itself (``model.layers.8.mlp``) is the place before the post-norm.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sae_vis.models.architectures import Architecture
from sae_vis.models.base import Side, Site


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place in a model; the attributes are those of `HookPoint`, `hook` is its TransformerLens name or None."""

    hook: str | None
    module: str
    side: Side
    layer: int | None
    site: Site
    onward: tuple[str, ...] | None


@dataclass(frozen=True)
class Sublayer:
    """Attention or the MLP of one block: what it reads, computes inside, and writes to the residual stream.

    Module paths are full. `inner` is the site that the projection reads (heads, neurons), `hook_inner` and `hook_out`
    are TransformerLens names; `act` is a module whose output is the inner site, too, or None.
    """

    module: str
    projection: str
    post_norm: str | None
    act: str | None
    layer: int
    inner: Site
    out: Site
    hook_inner: str
    hook_out: str

    def places(self) -> Iterator[Place]:
        """Every place of the sublayer with a known way to the residual stream."""
        behind = () if self.post_norm is None else (self.post_norm,)
        through = (self.projection, *behind)
        before_norm_hook = self.hook_out if self.post_norm is None else None
        yield self._place(self.hook_inner, self.projection, "input", self.inner, through)
        if self.act is not None:
            yield self._place(None, self.act, "output", self.inner, through)
        yield self._place(before_norm_hook, self.module, "output", self.out, behind)
        yield self._place(None, self.projection, "output", self.out, behind)
        if self.post_norm is not None:
            yield self._place(None, self.post_norm, "input", self.out, behind)
            yield self._place(self.hook_out, self.post_norm, "output", self.out, ())

    def _place(self, hook: str | None, module: str, side: Side, site: Site, onward: tuple[str, ...]) -> Place:
        return Place(hook=hook, module=module, side=side, layer=self.layer, site=site, onward=onward)


def _stream(hook: str | None, module: str, side: Side, layer: int | None) -> Place:
    return Place(hook=hook, module=module, side=side, layer=layer, site="resid", onward=())


def block_places(arch: Architecture, block: str, layer: int) -> Iterator[Place]:
    """The places of one block, whose module path is `block`."""

    def inside(path: str) -> str:
        return f"{block}.{path}"

    hooks = f"blocks.{layer}."
    yield _stream(hooks + "hook_resid_pre", block, "input", layer)
    yield _stream(hooks + "hook_resid_post", block, "output", layer)
    yield _stream(None, inside(arch.attn_reads), "input", layer)
    yield _stream(None if arch.parallel else hooks + "hook_resid_mid", inside(arch.mlp_reads), "input", layer)
    yield from Sublayer(
        module=inside(arch.attn),
        projection=inside(arch.attn_proj),
        post_norm=arch.attn_post_norm and inside(arch.attn_post_norm),
        act=None,
        layer=layer,
        inner="heads",
        out="attn_out",
        hook_inner=hooks + "attn.hook_z",
        hook_out=hooks + "hook_attn_out",
    ).places()
    yield from Sublayer(
        module=inside(arch.mlp),
        projection=inside(arch.mlp_proj),
        post_norm=arch.mlp_post_norm and inside(arch.mlp_post_norm),
        act=arch.mlp_act and inside(arch.mlp_act),
        layer=layer,
        inner="neurons",
        out="mlp_out",
        hook_inner=hooks + "mlp.hook_post",
        hook_out=hooks + "hook_mlp_out",
    ).places()


def model_places(arch: Architecture, decoder: str, n_layers: int) -> Iterator[Place]:
    """The places of a whole model, whose decoder has the path `decoder`; of two for one location the first counts."""
    for layer in range(n_layers):
        yield from block_places(arch, f"{decoder}.{arch.layers}.{layer}", layer)
    yield _stream(None, f"{decoder}.{arch.final_norm}", "input", None)
    if arch.embed is None:
        yield _stream("hook_embed", f"{decoder}.{arch.layers}.0", "input", 0)
    else:
        yield _stream("hook_embed", f"{decoder}.{arch.embed}", "output", None)


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """The `n` known names most like `name`, quoted, for an error message; empty where none is close."""
    return ", ".join(repr(near) for near in difflib.get_close_matches(name, list(known), n=n, cutoff=0.6))
