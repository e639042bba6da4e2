"""How a GGUF file is converted once."""

import threading
import time
from pathlib import Path

import gguf
import pytest
import torch

from trimtab.errors import InputError
from trimtab.models import Plan, load
from trimtab.models import gguf as conversion
from trimtab.models.gguf import converted


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture
def gguf_file(tmp_path, plain):
    """A tiny Llama as a GGUF file, written by the gguf package."""
    hf = plain(tie_word_embeddings=True)
    config, weights = hf.config, hf.state_dict()
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(77)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(config.vocab_size)
    _write_tokenizer(writer, config.vocab_size)
    names = {"embed_tokens": "token_embd", "layers.": "blk.", "self_attn.": "attn_", "_proj": "", "mlp.": "ffn_"}
    names |= {"attn_o.": "attn_output.", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    for name, tensor in weights.items():
        if name == "lm_head.weight":
            continue
        if "q_proj" in name or "k_proj" in name:  # llama.cpp's order of the rotary halves
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            tensor = tensor.view(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        short = name.removeprefix("model.")
        for a, b in names.items():
            short = short.replace(a, b)
        writer.add_tensor("output_norm.weight" if short == "norm.weight" else short, tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer, size):
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    symbols = ["<s>", "</s>", *sorted(bytes_to_unicode().values())[: size - 4], "Th", "The"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(symbols)
    writer.add_token_types([3, 3] + [1] * (size - 2))
    writer.add_token_merges(["T h", "Th e"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def test_a_gguf_file_becomes_a_model_with_the_same_logits(gguf_file, cache, plain, batch_of, tokens):
    loaded, hf = load(gguf_file, dtype="float32"), plain(tie_word_embeddings=True)
    batch = batch_of(tokens(0, 9))
    with torch.no_grad():
        expected = hf(input_ids=batch.ids).logits
    torch.testing.assert_close(loaded.forward(batch, Plan(logits="all")).logits, expected, rtol=1e-5, atol=1e-5)
    assert loaded.id == "tiny.gguf"
    assert loaded.tokenizer.model_max_length == 77
    assert len(loaded.tokenizer("The")["input_ids"]) == 1
    assert [p.name for p in cache.iterdir() if p.is_dir()] == [converted(gguf_file).name]
    again = load(gguf_file, dtype="float32")
    assert again.digest == loaded.digest


@pytest.fixture
def writes(monkeypatch):
    """The conversion itself takes its time and writes one file; a list of its calls."""
    calls: list[Path] = []

    def write(path: Path, work: Path) -> None:
        calls.append(work)
        time.sleep(0.2)
        (work / "config.json").write_text("{}")

    monkeypatch.setattr(conversion, "_write", write)
    return calls


@pytest.fixture
def stub(tmp_path):
    path = tmp_path / "stub.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 64)
    return path


def test_two_conversions_at_once_convert_once(stub, cache, writes):
    targets: list[Path] = []
    threads = [threading.Thread(target=lambda: targets.append(converted(stub))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(writes) == 1
    assert len(set(targets)) == 1
    assert sorted(p.name for p in targets[0].iterdir()) == ["config.json", "trimtab.json"]


def test_what_a_killed_conversion_left_is_removed(stub, cache, writes):
    target = converted(stub)
    for p in target.iterdir():
        p.unlink()
    target.rmdir()
    left = cache / f"{target.name}.tmp-killed"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    assert converted(stub) == target
    assert [p.name for p in cache.iterdir() if p.is_dir()] == [target.name]


def test_a_conversion_that_fails_leaves_nothing(stub, cache, monkeypatch):
    def fail(path: Path, work: Path) -> None:
        (work / "model.safetensors").write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(conversion, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        converted(stub)
    assert [p for p in cache.iterdir() if p.is_dir()] == []


def test_a_gguf_file_that_is_none_is_refused(tmp_path, cache):
    path = tmp_path / "no.gguf"
    for content in (b"", b"GG", b"PK\x03\x04 something else"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not a GGUF file"):
            load(path)


def test_a_damaged_gguf_file_is_refused(stub, gguf_file, cache):
    with pytest.raises(InputError, match="cannot be converted"):
        load(stub)
    gguf_file.write_bytes(gguf_file.read_bytes()[:3000])
    with pytest.raises(InputError, match="cannot be converted"):
        load(gguf_file)


def test_a_cache_that_cannot_be_written_is_an_input_error(stub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set TRIMTAB_CACHE to a folder you own"):
        converted(stub)


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path, cache):
    with pytest.raises(InputError, match="cannot be read"):
        converted(tmp_path)


def test_a_cache_without_a_home_is_an_input_error(stub, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", "~nosuchuser/cache")
    with pytest.raises(InputError, match="set TRIMTAB_CACHE to a folder you own"):
        converted(stub)
