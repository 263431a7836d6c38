"""Train the demo's language model: a four-layer GPT-NeoX with rotary positions and GELU neurons.

Run: torchrun --standalone --nproc-per-node 2 -m training.train_lm --corpora CORPORA --model MODEL_DIR --work WORK_DIR

One process for each core, one thread in each: they meet once a step, where the threads of one process would meet in
every operation, which is slow on a machine that is busy with other things.

The learning rate warms up, stays, and goes linearly to zero over the last steps. The file WORK_DIR/STOP starts that
last part at once; WORK_DIR/checkpoint.pt is written regularly and picked up by a second run.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  (the field's own name for it)
from torch import Tensor, nn
from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM

from training.corpus import CorpusConfig
from training.tokens import Stream, Tokens, cut_rows, endless_rows, load_streams

ROTARY_SHARE = 0.5  # of each head's dimensions


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides the result besides the texts.

    Attributes:
        context: Tokens in a row during the decay and in the evaluation, BOS included.
        stable_context: Tokens in a row before the decay; short rows are quicker.
        batch_tokens: Tokens in a step, over all processes.
        peak_lr: Learning rate between warm-up and decay.
        warmup_steps: Steps of linear warm-up.
        stable_steps: Steps from the start to the beginning of the decay.
        decay_steps: Steps of linear decay to zero.
        weight_decay: AdamW's, on matrices only.
        max_grad_norm: Gradients are clipped to this norm.
        seed: Of the initial weights and the order of the rows.
        checkpoint_steps: Steps between two checkpoints.
    """

    context: int = 256
    stable_context: int = 128
    batch_tokens: int = 2_048
    peak_lr: float = 3e-3
    warmup_steps: int = 150
    stable_steps: int = 5_500
    decay_steps: int = 1_500
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    seed: int = 0
    checkpoint_steps: int = 250


def model_config(vocab_size: int, context: int, end_of_text: int) -> GPTNeoXConfig:
    """Four layers, six heads of 32, sequential residual, tied embeddings: 2.6 million parameters."""
    config = GPTNeoXConfig(
        vocab_size=vocab_size,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=6,
        intermediate_size=768,
        hidden_act="gelu",
        rotary_pct=ROTARY_SHARE,
        max_position_embeddings=context,
        use_parallel_residual=False,
        tie_word_embeddings=True,
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
        pad_token_id=end_of_text,
    )
    # transformers 5 writes only `rope_parameters`, which transformers 4 does not read
    config.rotary_pct, config.rotary_emb_base = ROTARY_SHARE, 10_000
    return config


def init_model(config: GPTNeoXConfig, seed: int) -> GPTNeoXForCausalLM:
    """Fresh weights; what writes into the residual stream starts smaller by sqrt(2 * layers), as in GPT-2."""
    torch.manual_seed(seed)
    model = GPTNeoXForCausalLM(config)
    with torch.no_grad():
        for layer in model.gpt_neox.layers:
            for writer in (layer.attention.dense, layer.mlp.dense_4h_to_h):
                writer.weight /= math.sqrt(2 * config.num_hidden_layers)
    return model


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; biases and norms are not decayed."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.peak_lr, betas=(0.9, 0.95), fused=True)


def learning_rate(step: int, decay_start: int, config: TrainConfig) -> float:
    """Warm-up, plateau, linear decay to zero; step counts from 0."""
    warmup = min(1.0, (step + 1) / config.warmup_steps)
    decay = min(1.0, (decay_start + config.decay_steps - step) / config.decay_steps)
    return config.peak_lr * warmup * max(0.0, decay)


def next_token_loss(model: GPTNeoXForCausalLM, rows: Tensor) -> Tensor:
    """Mean cross entropy in nats over all positions but the last. rows: [n_rows, context]."""
    logits = model(input_ids=rows[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def to_tensor(rows: list[Tokens] | Tokens) -> Tensor:
    """Row tokens as int64. [n_rows, context]."""
    return torch.from_numpy(np.asarray(rows).astype(np.int64))


@torch.no_grad()
def held_out_losses(
    model: GPTNeoXForCausalLM, streams: list[Stream], context: int, max_rows: int = 10_000
) -> dict[str, float]:
    """Loss of each held-out source in nats a token."""
    bos = model.config.bos_token_id
    losses: dict[str, float] = {}
    for stream in streams:
        if stream.held_out:
            rows = to_tensor(cut_rows(stream.tokens, context, bos)[:max_rows])
            batches = rows.split(32)
            total = sum(float(next_token_loss(model, batch)) * len(batch) for batch in batches)
            losses[stream.source] = total / len(rows)
    return losses


def bits_per_byte(losses: dict[str, float], streams: list[Stream]) -> dict[str, float]:
    """Nats a token to bits a byte of text, with each held-out stream's own tokens a byte."""
    held_out = {stream.source: stream for stream in streams if stream.held_out}
    return {
        source: loss / math.log(2) * len(held_out[source].tokens) / held_out[source].n_bytes
        for source, loss in losses.items()
    }


def share_gradients(model: nn.Module, scalars: list[float]) -> list[float]:
    """Mean over the processes, in place for the gradients and returned for the scalars."""
    if not dist.is_initialized():
        return scalars
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients] + [torch.tensor(scalars)])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = flat.split([g.numel() for g in gradients] + [len(scalars)])
    for gradient, part in zip(gradients, parts[:-1], strict=True):
        gradient.copy_(part.view_as(gradient))
    return parts[-1].tolist()


class BatchSource:
    """Row batches of this process: the stream of step `n` does not depend on interruptions within an epoch of rows."""

    def __init__(self, streams: list[Stream], bos: int, config: TrainConfig, context: int) -> None:
        """Start at the first batch."""
        self._rows = endless_rows(streams, context, bos, config.seed + context)
        self._n_rows = config.batch_tokens // context

    def skip(self, n_batches: int) -> None:
        """Go past batches that were trained on before an interruption."""
        next(islice(self._rows, max(0, n_batches * self._n_rows - 1), n_batches * self._n_rows), None)

    def next(self) -> Tensor:
        """This process's share of the next batch. [n_rows / n_processes, context]."""
        rows = list(islice(self._rows, self._n_rows))
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        return to_tensor(rows[rank::world])


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Written beside and renamed, so that a kill leaves the old one."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


@dataclass(kw_only=True)
class Progress:
    """Where a run is.

    Attributes:
        step: Steps done.
        decay_start: Step at which the decay begins.
    """

    step: int
    decay_start: int

    def is_decaying(self) -> bool:
        """True from the first step of the decay on."""
        return self.step >= self.decay_start


def resume(model: nn.Module, optimizer: torch.optim.Optimizer, path: Path, config: TrainConfig) -> Progress:
    """Load the checkpoint, if there is one."""
    if not path.exists():
        return Progress(step=0, decay_start=config.stable_steps)
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(step=state["step"], decay_start=state["decay_start"])


def train(model: GPTNeoXForCausalLM, streams: list[Stream], config: TrainConfig, work: Path) -> None:
    """Train in place; resumes from `work/checkpoint.pt` and listens to `work/STOP`."""
    optimizer = make_optimizer(model, config)
    at = resume(model, optimizer, work / "checkpoint.pt", config)
    bos = model.config.bos_token_id
    stable = BatchSource(streams, bos, config, config.stable_context)
    decaying = BatchSource(streams, bos, config, config.context)
    stable.skip(min(at.step, at.decay_start))
    decaying.skip(max(0, at.step - at.decay_start))
    started, first_step, running = time.monotonic(), at.step, math.nan
    while at.step < at.decay_start + config.decay_steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(at.step, at.decay_start, config)
        loss = next_token_loss(model, (decaying if at.is_decaying() else stable).next())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        mean_loss, stop = share_gradients(model, [loss.item(), float((work / "STOP").exists())])
        nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        at.step += 1
        if stop and not at.is_decaying():
            at.decay_start = at.step
        running = mean_loss if math.isnan(running) else 0.98 * running + 0.02 * mean_loss
        if is_main_process() and at.step % 25 == 0:
            rate = (at.step - first_step) * config.batch_tokens / (time.monotonic() - started)
            print(f"step {at.step} decay {at.decay_start} loss {running:.4f} tokens/s {rate:.0f}", flush=True)
        if is_main_process() and at.step % config.checkpoint_steps == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save_checkpoint(work / "checkpoint.pt", state | {"step": at.step, "decay_start": at.decay_start})


def is_main_process() -> bool:
    """True in exactly one of the processes: the one that prints and saves."""
    return not dist.is_initialized() or dist.get_rank() == 0


def save_and_verify(model: GPTNeoXForCausalLM, streams: list[Stream], model_dir: Path, context: int) -> None:
    """Save as float16, load again, and print the held-out losses before and after the rounding."""
    before = held_out_losses(model, streams, context)
    model.half().save_pretrained(model_dir)
    again = GPTNeoXForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    after = held_out_losses(again, streams, context)
    bits = bits_per_byte(after, streams)
    for source in before:
        print(f"{source}: {before[source]:.4f} -> float16 {after[source]:.4f} nats, {bits[source]:.3f} bits/byte")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, help="directory with the *.txt.gz files")
    parser.add_argument("--model", type=Path, required=True, help="directory of the tokenizer; the model is put there")
    parser.add_argument("--work", type=Path, required=True, help="directory for the checkpoint and the STOP file")
    parser.add_argument("--stable-steps", type=int, default=TrainConfig.stable_steps)
    parser.add_argument("--decay-steps", type=int, default=TrainConfig.decay_steps)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if "RANK" in os.environ:  # started by torchrun
        dist.init_process_group("gloo")
    config = TrainConfig(stable_steps=args.stable_steps, decay_steps=args.decay_steps)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    streams = load_streams(CorpusConfig(corpora=args.corpora), tokenizer)
    for stream in streams if is_main_process() else []:
        print(f"{stream.source} held_out={stream.held_out}: {len(stream.tokens)} tokens, {stream.n_bytes} bytes")
    model = init_model(model_config(len(tokenizer), config.context, tokenizer.eos_token_id), config.seed)
    train(model, streams, config, args.work)
    if is_main_process():
        save_and_verify(model, streams, args.model, config.context)


if __name__ == "__main__":
    main()
