"""Direct feature attribution through TransformerLens: the same as through `transformers`, in every form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sae_vis.effects.attention import AttentionAttribution
from sae_vis.models.loading import load_model
from sae_vis.models.transformer_lens import TransformerLensModel
from sae_vis.saes.base import Dictionary
from tests.effects.conftest import tiny_sae
from tests.effects.test_attention import FEATURES, POSITIONS, TOKENS
from tests.lens_models import FORMS, KINDS, hf_model, lens_model

pytestmark = pytest.mark.filterwarnings("ignore")


def attributed(model, sae: Dictionary, site: str) -> dict[int, np.ndarray]:
    found = AttentionAttribution(model, sae, model.hook_point(site)).of_text(TOKENS, POSITIONS, FEATURES)
    return {part.pair: part.parts for part in found}


@pytest.mark.parametrize("site", ["blocks.1.attn.hook_z", "blocks.2.hook_attn_out"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_what_is_found_through_transformers(kind, form, site, tmp_path) -> None:
    """Folding moves the biases of values into the output's: there, sums are compared but for what does not vary."""
    raw = hf_model(kind)
    lens = TransformerLensModel(lens_model(raw, form, tmp_path))
    plain = load_model(raw)
    sae = tiny_sae(plain.hook_point(site).d)
    found, expected = attributed(lens, sae, site), attributed(plain, sae, site)
    if form in {"unfolded", "bridge"}:
        for pair, parts in expected.items():
            assert_allclose(found[pair], parts, atol=2e-4, rtol=1e-3)
        return
    pre = lens.activations(TOKENS[None], lens.hook_point(site))[0].float() @ sae._W_enc
    sums = np.array([found[pair].sum(dtype=np.float64) for pair in range(len(POSITIONS))])
    rest = (pre[POSITIONS, FEATURES].numpy() - sums).reshape(len(TOKENS), -1)
    assert_allclose(rest, np.broadcast_to(rest[0], rest.shape), atol=1e-3)
