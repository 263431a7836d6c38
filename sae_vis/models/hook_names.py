"""TransformerLens hook names as places in a model: which module, which side, and the way on to the residual stream.

The names mean what they mean in TransformerLens. Where a block has post-norms (Gemma 2 and 3, OLMo 2), its
``hook_attn_out`` and ``hook_mlp_out`` come after them: what is added to the residual stream (``ln1_post`` and
``ln2_post`` run before the hook in `transformer_lens/components/transformer_block.py`). The module path of the MLP
itself (``model.layers.8.mlp``) is the place before the post-norm.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sae_vis.errors import InputError
from sae_vis.models.anatomy import Anatomy, Block, Kind, Part
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
    scale: float = 1.0
    normalized: bool = False


_INNER: dict[Kind, Site] = {"attn": "heads", "mlp": "neurons", "mixer": "mixer_inner", "other": "other"}
_OUT: dict[Kind, Site] = {"attn": "attn_out", "mlp": "mlp_out", "mixer": "mixer_out", "other": "added"}
_HOOK_INNER: dict[Kind, str] = {"attn": "attn.hook_z", "mlp": "mlp.hook_post"}
_HOOK_OUT: dict[Kind, str] = {"attn": "hook_attn_out", "mlp": "hook_mlp_out", "mixer": "hook_mixer_out"}


_READ = ("hook_mlp_in", "mlp.hook_in", "ln1.hook_normalized", "ln2.hook_normalized")
_STREAM = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post")
_OF_A_BLOCK = frozenset([*_STREAM, *_READ, "mlp.hook_out", *_HOOK_INNER.values(), *_HOOK_OUT.values()])
_SAID: dict[Kind, str] = {
    "attn": "attention",
    "mlp": "takes each token by itself",
    "mixer": "mixes tokens",
    "other": "one more",
}


def _stream(hook: str | None, module: str, side: Side, layer: int | None, scale: float | None) -> Place:
    """A place in the residual stream; with `scale` None one from which no way to its end is known."""
    site: Site = "other" if scale is None else "resid"
    onward = None if scale is None else ()
    return Place(hook=hook, module=module, side=side, layer=layer, site=site, onward=onward, scale=scale or 1.0)


def block_places(block: Block, norms: Container[str]) -> Iterator[Place]:
    """The places of one block; `norms` are the paths of the model's norms."""
    hooks = f"blocks.{block.layer}."
    before = None if block.onward is None or not block.carry else block.onward * block.carry
    yield _stream(hooks + "hook_resid_pre", block.path, "input", block.layer, before if block.carries else None)
    yield _stream(hooks + "hook_resid_post", block.path, "output", block.layer, block.onward)
    scale = None if block.onward is None else block.onward * (block.carry or 1.0)
    for part in block.parts:
        yield from _reads(block, part, scale)
    for part in block.parts:
        yield from _part_places(part, block.layer, scale)
    yield from _read_by_parts(block, norms, scale)


def _reads(block: Block, part: Part, scale: float | None) -> Iterator[Place]:
    """Where a part reads the stream: before all others of its block, or in between."""
    if part.reads is None or part.after is None or part.reads == block.path:
        return
    middle = part.kind == "mlp" and part.after > 0 and block.parts[0].kind != "mlp"
    hook = f"blocks.{block.layer}.hook_resid_mid" if middle else None
    yield _stream(hook, part.reads, "input", block.layer, scale)


def _part_places(part: Part, layer: int, scale: float | None) -> Iterator[Place]:
    """Every place of a part with a known way to the residual stream."""
    known = scale is not None
    factor = part.factor * scale if scale is not None else 1.0
    behind = () if part.post_norm is None else (part.post_norm,)

    def place(hook: str | None, module: str, side: Side, site: Site, onward: tuple[str, ...]) -> Place:
        full = None if hook is None else f"blocks.{layer}.{hook}"
        way = onward if known else None
        return Place(hook=full, module=module, side=side, layer=layer, site=site, onward=way, scale=factor)

    inner, out = _INNER[part.kind], _OUT[part.kind]
    hook_inner, hook_out = _HOOK_INNER.get(part.kind), _HOOK_OUT.get(part.kind)
    if part.projection is not None and inner != "other":
        through = (part.projection, *behind)
        yield place(hook_inner, part.projection, "input", inner, through)
        if part.act is not None:
            yield place(None, part.act, "output", inner, through)
    yield place(hook_out if part.post_norm is None else None, part.module, "output", out, behind)
    if part.kind == "mlp":  # circuit-tracer's name for the place above, on this side of a post-norm
        yield place("mlp.hook_out", part.module, "output", out, behind)
    if part.projection is not None:
        yield place(None, part.projection, "output", out, behind)
    if part.post_norm is not None:
        yield place(None, part.post_norm, "input", out, behind)
        yield place(hook_out, part.post_norm, "output", out, ())


def _read_by_parts(block: Block, norms: Container[str], scale: float | None) -> Iterator[Place]:
    """What attention and the MLP read: places that transcoders read, with no way to the residual stream of their own.

    The stream that the MLP's norm reads, what the norm makes of it before its gain, and what the MLP itself gets.
    """
    hooks, attn, mlp = f"blocks.{block.layer}.", block.part("attn"), block.part("mlp")
    if mlp is not None and mlp.reads is not None:
        yield _stream(hooks + "hook_mlp_in", mlp.reads, "input", block.layer, scale)
    shared = attn is not None and mlp is not None and attn.reads == mlp.reads
    for name, part in (("ln1", attn), ("ln2", None if shared else mlp)):
        if part is not None and part.reads is not None and part.reads in norms:
            yield _inner(f"{hooks}{name}.hook_normalized", part.reads, block.layer, normalized=True)
    if mlp is not None and mlp.inner != mlp.projection:
        yield _inner(hooks + "mlp.hook_in", mlp.inner, block.layer, normalized=False)


def _inner(hook: str, module: str, layer: int, *, normalized: bool) -> Place:
    return Place(hook=hook, module=module, side="input", layer=layer, site="other", onward=None, normalized=normalized)


def model_places(anatomy: Anatomy) -> Iterator[Place]:
    """The places of a whole model; of two for one location the first counts."""
    for block in anatomy.blocks:
        yield from block_places(block, anatomy.norms)
    if anatomy.ending is not None:
        yield _stream(None, anatomy.ending.final_norm, "input", None, 1.0)
    first = next(iter(anatomy.blocks), None)
    if first is None or not first.carries or not first.carry or first.onward is None:
        return
    scale = first.onward * first.carry
    if anatomy.embed is None:
        yield _stream("hook_embed", first.path, "input", first.layer, scale)
    else:
        yield _stream("hook_embed", anatomy.embed, "output", None, scale)


class HookTable:
    """The names of one model's places: what each stands for, and what to say about a name that stands for nothing.

    Args:
        anatomy: what is known of the model; where no blocks were found, only module paths are names.
        modules: paths of all modules, or all modules by path: of several names of one module the first is looked up.
        model: what to call the model in a message: its class.
    """

    def __init__(self, anatomy: Anatomy, modules: Iterable[str], model: str) -> None:
        self._anatomy, self._class = anatomy, model
        self._paths = dict.fromkeys(path for path in modules if path)
        named = modules if isinstance(modules, Mapping) else {}
        first = {id(module): path for path, module in reversed(list(named.items()))}
        self._first_names = {path: first[id(module)] for path, module in named.items()}
        self._n_layers = anatomy.n_layers
        places = list(model_places(anatomy))
        self._by_hook = {place.hook: place for place in places if place.hook is not None}
        self._by_location = {(place.module, place.side): place for place in reversed(places) if not place.normalized}

    @property
    def places(self) -> list[Place]:
        """Every place with a known meaning, each location once."""
        return list(self._by_location.values())

    def find(self, name: str) -> Place:
        """The place called `name`, of site ``other`` where nothing is known about it.

        Raises:
            InputError: there is none; the message has near names and the number of layers.
        """
        path, _, asked = name.partition(":")
        if path in self._paths:
            if asked not in {"", "input", "output"}:
                raise InputError(f"hook point {name!r}: a module is read at ':input' or ':output', not at {asked!r}")
            side: Side = "input" if asked == "input" else "output"
            path = self._first_names.get(path, path)
        elif name in self._by_hook and self._by_hook[name].normalized:
            return self._by_hook[name]
        elif name in self._by_hook:
            path, side = self._by_hook[name].module, self._by_hook[name].side
        else:
            raise InputError(self._nothing_called(name))
        unknown = Place(hook=None, module=path, side=side, layer=self._layer_of(path), site="other", onward=None)
        return self._by_location.get((path, side), unknown)

    def _layer_of(self, path: str) -> int | None:
        if self._anatomy.stack is None:
            return None
        found = re.match(re.escape(f"{self._anatomy.stack}.") + r"(\d+)", path)
        return None if found is None else int(found[1])

    def _nothing_called(self, name: str) -> str:
        example = self._example()
        paths = f"the path of a module, such as {example!r} or {example + ':input'!r}"
        if self._anatomy.stack is None and name.startswith(("blocks.", "hook_")):
            why = self._anatomy.unknown.get("stream", "")
            return f"hook names such as {name!r} are not known for {self._class} ({why}); give {paths}"
        if self._n_layers is not None:
            layer = re.search(r"\.(\d+)(?=[.:]|$)", name)
            if layer is not None and int(layer[1]) >= self._n_layers:
                return f"no hook point {name!r}: {self._class} has {self._layers()}"
        if name.endswith(".hook_resid_mid") and any(block.parallel for block in self._anatomy.blocks):
            return (
                f"no hook point {name!r}: attention and MLP of {self._class} read the same residual stream, there is "
                "none between them; hook_resid_pre and hook_resid_post are before and after both"
            )
        broken = self._why_not(name)
        if broken is not None:
            return f"no hook point {name!r} in {self._class}: {broken}; give {paths}"
        near = difflib.get_close_matches(name, [*self._by_hook, *self._paths], n=3)
        facts = [
            f"no hook point {name!r} in {self._class}" + ("" if self._n_layers is None else f" ({self._layers()})")
        ]
        facts += ["near names: " + ", ".join(map(repr, near))] if near else []
        facts += ["hook names: " + ", ".join(self._hook_kinds())] if self._by_hook else []
        return "; ".join([*facts, f"or give {paths}"])

    def _why_not(self, name: str) -> str | None:
        """Why a hook name that other models have is none here, or None where it is no such name."""
        found = re.match(r"blocks\.(\d+)\.(.+)", name)
        if found is None or found[2] not in _OF_A_BLOCK:
            return None
        block = next((block for block in self._anatomy.blocks if block.layer == int(found[1])), None)
        if block is None:
            return f"the block {found[1]} is not called for text"
        parts = ", ".join(f"{part.module!r} ({_SAID[part.kind]})" for part in block.parts)
        said = f"what adds to the stream is {parts}" if parts else "it adds nothing to the stream"
        reason = self._anatomy.unknown.get(block.path, said)
        return f"of the block {block.path!r} this is known: {reason}"

    def _layers(self) -> str:
        return f"{self._n_layers} layers, 0 to {(self._n_layers or 0) - 1}"

    def _hook_kinds(self) -> list[str]:
        of_one_block = (hook for hook in self._by_hook if not re.match(r"blocks\.[1-9]", hook))
        return [hook.replace("blocks.0.", "blocks.N.") for hook in of_one_block]

    def _example(self) -> str:
        """A module path that reads like a block's, to show what one looks like."""
        return next((path for path in self._paths if path.endswith(".0")), next(iter(self._paths)))
