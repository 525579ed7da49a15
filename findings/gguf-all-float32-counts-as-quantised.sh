#!/usr/bin/env bash
# transformers 5.24.0 with gguf 0.19.0 (and torch 2.15.0)
#
# Behaviour: a model that `from_pretrained(folder, gguf_file=...)` reads counts as quantised, whatever the file holds and
# although every weight arrives as a plain float32 parameter of a plain nn.Linear. `is_quantized` is True, and half() and
# float() refuse, float() though there is nothing to do. double() and to(torch.float16) do the same kind of work and pass.
# Seen: a file of float32 tensors only, nothing in it quantised. All parameters float32, all linear layers nn.Linear,
# is_quantized True; half() and float() refused in a sentence on quantised models, double() and to(float16) done.
#
# Guessed: reading GGUF dequantises, so what comes out is a model like any other, and `.float()` on it changes nothing. At
# most a file with four-bit tensors would be special, and then every cast alike.
#
# Why it surprises: the flag says what the file's format can hold, not what the model is. Code that asks `is_quantized`
# to decide how to treat weights takes the wrong branch on plain float32, and code that casts to be safe fails.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 transformers==5.24.0 gguf==0.19.0 accelerate
fi
cd "$place"
HF_HUB_OFFLINE=1 "$python" -W ignore - <<'END'
import gguf
import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM

assert transformers.__version__ == "5.24.0", transformers.__version__
words, width, inner = 32, 16, 24
rng = np.random.default_rng(0)
shapes = {"token_embd": (words, width), "output": (words, width), "output_norm": (width,)}
for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
    shapes[f"blk.0.{name}"] = (width, width)
shapes |= {"blk.0.ffn_gate": (inner, width), "blk.0.ffn_up": (inner, width)}
shapes |= {"blk.0.ffn_down": (width, inner)}
shapes |= {"blk.0.attn_norm": (width,), "blk.0.ffn_norm": (width,)}
file = gguf.GGUFWriter("tiny.gguf", "llama")
file.add_block_count(1)
file.add_context_length(64)
file.add_embedding_length(width)
file.add_feed_forward_length(inner)
file.add_head_count(2)
file.add_head_count_kv(2)
file.add_vocab_size(words)
file.add_layer_norm_rms_eps(1e-5)
file.add_tokenizer_model("gpt2")
file.add_token_list([f"w{k}" for k in range(words)])
for name, shape in shapes.items():
    file.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
file.write_header_to_file()
file.write_kv_data_to_file()
file.write_tensors_to_file()
file.close()

model = AutoModelForCausalLM.from_pretrained(".", gguf_file="tiny.gguf", dtype=torch.float32)
dtypes = {p.dtype for p in model.parameters()}
kinds = {type(m) for m in model.modules() if isinstance(m, torch.nn.Linear)}
print("parameters:", dtypes, "linear layers:", kinds, "is_quantized:", model.is_quantized)
refused = []
for name in ("half", "float"):
    try:
        getattr(model, name)()
    except ValueError as error:
        refused.append(f"{name}: {error}")
print("refused:", *refused, sep="\n  ")
assert dtypes == {torch.float32}
assert kinds == {torch.nn.Linear}
assert model.is_quantized
assert len(refused) == 2
assert {p.dtype for p in model.double().parameters()} == {torch.float64}
assert {p.dtype for p in model.to(torch.float16).parameters()} == {torch.float16}
print("double() and to(torch.float16) pass")
END
