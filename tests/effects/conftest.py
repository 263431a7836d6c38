"""Tiny models, SAEs on each of their hook sites, and effects measured the slow way: by plain hooks and modules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from sae_vis.models.base import HookPoint
from sae_vis.models.huggingface import HuggingFaceModel
from sae_vis.models.loading import load_model
from sae_vis.saes.activations import JumpReLU, Linear
from sae_vis.saes.linear import Decoder, InputMap, SparseAutoencoder
from tests.tiny_models import build

KINDS = ("gpt2", "llama", "gemma2", "gpt_neox-parallel", "gpt_neox-sequential", "olmo2", "gptj")
SITES = (
    "hook_embed",
    "blocks.0.hook_resid_pre",
    "blocks.1.hook_resid_post",
    "blocks.2.hook_resid_post",
    "blocks.1.hook_mlp_out",
    "blocks.1.hook_attn_out",
    "blocks.2.mlp.hook_post",
    "blocks.1.attn.hook_z",
)
D_SAE = 40


def tiny_sae(d: int, normalize: str = "none", seed: int = 0, *, signed: bool = False) -> SparseAutoencoder:
    """Random, about half of its features firing; or, signed, all of them, about half of them below zero."""
    generator = torch.Generator().manual_seed(seed)
    W_enc, directions = torch.randn(d, D_SAE, generator=generator), torch.randn(D_SAE, d, generator=generator)
    bias = torch.randn(d, generator=generator)
    return SparseAutoencoder(
        W_enc,
        0.1 * torch.randn(D_SAE, generator=generator),
        Linear() if signed else JumpReLU(torch.zeros(D_SAE)),
        InputMap(normalize=normalize),
        Decoder(directions=0.3 * directions, bias=bias),
    )


class Firing(NamedTuple):
    """Firing features of a text, some of them: what effects are asked for."""

    positions: Tensor
    features: Tensor
    acts: Tensor
    contributions: Tensor  # [n, d]: what each adds at the hook


class Bench(NamedTuple):
    """A model, a hook point, an SAE there, a text and firings."""

    model: HuggingFaceModel
    hook: HookPoint
    sae: SparseAutoencoder
    tokens: Tensor
    firing: Firing


def firings(model: HuggingFaceModel, hook: HookPoint, sae: SparseAutoencoder, tokens: Tensor, every: int) -> Firing:
    x = model.activations(tokens[None], hook)[0].float()
    codes = sae.encode(x)
    positions = torch.repeat_interleave(codes.offsets.diff())
    chosen = torch.arange(0, len(positions), every)
    at, features, acts = positions[chosen], codes.features[chosen], codes.acts[chosen]
    scale = sae.output_scale(x)
    worth = acts if scale is None else acts * scale[at]
    return Firing(at, features, acts, worth[:, None] * sae.decoder[features])


def make_bench(kind: str, site: str, *, normalize: str = "none", every: int = 5, signed: bool = False) -> Bench:
    model = load_model(build(kind))
    hook = model.hook_point(site)
    sae = tiny_sae(hook.d, normalize, signed=signed)
    tokens = torch.randint(1, 30, (9,), generator=torch.Generator().manual_seed(1))
    return Bench(model, hook, sae, tokens, firings(model, hook, sae, tokens, every))


@contextmanager
def plainly_edited(bench: Bench, position: int, contribution: Tensor) -> Iterator[None]:
    """A plain forward hook that takes a vector out of what the hooked module takes or gives, at one position."""
    module = bench.model.model.get_submodule(bench.hook.module)

    def without(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, position] -= contribution.to(x.dtype)
        return x

    def before(_module: nn.Module, args: tuple, kwargs: dict) -> tuple:
        if args:
            return (without(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": without(kwargs["hidden_states"])}

    def after(_module: nn.Module, _args: tuple, output: object) -> object:
        return without(output) if isinstance(output, Tensor) else (without(output[0]), *output[1:])

    if bench.hook.side == "input":
        handle = module.register_forward_pre_hook(before, with_kwargs=True)
    else:
        handle = module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def log_probs(bench: Bench) -> Tensor:
    """Of the plain model on the text, [seq_len, d_vocab]."""
    return bench.model.model(bench.tokens[None]).logits[0].log_softmax(-1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they bring at these sizes: more only where they are asked for."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=SITES)
def bench(kind: str, request: pytest.FixtureRequest) -> Bench:
    return make_bench(kind, str(request.param))
