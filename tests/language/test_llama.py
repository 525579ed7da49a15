"""A model of Llama's kind: its forward pass beside one number at a time, its file, its words."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook import language
from localbook.errors import ConfigError

SHAPE = language.Shape(layers=2, heads=4, kv_heads=2, theta=100.0, eps=1e-5)
SIZES = {
    "attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32),
    "ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64),
    "attn_norm": (32,), "ffn_norm": (32,),
}  # fmt: skip
TOKENS = torch.tensor([[0, 5, 3, 3, 18], [7, 0, 1, 2, 19]])


def weights(seed=0):
    rng = np.random.default_rng(seed)
    sizes = {f"blk.{layer}.{n}.weight": s for layer in range(2) for n, s in SIZES.items()}
    sizes |= {"token_embd.weight": (20, 32), "output_norm.weight": (32,)}
    return {name: torch.tensor(rng.normal(size=s) / 4).float() for name, s in sizes.items()}


def norm(h, w):
    return h / np.sqrt(np.mean(h**2, axis=-1, keepdims=True) + SHAPE.eps) * w


def turned(v, t):
    """One head's numbers, two by two, by one angle after another."""
    out = v.copy()
    for i in range(0, len(v), 2):
        a = t / SHAPE.theta ** (i / len(v))
        out[i] = v[i] * math.cos(a) - v[i + 1] * math.sin(a)
        out[i + 1] = v[i] * math.sin(a) + v[i + 1] * math.cos(a)
    return out


def slow(w, tokens, without=()):
    """The scores (T, V) of one text, in float64, by loops over positions and heads."""
    w = {name: value.double().numpy() for name, value in w.items()}
    h = w["token_embd.weight"][tokens]
    for layer in range(SHAPE.layers):
        at = {n: w[f"blk.{layer}.{n}.weight"] for n in SIZES}
        if 2 * layer not in without:
            x, mixed = norm(h, at["attn_norm"]), np.zeros((len(h), 4, 8))
            for head in range(4):
                own, shared = (slice(8 * n, 8 * n + 8) for n in (head, head // 2))
                q = [turned(at["attn_q"][own] @ row, t) for t, row in enumerate(x)]
                k = [turned(at["attn_k"][shared] @ row, t) for t, row in enumerate(x)]
                for t in range(len(h)):
                    s = np.exp([q[t] @ k[r] / math.sqrt(8) for r in range(t + 1)])
                    values = [at["attn_v"][shared] @ row for row in x[: t + 1]]
                    mixed[t, head] = s / s.sum() @ np.array(values)
            h = h + mixed.reshape(len(h), 32) @ at["attn_output"].T
        if 2 * layer + 1 not in without:
            x = norm(h, at["ffn_norm"])
            gate = x @ at["ffn_gate"].T
            h = h + (gate / (1 + np.exp(-gate)) * (x @ at["ffn_up"].T)) @ at["ffn_down"].T
    return norm(h, w["output_norm.weight"]) @ w["token_embd.weight"].T


@pytest.mark.parametrize("without", [(), (0,), (3,), (1, 2)])
def test_scores_are_those_of_the_slow_way(without):
    w = weights()
    found = language.llama(w, SHAPE)(TOKENS, without=without)
    for scores, tokens in zip(found, TOKENS.numpy(), strict=True):
        np.testing.assert_allclose(scores, slow(w, tokens, without), atol=1e-4)


def test_a_later_token_changes_no_earlier_score():
    stream, other = language.llama(weights(), SHAPE), TOKENS.clone()
    other[:, 3:] = 4
    one, two = stream(TOKENS), stream(other)
    assert torch.equal(one[:, :3], two[:, :3])
    assert not torch.allclose(one[:, 3], two[:, 3])


def test_an_output_matrix_of_its_own_is_used_and_parameters_are_counted():
    w = weights()
    tied = language.llama(w, SHAPE)
    apart = language.llama(w | {"output.weight": 2 * w["token_embd.weight"]}, SHAPE)
    assert torch.allclose(apart(TOKENS), 2 * tied(TOKENS), atol=1e-4)
    sizes = [s.parameters for s in tied.sublayers]
    assert sizes == 2 * [32 * 32 * 2 + 16 * 32 * 2 + 32, 3 * 64 * 32 + 32]


VOCABULARY = [*(chr(c) for c in range(33, 127)), "Ġ", "Ċ", "ab", "Ġab", "abab", "Ã", "©", "é", "12"]
MERGES = ["a b", "Ġ ab", "ab ab", "1 2"]


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\n")))
def test_what_is_encoded_is_decoded(text):
    tokenizer = language.Tokenizer(VOCABULARY, MERGES)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("abab ab", ["abab", "Ġab"]),
        ("aab", ["a", "ab"]),
        ("12", ["1", "2"]),  # digits stand alone, whatever the list says
        ("ab  ab", ["ab", "Ġ", "Ġab"]),
        ("ab  1", ["ab", "Ġ", "Ġ", "1"]),
        ("ab's_x", ["ab", "'", "s", "_", "x"]),
    ],
)
def test_words_are_cut_as_the_model_learned_them(text, parts):
    tokenizer = language.Tokenizer(VOCABULARY, MERGES)
    assert [tokenizer.tokens[n] for n in tokenizer.encode(text)] == parts


def test_what_has_no_token_is_refused():
    with pytest.raises(ConfigError, match="no token for"):
        language.Tokenizer(["a"], []).encode("ab")


def test_a_file_is_read_as_it_was_written(tmp_path):
    gguf = pytest.importorskip("gguf", reason="the package gguf is not installed")
    path, w = tmp_path / "tiny.gguf", weights()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(SHAPE.layers)
    writer.add_head_count(SHAPE.heads)
    writer.add_head_count_kv(SHAPE.kv_heads)
    writer.add_rope_freq_base(SHAPE.theta)
    writer.add_layer_norm_rms_eps(SHAPE.eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_token_merges(MERGES)
    for name, value in w.items():
        kind = gguf.GGMLQuantizationType.Q8_0 if name.endswith("up.weight") else None
        raw = value.numpy() if kind is None else gguf.quants.quantize(value.numpy(), kind)
        writer.add_tensor(name, raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = language.read(path)
    assert (model.shape.heads, model.shape.kv_heads) == (4, 2)
    assert model.shape.eps == pytest.approx(SHAPE.eps)
    assert model.tokenizer.encode("abab") == [VOCABULARY.index("abab")]
    for name, value in w.items():
        assert model.weights[name].dtype == torch.float32
        torch.testing.assert_close(model.weights[name], value, atol=0.01, rtol=0)
    assert torch.equal(model.weights["output_norm.weight"], w["output_norm.weight"])


def test_bad_files_are_refused_in_one_sentence(tmp_path):
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    with pytest.raises(ConfigError, match="is no file"):
        language.read(tmp_path / "none.gguf")
    (tmp_path / "other.gguf").write_bytes(b"no model at all" * 10)
    with pytest.raises(ConfigError, match="is not a GGUF file"):
        language.read(tmp_path / "other.gguf")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(ConfigError, match=r"pip install 'localbook\[language\]'"):
        language.read(tmp_path)
    with pytest.raises(ConfigError, match=r"pip install 'localbook\[language\]'"):
        language.smollm2()


def test_scores_are_those_of_transformers(monkeypatch):
    """The same weights, with rows of queries and keys in the order that turns halves."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    peer = pytest.importorskip("transformers", reason="the package transformers is not installed")
    w, names = weights(), dict.fromkeys(SIZES)
    names |= {f"attn_{n}": f"self_attn.{n}_proj" for n in "qkv"}
    names |= {"attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm"}
    names |= {f"ffn_{n}": f"mlp.{n}_proj" for n in ("gate", "up", "down")}
    names["ffn_norm"] = "post_attention_layernorm"
    theirs = {
        "lm_head.weight": w["token_embd.weight"],
        "model.embed_tokens.weight": w["token_embd.weight"],
        "model.norm.weight": w["output_norm.weight"],
    }
    for layer in range(SHAPE.layers):
        for ours, name in names.items():
            value = w[f"blk.{layer}.{ours}.weight"]
            if ours in ("attn_q", "attn_k"):
                value = value.view(-1, 4, 2, 32).transpose(1, 2).reshape(-1, 32)
            theirs[f"model.layers.{layer}.{name}.weight"] = value
    config = peer.LlamaConfig(
        vocab_size=20, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=SHAPE.eps,
        rope_parameters={"rope_type": "default", "rope_theta": SHAPE.theta},
        tie_word_embeddings=True,
    )  # fmt: skip
    net = peer.LlamaForCausalLM(config).eval()
    net.load_state_dict(theirs)
    with torch.no_grad():
        expected = net(TOKENS, use_cache=False).logits
    torch.testing.assert_close(language.llama(w, SHAPE)(TOKENS), expected, atol=1e-5, rtol=0)
