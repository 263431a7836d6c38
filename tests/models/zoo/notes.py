"""The kinds that can't be made or run here, and why; `test_zoo.py` holds that the reasons are still true."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ZooNote:
    """Why there is no model of a kind.

    Attributes:
        reason: for people.
        error: what making it, or running it on text alone, raises: a regular expression.
    """

    reason: str
    error: str


def _needs_images(error: str) -> ZooNote:
    return ZooNote("text alone isn't enough: it is a model of text given images", error)


_TIMM = ZooNote("its vision tower is a model of the package timm", "requires the timm library")
_ENCODER_DECODER = "an encoder-decoder"
_ASSISTANT = "drafts for a Gemma 4, whose keys and values it reads: it can't run by itself"
_PARTS = "has no forward of its own; its text model is the kind 'multimodal:{}'"

NOTES: dict[str, ZooNote] = {
    "gemma3n": _TIMM,
    "gemma4_assistant": ZooNote(_ASSISTANT, "hidden_size_per_layer_input must be 0"),
    "gemma4_unified_assistant": ZooNote(_ASSISTANT, "layer types producing a cache is different"),
    "multimodal:blip": _needs_images("missing 1 required positional argument: 'pixel_values'"),
    "multimodal:blip-2": _needs_images("missing 1 required positional argument: 'pixel_values'"),
    "multimodal:diffusion_gemma": ZooNote("fills in blocks of 256 tokens by diffusion", "one logit vector a token"),
    "multimodal:fast_vlm": _TIMM,
    "multimodal:florence2": ZooNote(_ENCODER_DECODER, "one logit vector a token"),
    "multimodal:idefics": _needs_images("Exactly 1 of pixel_values"),
    "multimodal:instructblip": _needs_images("missing 2 required positional arguments: 'pixel_values'"),
    "multimodal:instructblipvideo": _needs_images("missing 2 required positional arguments: 'pixel_values'"),
    "multimodal:kosmos-2": _needs_images("You have to specify either `pixel_values`"),
    "multimodal:kyutai_speech_to_text": ZooNote("its tokens are a text token and 32 of audio", "must match the size"),
    "multimodal:perception_lm": _TIMM,
    "multimodal:pi0": ZooNote("a policy of robots: it moves, given images and a state", "argument: 'state'"),
    "multimodal:pix2struct": ZooNote(_ENCODER_DECODER, "You have to specify flattened_patches"),
    "multimodal:pp_formulanet": ZooNote(_ENCODER_DECODER, "exactly one of encoder_outputs or pixel_values"),
    "multimodal:qwen2_5_omni": ZooNote(_PARTS.format("qwen2_5_omni_thinker"), "_forward_unimplemented"),
    "multimodal:qwen3_omni_moe": ZooNote(_PARTS.format("qwen3_omni_moe_thinker"), "has no attribute"),
    "multimodal:t5gemma2": ZooNote(_ENCODER_DECODER, "exactly one of input_ids or inputs_embeds"),
    "multimodal:udop": ZooNote(_ENCODER_DECODER, "Bbox is required"),
    "multimodal:vision-encoder-decoder": ZooNote(_ENCODER_DECODER, "You have to specify pixel_values"),
    "multimodal:voxtral_realtime": ZooNote("text alone isn't enough: it transcribes", "exactly one of input_features"),
}

# Kinds with a causal head whose earlier logits change with later tokens.
LOOK_AHEAD: dict[str, str] = {
    "cpmant": "attends to the whole context in both directions, after 32 prompt tokens of its own",
    "prophetnet": "the masks of its predicted stream let later tokens through, a little",
}
