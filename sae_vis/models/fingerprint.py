"""A content hash of a torch model: the same weights and configuration, the same hash, wherever they are stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from sae_vis.models.wrapped import is_cut, whole

# Nothing in these changes what a forward pass in evaluation mode computes; all else in a configuration may.
_BOOK_KEEPING = [
    "architectures",
    "dtype",
    "finetuning_task",
    "id2label",
    "keys_to_ignore_at_inference",
    "label2id",
    "problem_type",
    "return_dict",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "transformers_version",
]
_TRAINING = [
    "attention_dropout",
    "attn_pdrop",
    "embd_pdrop",
    "embed_dropout",
    "hidden_dropout",
    "initializer_range",
    "resid_dropout",
    "resid_pdrop",
]
_GENERATION = [
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "use_cache",
]
_IRRELEVANT = frozenset(_BOOK_KEEPING + _TRAINING + _GENERATION)


def _tensor_digest(tensor: Tensor) -> bytes:
    """SHA-256 of a tensor's bytes in row-major order."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).digest()


def _relevant(config: object) -> object:
    """What of a configuration may change the forward.

    Fields that are off (None, False, empty) go, too: releases of transformers differ in which of them they write out.
    """
    if isinstance(config, Mapping):
        kept = {str(key): value for key, value in config.items() if key not in _IRRELEVANT}
        on = {key: value for key, value in kept.items() if value is not None and value is not False and value != {}}
        return {key: _relevant(value) for key, value in on.items() if not key.startswith("_")}
    if isinstance(config, (list, tuple)):
        return [_relevant(item) for item in config]
    return config


def fingerprint(weights: Mapping[str, Tensor], config: Mapping[str, object]) -> str:
    """``sha256:…`` of names, dtypes, shapes and contents of `weights` and of what in `config` fixes the forward.

    The same checkpoint may get another fingerprint from a release of transformers that names what fixes the forward in
    another way (rotary parameters between 4 and 5, for one): different in doubt, never the same by mistake.

    Tensors that share memory (tied embeddings) are read once; that they are shared does not matter for the hash. The
    order of both mappings doesn't, either.
    """
    # of what is in pieces all processes ask for the whole, one after the other and in one order
    cut = {name: _tensor_digest(whole(weights[name])) for name in sorted(weights) if is_cut(weights[name])}
    own = {name: tensor for name, tensor in weights.items() if name not in cut}
    identity = {name: (t.data_ptr(), t.dtype, t.shape, t.stride(), t.device) for name, t in own.items()}
    distinct = {identity[name]: tensor for name, tensor in own.items()}
    with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter lock
        digests = dict(zip(distinct, pool.map(_tensor_digest, distinct.values()), strict=True))
    total = hashlib.sha256(json.dumps(_relevant(config), sort_keys=True, default=str).encode())
    for name in sorted(weights):
        tensor = weights[name]
        total.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        total.update(cut[name] if name in cut else digests[identity[name]])
    return f"sha256:{total.hexdigest()}"
