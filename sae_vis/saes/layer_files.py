"""Folders with one file a layer: a dictionary for every layer of a model."""

from __future__ import annotations

from pathlib import Path

from sae_vis.saes import circuit_tracer_format, crosscoder_formats, gemma_scope_2_format, qwen_scope_format

KINDS = (
    crosscoder_formats.CLT_FILE,
    gemma_scope_2_format.LAYER_FILE,
    circuit_tracer_format.LAYER_FILE,
    qwen_scope_format.LAYER_FILE,
)
PATTERNS = (
    "W_enc_*.safetensors",
    "W_dec_*.safetensors",
    "params_layer_*.safetensors",
    "layer_*.safetensors",
    "layer*.sae.pt",
)
"""What the files of all kinds are called, for the hub; a layer of the first kind has two."""


def layer_files(folder: Path) -> list[Path]:
    """The files of a folder that hold a dictionary each, in the order of the layers; of the first kind there is."""
    for kind in KINDS:
        named = ((kind.fullmatch(file.name), file) for file in folder.iterdir())
        found = sorted((int(match[1]), file) for match, file in named if match)
        if found:
            return [file for _, file in found]
    return []
