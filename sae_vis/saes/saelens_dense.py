"""SAELens' encoders that are more than one product: matching pursuit and temporal SAEs. Each makes a dense matrix.

Formulas as in ``matching_pursuit_sae.py`` and ``temporal_sae.py`` of SAELens 6.54, without gradients and hooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from sae_vis.saes.base import SparseCodes, dense_to_codes
from sae_vis.saes.linear import BlockDictionary, Decoder, InputMap

_TEMPORAL_EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class PursuitSettings:
    """Of a matching pursuit.

    Attributes:
        residual_threshold: a row is done where what is left of it is shorter; 0: never for that reason.
        max_iterations: features that are chosen at most, one after the other; None: d_in.
        stop_on_duplicate_support: whether a row is done where an iteration chose no new feature.
    """

    residual_threshold: float = 1e-2
    max_iterations: int | None = None
    stop_on_duplicate_support: bool = True


@dataclass(frozen=True, kw_only=True)
class TemporalSettings:
    """Of a temporal SAE.

    Attributes:
        n_heads: heads of each attention layer.
        n_attn_layers: how many there are.
        bottleneck_factor: how many times narrower queries and keys are than d_sae.
        sae_diff_type: ``topk`` or ``relu``, for the codes of what is new.
        kval_topk: how many of these fire at most; None: all that are positive.
        tied_weights: whether the encoder is the decoder's transpose.
        activation_normalization_factor: what activations are multiplied by before they are encoded.
    """

    n_heads: int = 8
    n_attn_layers: int = 1
    bottleneck_factor: int = 64
    sae_diff_type: str = "topk"
    kval_topk: int | None = None
    tied_weights: bool = True
    activation_normalization_factor: float = 1.0


class _DenseDictionary(BlockDictionary):
    """Weights, input map and the checks around an encoder of its own."""

    def __init__(
        self, weights: Mapping[str, Tensor], input_map: InputMap, decoder: Decoder, settings: Mapping[str, object]
    ) -> None:
        d_sae, d_in = weights["W_dec"].shape
        super().__init__(decoder, (d_in, d_sae))
        self._weights, self._input_map, self._settings = dict(weights), input_map, dict(settings)

    def output_scale(self, x: Tensor) -> Tensor | None:
        """See `Dictionary.output_scale`."""
        return self._input_map.output_scale(x.to(self._weights["W_dec"].dtype))

    @property
    def centre(self) -> Tensor:
        """The decoder bias where it is added in the input's own scale, else zeros ``[d_in]``."""
        bias = super().centre
        return bias if self._input_map.normalize == "none" else torch.zeros_like(bias)

    def _config(self) -> dict[str, object]:
        return {
            "d_in": self.d_in,
            "d_sae": self.d_sae,
            "dtype": str(self._weights["W_dec"].dtype).removeprefix("torch."),
            "normalize_activations": self._input_map.normalize,
            "apply_b_dec_to_input": self._input_map.shift is not None,
            **self._settings,
        }

    def _hashed(self) -> dict[str, Tensor]:
        return self._weights

    def _place(self) -> tuple[torch.device, torch.dtype]:
        weight = self._weights["W_dec"]
        return weight.device, weight.dtype

    def _codes(self, x: Tensor) -> SparseCodes:
        return dense_to_codes(self._dense(x))


class MatchingPursuit(_DenseDictionary):
    """The feature whose direction has the largest product with what is left is chosen and taken out, again and again.

    Args:
        weights: ``W_dec [d_sae, d_in]``, ``b_dec [d_in]``.
        input_map: what happens before.
        decoder: directions, bias and facts.
        settings: when it ends.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], input_map: InputMap, decoder: Decoder, settings: PursuitSettings
    ) -> None:
        super().__init__(weights, input_map, decoder, {"activation": "matching pursuit", **asdict(settings)})
        self._pursuit = settings

    def _dense(self, x: Tensor) -> Tensor:
        residual, W_dec, settings = self._input_map(x).clone(), self._weights["W_dec"], self._pursuit
        acts = residual.new_zeros(len(residual), self.d_sae)
        done = torch.zeros(len(residual), dtype=torch.bool, device=residual.device)
        before = torch.zeros_like(acts, dtype=torch.bool)
        for _ in range(settings.max_iterations or self.d_in):
            chosen = (residual @ W_dec.T).relu().max(dim=1, keepdim=True).indices
            directions = W_dec[chosen.squeeze(1)]
            values = (residual * directions).sum(dim=-1, keepdim=True).relu() * (~done)[:, None].to(residual.dtype)
            acts.scatter_add_(1, chosen, values)
            residual = residual - values * directions
            support = acts != 0
            if settings.stop_on_duplicate_support:
                done = done | (support == before).all(dim=1)
                before = support
            if settings.residual_threshold > 0:
                done = done | (residual.norm(dim=-1) < settings.residual_threshold)
            if bool(done.all()):
                break
        return acts


class Temporal(_DenseDictionary):
    """What attention over the tokens before predicts of an activation is taken out; the rest is encoded sparsely.

    Args:
        weights: ``W_dec [d_sae, d_in]``, ``b_dec [d_in]``, without tied weights ``W_enc [d_in, d_sae]``, and of each
            attention layer ``attn_layers.{i}.{k_ctx, q_target, v_ctx, c_proj}.{weight, bias}``.
        input_map: what happens before.
        decoder: directions, bias and facts.
        settings: of attention and activation function.
    """

    contextual = True

    def __init__(
        self, weights: Mapping[str, Tensor], input_map: InputMap, decoder: Decoder, settings: TemporalSettings
    ) -> None:
        super().__init__(weights, input_map, decoder, {"activation": "temporal", **asdict(settings)})
        self._temporal = settings

    def _dense(self, x: Tensor) -> Tensor:
        """Of ``x [n, d_in]``, consecutive tokens of one sequence."""
        settings, W_dec = self._temporal, self._weights["W_dec"]
        if settings.activation_normalization_factor != 1:
            x = x * settings.activation_normalization_factor
        residual, scale = self._input_map(x)[None], 1 / (4 * self.d_in)
        W_enc = W_dec.T if settings.tied_weights else self._weights["W_enc"]
        for layer in range(settings.n_attn_layers):
            codes = torch.relu(torch.matmul(residual * scale, W_enc))
            before = torch.cat((torch.zeros_like(codes[:, :1]), codes[:, :-1]), dim=1)
            predicted = torch.matmul(torch.relu(self._attend(before, codes, layer)), W_dec)
            norm = predicted.norm(dim=-1, keepdim=True) + _TEMPORAL_EPS
            share = (predicted * residual).sum(dim=-1, keepdim=True) / norm.pow(2)
            residual = residual - share * predicted
        novel = torch.relu(torch.matmul(residual * scale, W_enc))
        if settings.sae_diff_type == "topk" and settings.kval_topk is not None:
            chosen = torch.topk(novel, settings.kval_topk, dim=-1).indices
            novel = novel * torch.zeros_like(novel).scatter_(-1, chosen, 1)
        return novel[0]

    def _attend(self, context: Tensor, target: Tensor, layer: int) -> Tensor:
        """Causal attention of a layer, ``[1, n, d_sae]``."""

        def project(name: str, x: Tensor) -> Tensor:
            place = f"attn_layers.{layer}.{name}"
            return linear(x, self._weights[f"{place}.weight"], self._weights[f"{place}.bias"])

        def heads(x: Tensor) -> Tensor:
            return x.view(1, x.shape[1], self._temporal.n_heads, -1).transpose(1, 2)

        keys, values = heads(project("k_ctx", context)), heads(project("v_ctx", context))
        mixed = scaled_dot_product_attention(heads(project("q_target", target)), keys, values, is_causal=True)
        return project("c_proj", mixed.transpose(1, 2).contiguous().flatten(2))


def temporal_shapes(d_sae: int, settings: TemporalSettings) -> dict[str, list[int]]:
    """Shapes of the tensors of the attention layers, by name."""
    narrow = d_sae // settings.bottleneck_factor
    widths = {"k_ctx": narrow, "q_target": narrow, "v_ctx": d_sae, "c_proj": d_sae}
    made: dict[str, list[int]] = {}
    for layer in range(settings.n_attn_layers):
        for name, width in widths.items():
            made[f"attn_layers.{layer}.{name}.weight"] = [width, d_sae]
            made[f"attn_layers.{layer}.{name}.bias"] = [width]
    return made
