"""SmolLM2's forward pass beside transformers', on the same weights.

Neither transformers nor accelerate, which it reads GGUF files with, is a dependency.
"""

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import Tensor

from localbook import language
from localbook.benchmarks.harness import Meter, Row, Target, by_turns, counted, timed
from localbook.errors import ConfigError

LENGTHS: tuple[int, ...] = (16, 64, 256)


def measure(meter: Meter, lengths: tuple[int, ...] = LENGTHS) -> Iterator[Row]:
    """Yield times and the largest difference of scores, on Python's manual on assignments.

    The target is about ratios of two passes in succession, as a slow spell meets both.
    """
    other = _transformers()
    own = language.smollm2()
    assert own.tokenizer
    numbers = own.tokenizer.encode(topics["assignment"])
    stream, peer = torch.inference_mode()(own.stream()), "transformers"
    for length in lengths:
        x = torch.tensor([[0, *numbers[: length - 1]]])
        routines = {"own": partial(stream, x), "other": partial(_scores, other, x)}
        times, size = meter.compare(routines), f"{length} tokens"
        yield timed("SmolLM2", size, times["own"], peer, times["other"])
        ratios = meter.turns(routines["own"], routines["other"])
        yield by_turns(f"SmolLM2, over {peer}", size, ratios, Target("value", 1.0))
        apart = float((stream(x) - _scores(other, x)).abs().max())
        yield counted("SmolLM2", size, "largest difference", apart, target=Target("value", 1e-4))


@torch.inference_mode()
def _scores(model: Any, x: Tensor) -> Tensor:
    scores: Tensor = model(x, use_cache=False).logits
    return scores


def _transformers() -> Any:
    try:
        import_module("accelerate")  # transformers asks for it only when it reads
        read = import_module("transformers").AutoModelForCausalLM.from_pretrained
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the benchmark language needs {error.name}: pip install transformers accelerate."
        ) from None
    file = language.smollm2_file()
    return read(str(file.parent), gguf_file=file.name, dtype=torch.float32).eval()
