"""A content hash of a torch model: the same weights and configuration, the same hash, wherever they are stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

# Nothing in these changes what a forward pass in evaluation mode computes; all else in a configuration may.
_IRRELEVANT = frozenset(
    {
        "architectures",
        "attention_dropout",
        "attn_pdrop",
        "bos_token_id",
        "chunk_size_feed_forward",
        "dtype",
        "embd_pdrop",
        "eos_token_id",
        "finetuning_task",
        "hidden_dropout",
        "id2label",
        "initializer_range",
        "keys_to_ignore_at_inference",
        "label2id",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "problem_type",
        "resid_pdrop",
        "return_dict",
        "task_specific_params",
        "tokenizer_class",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)


def _tensor_digest(tensor: Tensor) -> bytes:
    """SHA-256 of a tensor's bytes in row-major order."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).digest()


def _relevant(config: object) -> object:
    if isinstance(config, Mapping):
        kept = {str(key): value for key, value in config.items() if key not in _IRRELEVANT}
        return {key: _relevant(value) for key, value in kept.items() if not key.startswith("_")}
    if isinstance(config, (list, tuple)):
        return [_relevant(item) for item in config]
    return config


def fingerprint(weights: Mapping[str, Tensor], config: Mapping[str, object]) -> str:
    """``sha256:…`` of names, dtypes, shapes and contents of `weights` and of what in `config` fixes the forward.

    Tensors that share memory (tied embeddings) are read once; that they are shared does not matter for the hash. The
    order of both mappings doesn't, either.
    """
    identity = {name: (t.data_ptr(), t.dtype, t.shape, t.stride(), t.device) for name, t in weights.items()}
    distinct = {identity[name]: tensor for name, tensor in weights.items()}
    with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter lock
        digests = dict(zip(distinct, pool.map(_tensor_digest, distinct.values()), strict=True))
    total = hashlib.sha256(json.dumps(_relevant(config), sort_keys=True, default=str).encode())
    for name in sorted(weights):
        tensor = weights[name]
        total.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        total.update(digests[identity[name]])
    return f"sha256:{total.hexdigest()}"
