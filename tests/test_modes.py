"""Whatever modes of torch and NumPy are set around a call, and whatever a model is wrapped in: the same numbers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

import sae_vis as sv
from sae_vis.effects.ablation import DirectEffects
from sae_vis.effects.attribution import NextTokenLoss, attribute
from sae_vis.effects.intervention import FullEffects
from sae_vis.effects.logit_lens import LogitLens
from sae_vis.errors import InputError
from sae_vis.index.between import correlate
from sae_vis.models.any_model import as_model
from sae_vis.models.base import LanguageModel
from sae_vis.neutral import all_neutrally, neutral, neutrally, ordinary
from sae_vis.saes.directions import from_directions
from sae_vis.saes.formats import as_dictionary, load_dictionary
from sae_vis.saes.neighbours import decoder_neighbours
from sae_vis.saes.tensors import TensorOptions, from_tensors
from sae_vis.views.prompt import PromptSettings
from tests.fixtures.page_decoder import read_page
from tests.kernels import VARIABLE, binary
from tests.tiny_models import build

SITE, HEADS, NEURONS = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.mlp.hook_post"
TOKENS = torch.randint(1, 31, (12, 16), generator=torch.Generator().manual_seed(2))
CONFIG = sv.IndexConfig(neuron_correlations="always")
PAIRS = [1, 4, 6], [2, 3, 3], [1.0, 2.0, 0.5]
Mode = Callable[[], AbstractContextManager[object]]


def drawn(d_in: int = 12, seed: int = 0) -> dict[str, torch.Tensor]:
    """Binary fractions: activations of rows are the same in blocks of any size."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"W_enc": (d_in, 40), "W_dec": (40, d_in), "b_dec": (d_in,)}
    tensors = {name: binary(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}
    return tensors | {"b_enc": torch.full((40,), -1.0)}


# what a user brings, made outside of all modes
WEIGHTS, X = drawn(), binary(torch.randn(32, 12, generator=torch.Generator().manual_seed(5)))
PROBE = ("output", "probe", torch.from_numpy(np.arange(24, dtype=np.float32).reshape(12, 2)))
ROWS = torch.randn(3, 48, generator=torch.Generator().manual_seed(6))


class OwnSae(nn.Module):
    """An SAE as a user writes one."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(12, 40), nn.Linear(40, 12)
        self.dropout = nn.Dropout(0.5)
        for part, name in ((self.encoder, "enc"), (self.decoder, "dec")):
            part.weight.data, part.bias.data = tensors[f"W_{name}"].T.clone(), tensors[f"b_{name}"].clone()

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.encoder(self.dropout(x) - self.decoder.bias))


def plain(d_in: int = 12, site: str = SITE) -> Any:
    return from_tensors(drawn(d_in), TensorOptions(hook_name=site, apply_b_dec_to_input=True))


SAE, MODELS = plain(), {"gpt2": build("gpt2")}
HEADS_SAES = {d: plain(d, HEADS) for d in (12, 18)}


def everything(model: LanguageModel, sae: Any, folder: Path) -> dict[str, Any]:
    """Numbers from every entry: index, pages, lens, effects, attribution, probes, neighbours, other dictionaries."""
    parts, corpus = sv.ModelAndSae(model=model, sae=sae), sv.Corpus.from_tokens(TOKENS)
    index = sv.index_features(corpus, parts, folder / "index", config=CONFIG)
    hook, neurons = model.hook_point(SITE), model.hook_point(NEURONS)
    direct, full = DirectEffects(model, sae, hook), FullEffects(model, sae, hook)
    reading = parts.probes([PROBE])
    facts = sv.ActivationFacts(decoder=WEIGHTS["W_dec"], unembedding=WEIGHTS["W_dec"], d_sae=40)
    own = sv.index_activations(TOKENS[:2], sae.encode(X), facts=facts)
    stream = sv.index_activations(
        TOKENS[:2], lambda: (sae.encode_dense(X[i : i + 8]) for i in range(0, 32, 8)), facts=facts
    )
    assert stream.features.equals(own.features)
    found = {
        "features": index.features.to_pydict(),
        "own": own.features.to_pydict(),
        "lens": LogitLens(model, sae, hook, n_tokens=5, n_bins=5).effects([0, 7]),
        "direct": direct.at(direct.prepare(TOKENS[0]), *PAIRS).loss,
        "full": full.at(TOKENS[0], *PAIRS).loss[:, :-1],
        "attribution": attribute(model, sae, hook, TOKENS[0], NextTokenLoss()).values,
        "probes": reading.readings(reading.probes[0], [1, 2]).values,
        "map": sv.make_map(index, sae).kept,
        "neighbours": decoder_neighbours(sae, [1, 2], 3).cosine,
        "correlated": correlate(index, index).of_a.best,
        "steering": from_directions(WEIGHTS["W_dec"], hook_name=SITE).encode_dense(X),
        "neurons": model.to_residual(ROWS[:, : neurons.d], neurons),
        "logits": model.logits(TOKENS[:2]),
        "model": model.fingerprint(),
        "sae": sae.fingerprint(),
    }
    compute = sv.ComputeSettings(linear_probes=[PROBE])
    index.save_page(folder / "page.html", features=4, parts=parts, compute=compute)
    assert "Feature" in repr(index.feature(2))
    assert "<iframe" in index.feature(2, parts=parts, compute=compute)._repr_html_()
    settings = PromptSettings(full_effects=5)
    sv.save_prompt_page(index, folder / "prompt.html", TOKENS[0].tolist(), parts=parts, settings=settings)
    sv.save_compare_page(index, index, folder / "compare.html", features=3, parts=(parts, parts))
    prompt = read_page((folder / "prompt.html").read_text())[0]["prompt"].prompts[0]
    return found | {"prompt": {metric.name: metric.values for metric in prompt.metrics}}


def sources_of_an_attention_sae(model: LanguageModel) -> list[np.ndarray]:
    attribution = sv.ModelAndSae(model=model, sae=HEADS_SAES[model.hook_point(HEADS).d]).attribution()
    return [part.parts for part in attribution.of_text(TOKENS[0], [3, 9, 9], [0, 5, 7])]


def the_same(found: Any, expected: Any, tolerance: float = 0.0) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            the_same(found[name], value, tolerance)
    elif isinstance(expected, torch.Tensor | np.ndarray):
        if isinstance(found, torch.Tensor):
            assert not found.is_inference()
            assert not found.requires_grad
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_equal(found, expected)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


MODES: dict[str, Mode] = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "set_default_device": lambda: default_device("meta"),
    "with_device": lambda: torch.device("meta"),
    "numpy_errors": lambda: np.errstate(all="raise"),
    "deterministic": deterministic,
}


@contextmanager
def all_at_once() -> Iterator[None]:
    with ExitStack() as modes:
        for mode in MODES.values():
            modes.enter_context(mode())
        yield


def state() -> dict[str, object]:
    return {
        "inference": torch.is_inference_mode_enabled(),
        "grad": torch.is_grad_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device.type,
        "numpy": np.geterr(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, Any]:
    return {
        kind: everything(as_model(build(kind)), plain(), tmp_path_factory.mktemp(kind)) for kind in ("gpt2", "gemma2")
    }


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("gpt2", mode) for mode in MODES.values()] + [("gpt2", all_at_once), ("gemma2", all_at_once)],
    ids=[*MODES, "all_at_once", "all_at_once-gemma2"],
)
def test_everything_is_the_same_in_any_mode(kind: str, mode: Mode, expected, tmp_path: Path):
    model, sae = as_model(build(kind)), plain()
    with mode():
        before = state()
        found = everything(model, sae, tmp_path)
        sources = sources_of_an_attention_sae(model)
        assert state() == before
    the_same(found, expected[kind])
    for ours, theirs in zip(sources, sources_of_an_attention_sae(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("mode", [*MODES.values(), all_at_once], ids=[*MODES, "all_at_once"])
def test_what_is_loaded_in_any_mode(mode: Mode, expected, tmp_path: Path):
    """Model and SAE come from files, the SAE of the user's own from memory."""
    build("gpt2").save_pretrained(tmp_path / "model")
    save_file(drawn(), tmp_path / "sae.safetensors")
    torch.save(drawn(), tmp_path / "sae.pt")
    np.savez(tmp_path / "sae.npz", **{name: value.numpy() for name, value in drawn().items()})
    options = {"apply_b_dec_to_input": True}
    own = OwnSae(drawn()).train()
    with mode():
        model = sv.load_model(tmp_path / "model")
        saes = [load_dictionary(tmp_path / f"sae.{kind}", **options) for kind in ("safetensors", "pt", "npz")]
        modules = as_dictionary(own, hook_name=SITE)
        acts = modules.encode_dense(X)
        data = sv.SaeVisData.create(
            sae=from_tensors(WEIGHTS, TensorOptions(hook_name=SITE, apply_b_dec_to_input=True)),
            model=model,
            tokens=TOKENS,
            cfg=sv.SaeVisConfig(features=[1, 2]),
            sae_B=modules,
        )
        data.save_feature_centric_vis(tmp_path / "page.html")
        data.save_prompt_centric_vis(tmp_path / "prompt.html", TOKENS[0].tolist())
        data.save_compare_vis(tmp_path / "compare.html")
    assert own.training
    for weights in model.model.parameters():
        assert weights.dtype == torch.float32
        assert weights.device.type == "cpu"
        assert not weights.is_inference()
    assert {sae.fingerprint() for sae in saes} == {expected["gpt2"]["sae"]}
    the_same(acts, plain().encode_dense(X), 1e-5)


# What was made in inference mode


@pytest.mark.parametrize("kind", ["gpt2", "gemma2"])
def test_a_model_an_sae_and_tokens_that_were_made_in_inference_mode(kind: str, expected, tmp_path: Path):
    """Their tensors can't be saved for a backward pass, and autograd refuses them until they are replaced."""
    plainly = build(kind)
    with torch.inference_mode():
        model = type(plainly)(plainly.config).eval()
        model.load_state_dict(plainly.state_dict())
        model.tie_weights()
        weights = {name: value.clone() for name, value in WEIGHTS.items()}
        tokens = TOKENS[0].clone()
        sae = from_tensors(weights, TensorOptions(hook_name=SITE, apply_b_dec_to_input=True))
    before = dict(model.named_parameters())
    assert all(parameter.is_inference() for parameter in before.values())
    adapted = as_model(model)
    the_same(everything(adapted, sae, tmp_path), expected[kind])
    hook = adapted.hook_point(SITE)
    found = attribute(adapted, sae, hook, tokens, NextTokenLoss())
    the_same(found.values, expected[kind]["attribution"])
    for name, parameter in model.named_parameters():
        assert parameter is before[name]
        assert parameter.grad is None


@pytest.mark.skipif(VARIABLE in os.environ, reason="within any dispatch mode torch fails at what is made so")
def test_an_ordinary_tensor_shares_the_memory_of_one_made_in_inference_mode():
    with torch.inference_mode():
        base = torch.arange(6.0).reshape(2, 3)
        made = [base, base.T, base[1, 1:], nn.Parameter(base.clone()), base.to(torch.bfloat16), base.to_sparse()]
    for tensor in made:
        found = ordinary(tensor)
        assert tensor.is_inference()
        assert not found.is_inference()
        assert (found.shape, found.dtype, found.layout) == (tensor.shape, tensor.dtype, tensor.layout)
        assert torch.equal(found.to_dense(), tensor.to_dense())
        assert found.layout != torch.strided or found.data_ptr() == tensor.data_ptr()
    assert ordinary(X) is X


# The mode itself


@neutrally
def seen() -> dict[str, object]:
    return state()


def test_a_neutral_mode_is_that_of_a_fresh_process_but_for_gradients():
    fresh = state() | {"grad": False}
    with all_at_once():
        assert seen() == fresh | {"deterministic": True}
    with torch.device("meta"), torch.device("cpu"), torch.autocast("cpu", dtype=torch.bfloat16), torch.enable_grad():
        assert seen() == fresh
        with torch.autocast("cpu", enabled=False):
            assert seen() == fresh
    assert state() == fresh | {"grad": True}


@neutrally
def failing() -> None:
    raise KeyError("on purpose")


def test_modes_are_put_back_after_an_error():
    with all_at_once():
        before = state()
        with pytest.raises(KeyError, match="on purpose"):
            failing()
        with pytest.raises(InputError, match="feature 99 does not exist"):
            everything_fails()
        assert state() == before


def everything_fails() -> None:
    model = as_model(MODELS["gpt2"])
    DirectEffects(model, SAE, model.hook_point(SITE)).at(
        DirectEffects(model, SAE, model.hook_point(SITE)).prepare(TOKENS[0]), [0], [99], [1.0]
    )


def test_between_the_steps_of_a_generator_the_user_s_modes_are_on():
    @neutrally
    def steps() -> Iterator[dict[str, object]]:
        yield state()
        yield state()

    fresh = seen()
    with all_at_once():
        before = state()
        for inside in steps():
            assert inside == fresh | {"deterministic": True}
            assert state() == before
        for _ in steps():
            break
        assert state() == before


def test_a_class_is_neutral_in_all_that_is_public():
    @all_neutrally
    class Example:
        def __init__(self) -> None:
            self.made = state()

        def method(self) -> dict[str, object]:
            return state()

        @property
        def read(self) -> dict[str, object]:
            """What is read."""
            return state()

        @classmethod
        def build(cls) -> dict[str, object]:
            return state()

        def _own(self) -> dict[str, object]:
            return state()

    fresh = seen() | {"deterministic": True}
    with all_at_once():
        example = Example()
        assert [example.made, example.method(), example.read, example.build()] == [fresh] * 4
        assert example._own() == state()
    assert Example.read.__doc__ == "What is read."


def test_the_default_dtype_is_put_back_by_the_last_of_several_threads():
    inside, leave, found = threading.Event(), threading.Event(), []

    @neutrally
    def first() -> None:
        inside.set()
        leave.wait(10)
        found.append(torch.get_default_dtype())

    with default_dtype(torch.float64):
        thread = threading.Thread(target=first)
        thread.start()
        assert inside.wait(10)
        with neutral():
            assert torch.get_default_dtype() == torch.float32
        leave.set()
        thread.join()
        assert found == [torch.float32]
        assert torch.get_default_dtype() == torch.float64


def test_what_is_set_meanwhile_stays():
    with default_dtype(torch.float32):
        with neutral():
            torch.set_default_dtype(torch.float64)
            assert seen()["dtype"] == torch.float32
        assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_the_precision_of_products_is_left_to_the_user(precision: str, expected, tmp_path: Path):
    """Products may then be taken in less than float32, on machines that can; all else is as it was."""
    before, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    torch.set_float32_matmul_precision(precision)
    try:
        assert seen()["matmul"] == precision
        found = everything(as_model(build("gpt2")), plain(), tmp_path)
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.get_num_threads() == threads
    for name in ("lens", "logits", "neurons"):
        the_same(found[name], expected["gpt2"][name], 0.1)


# States of a model


def frozen(model: PreTrainedModel) -> None:
    model.requires_grad_(False)


def checkpointed(model: PreTrainedModel) -> None:
    model.train()
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    model.enable_input_require_grads()


def dropping(model: PreTrainedModel) -> None:
    model.train()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.5


def with_gradients(model: PreTrainedModel) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)


def compiled(model: PreTrainedModel) -> None:
    model.compile(backend="eager")


def compiled_blocks(model: PreTrainedModel) -> None:
    blocks = model.transformer.h if hasattr(model, "transformer") else model.model.layers
    blocks[0].compile(backend="eager")
    blocks[1] = torch.compile(blocks[1], backend="eager")
    blocks[2] = torch.compile(blocks[2], backend="eager")


def parametrized(model: PreTrainedModel) -> None:
    """The same weights, kept as direction and norm."""
    blocks = model.transformer.h if hasattr(model, "transformer") else model.model.layers
    for block in blocks:
        projection = block.mlp.c_proj if hasattr(block.mlp, "c_proj") else block.mlp.down_proj
        nn.utils.parametrizations.weight_norm(projection)


STATES = [frozen, checkpointed, dropping, with_gradients, compiled, compiled_blocks, parametrized]


@pytest.mark.parametrize("kind", ["gpt2", "gemma2"])
@pytest.mark.parametrize("put", STATES)
def test_a_model_in_any_state_is_read_as_it_is_and_left_so(put, kind: str, expected, tmp_path: Path):
    model = build(kind)
    put(model)
    before = [(part, part.training, part._compiled_call_impl) for part in model.modules()]
    weights = {name: (weight, weight.clone(), weight.grad) for name, weight in model.named_parameters()}
    state_of_random = torch.random.get_rng_state()
    found = everything(as_model(model), plain(), tmp_path)
    if put is parametrized:  # a last bit here and there
        for name in ("lens", "direct", "full", "attribution", "neurons", "logits"):
            the_same(found[name], expected[kind][name], 1e-4)
    else:
        the_same(found, expected[kind])
    assert [(part, part.training, part._compiled_call_impl) for part in model.modules()] == before
    assert torch.equal(torch.random.get_rng_state(), state_of_random)
    for name, weight in model.named_parameters():
        assert weight is weights[name][0]
        assert torch.equal(weight, weights[name][1])
        assert weight.grad is weights[name][2]


def old_weight_norm(projection: nn.Linear) -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(projection)
    projection.weight_g.data *= 3


def pruned(projection: nn.Linear) -> None:
    from torch.nn.utils import prune

    prune.l1_unstructured(projection, "weight", amount=0.5)
    projection.weight_orig.data *= 3


def spectral_norm(projection: nn.Linear) -> None:
    nn.utils.spectral_norm(projection)
    projection.weight_orig.data *= torch.arange(1.0, 13.0)[:, None]


@pytest.mark.parametrize("put", [old_weight_norm, pruned, spectral_norm])
def test_a_weight_that_is_made_before_each_call_is_read_anew(put):
    """Until the next call the module still shows the one before."""
    model = build("llama")
    projection = model.model.layers[1].mlp.down_proj
    put(projection.eval())
    shown, adapted = projection.weight.detach().clone(), as_model(model)
    hook = adapted.hook_point(NEURONS)
    found = adapted.to_residual(torch.eye(hook.d), hook)
    expected = (projection(torch.eye(hook.d)) - projection.bias).detach()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (found - shown.T).abs().max() > 0.1


# Wrappers


class Wrapping:
    compiled = staticmethod(lambda module: torch.compile(module, backend="eager"))
    copied = staticmethod(nn.DataParallel)
    both = staticmethod(lambda module: nn.DataParallel(torch.compile(nn.DataParallel(module), backend="eager")))


WRAPPINGS = [Wrapping.compiled, Wrapping.copied, Wrapping.both]


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_a_wrapped_model_is_the_model_inside(wrap, expected, tmp_path: Path):
    model = build("gpt2")
    for found in (as_model(wrap(model)), sv.load_model(wrap(model))):
        assert found.model is model
    the_same(everything(as_model(wrap(model)), plain(), tmp_path), expected["gpt2"])


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_a_wrapped_sae_is_the_sae_inside(wrap):
    own = OwnSae(WEIGHTS)
    found, wanted = as_dictionary(wrap(own), hook_name=SITE), as_dictionary(own, hook_name=SITE)
    assert found.fingerprint() == wanted.fingerprint()
    the_same(found.encode_dense(X), wanted.encode_dense(X))


def test_an_sae_with_parts_that_were_compiled():
    own, wanted = OwnSae(WEIGHTS), as_dictionary(OwnSae(WEIGHTS), hook_name=SITE)
    own.encoder = torch.compile(own.encoder, backend="eager")
    own.decoder.compile(backend="eager")
    compiled_part = own.encoder
    found = as_dictionary(own, hook_name=SITE)
    the_same(found.encode_dense(X), wanted.encode_dense(X))
    assert found.fingerprint() == wanted.fingerprint()
    assert own.encoder is compiled_part


def test_a_stream_that_holds_its_mode_while_it_waits():
    """A generator that yields within a mode leaves it on for whoever asks for the next block."""

    def blocks() -> Iterator[torch.Tensor]:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            for start in range(0, 32, 8):
                yield torch.relu(X[start : start + 8] - 0.5)

    dense = sv.index_activations(TOKENS[:2], torch.relu(X - 0.5))
    before = state()
    assert sv.index_activations(TOKENS[:2], blocks, facts=sv.ActivationFacts(d_sae=12)).features.equals(dense.features)
    assert state() == before


def test_a_wrapped_module_of_no_known_kind_is_named_with_its_wrapping():
    with pytest.raises(
        InputError, match=r"^Linear \(in a DataParallel\) is not a model that is known here; give a Hugg"
    ):
        as_model(nn.DataParallel(nn.Linear(2, 2)))
    with pytest.raises(InputError, match=r"^a Linear is not a transformers model"):
        sv.load_model(torch.compile(nn.Linear(2, 2), backend="eager"))
    with pytest.raises(InputError, match="Linear is not a dictionary of features"):
        as_dictionary(nn.DataParallel(nn.Linear(2, 2)))


@pytest.fixture
def one_process() -> Iterator[None]:
    from torch import distributed

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
def test_a_model_for_several_processes(one_process, expected, tmp_path: Path):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
    from torch.nn.parallel import DistributedDataParallel

    model = build("gpt2")
    assert as_model(DistributedDataParallel(model)).model is model
    mesh = init_device_mesh("cpu", (1,))
    parts, whole = build("gpt2"), build("gpt2")
    fully_shard(parts.transformer.h[1], mesh=mesh)
    fully_shard(whole, mesh=mesh)
    cut = build("llama")
    parallelize_module(cut, mesh, {"model.layers.1.mlp.up_proj": ColwiseParallel()})
    for sharded in (parts, whole, cut):
        with pytest.raises(InputError, match=r"weights of this \w+ are spread over processes .* save a full state"):
            as_model(sharded)
