"""How a GGUF file is converted once."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import gguf
import pytest
import torch

from trimtab.errors import InputError
from trimtab.models import Plan, load
from trimtab.models import gguf as conversion
from trimtab.models.gguf import convert


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture
def written(tmp_path, plain):
    """`written("x.gguf", parts=2, without="blk.2.", extra={…})`: a tiny Llama, written by the gguf package."""

    def make(name="tiny.gguf", parts=1, without=None, extra=None, blocks=None):
        hf = plain(tie_word_embeddings=True)
        tensors = {k: v for k, v in _tensors(hf).items() if without is None or not k.startswith(without)}
        every, config = list({**tensors, **(extra or {})}.items()), hf.config
        each, paths = -(-len(every) // parts), []
        for k in range(parts):
            path = tmp_path / (name if parts == 1 else f"{name[:-5]}-{k + 1:05d}-of-{parts:05d}.gguf")
            writer = gguf.GGUFWriter(path, "llama")
            if k == 0:
                _write_settings(writer, config, blocks or config.num_hidden_layers)
            if parts > 1:
                writer.add_uint16("split.no", k)
                writer.add_uint16("split.count", parts)
                writer.add_int32("split.tensors.count", len(every))
            for key, value in every[k * each : (k + 1) * each]:
                writer.add_tensor(key, value)
            _finish(writer)
            paths.append(path)
        return paths

    return make


@pytest.fixture
def gguf_file(written):
    """A tiny Llama as a GGUF file."""
    return written()[0]


def _finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_settings(writer, config, blocks):
    writer.add_context_length(77)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(blocks)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(config.vocab_size)
    _write_tokenizer(writer, config.vocab_size)


def _tensors(hf):
    config, result = hf.config, {}
    names = {"embed_tokens": "token_embd", "layers.": "blk.", "self_attn.": "attn_", "_proj": "", "mlp.": "ffn_"}
    names |= {"attn_o.": "attn_output.", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    for name, tensor in hf.state_dict().items():
        if name == "lm_head.weight":
            continue
        if "q_proj" in name or "k_proj" in name:  # llama.cpp's order of the rotary halves
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            tensor = tensor.view(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        short = name.removeprefix("model.")
        for old, new in names.items():
            short = short.replace(old, new)
        result["output_norm.weight" if short == "norm.weight" else short] = tensor.contiguous().numpy()
    return result


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
    assert [p.name for p in cache.iterdir() if p.is_dir()] == [convert(gguf_file).name]
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
    threads = [threading.Thread(target=lambda: targets.append(convert(stub))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(writes) == 1
    assert len(set(targets)) == 1
    assert sorted(p.name for p in targets[0].iterdir()) == ["config.json", "trimtab.json"]


def test_what_a_killed_conversion_left_is_removed(stub, cache, writes):
    target = convert(stub)
    for p in target.iterdir():
        p.unlink()
    target.rmdir()
    code = (
        "import os, sys; from pathlib import Path; from trimtab.storage.atomic import whole_folder\n"
        "with whole_folder(Path(sys.argv[1])) as work:\n"
        "    (work / 'model.safetensors').write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert [p for p in cache.iterdir() if p.is_dir()]
    assert convert(stub) == target
    assert [p.name for p in cache.iterdir() if p.is_dir()] == [target.name]


def test_a_conversion_that_fails_leaves_nothing(stub, cache, monkeypatch):
    def fail(path: Path, work: Path) -> None:
        (work / "model.safetensors").write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(conversion, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        convert(stub)
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
        convert(stub)


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path, cache):
    with pytest.raises(InputError, match="cannot be read"):
        convert(tmp_path)


def test_a_cache_without_a_home_is_an_input_error(stub, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", "~nosuchuser/cache")
    with pytest.raises(InputError, match="set TRIMTAB_CACHE to a folder you own"):
        convert(stub)


# Split files, and files that are no whole model


def test_a_split_file_is_loaded_from_all_parts_whichever_is_given(written, cache, plain, batch_of, tokens):
    hf, batch = plain(tie_word_embeddings=True), batch_of(tokens(0, 9))
    with torch.no_grad():
        expected = hf(input_ids=batch.ids).logits
    for part in written(parts=3):
        loaded = load(part, dtype="float32")
        torch.testing.assert_close(loaded.forward(batch, Plan(logits="all")).logits, expected, rtol=1e-5, atol=1e-5)
        assert not list(convert(part).glob("*.gguf"))
    assert len([p for p in cache.iterdir() if p.is_dir()]) == 1


def test_a_part_that_is_missing_is_named(written, cache):
    first, second, third = written(parts=3)
    second.unlink()
    for part in (first, third):
        with pytest.raises(InputError, match=f"one of 3 parts of a model, and 1 are not beside it: {second.name}"):
            load(part)


def test_a_part_under_another_name_is_refused_by_its_header(written, cache, tmp_path):
    for part in written(parts=2):
        alone = part.rename(tmp_path / "renamed.gguf")
        with pytest.raises(InputError, match="one of 2 parts of a model, by its header"):
            load(alone)


def test_parts_in_another_order_are_refused(written, cache, tmp_path):
    first, second = written(parts=2)
    first.rename(tmp_path / "swap")
    second.rename(first)
    (tmp_path / "swap").rename(second)
    with pytest.raises(InputError, match="is part 2 by its header and part 1 by its name"):
        load(first)


@pytest.mark.parametrize(
    ("without", "why"),
    [
        ("blk.2.", "lacks the weights of 1 of 4 blocks, 2"),
        (("blk.2.", "blk.3."), "lacks the weights of 2 of 4 blocks, 2 to 3"),
        ("blk.1.ffn_up", r"1 weights are missing, model\.layers\.1\.mlp\.up_proj\.weight"),
        ("output_norm", r"1 weights are missing, model\.norm\.weight"),
        ("token_embd", r"2 weights are missing, lm_head\.weight, model\.embed_tokens\.weight"),
        ("", "holds no weights"),
    ],
)
def test_a_file_that_lacks_tensors_is_refused_by_name(without, why, written, cache):
    with pytest.raises(InputError, match=why):
        load(written(without=without)[0])
    assert [p for p in cache.iterdir() if p.is_dir()] == []


def test_tensors_that_fit_nothing_are_refused_by_name(written, cache):
    with pytest.raises(InputError, match="weights of block 3, but 3 blocks"):
        load(written(blocks=3)[0])
    bias = {"blk.1.attn_q.bias": torch.ones(32).numpy()}
    with pytest.raises(InputError, match=r"biases that transformers has no place for .*blk\.1\.attn_q\.bias"):
        load(written(extra=bias)[0])
    misfit = {"blk.1.attn_q.weight": torch.ones(16, 32).numpy()}
    with pytest.raises(InputError, match=r"other shapes .*q_proj\.weight \[16, 32\] instead of \[32, 32\]"):
        load(written(extra=misfit)[0])


def test_a_download_that_was_cut_off_is_refused(gguf_file, cache):
    whole = gguf_file.read_bytes()
    for length in (3000, len(whole) // 2, len(whole) - 40):
        gguf_file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="damaged or not completely downloaded"):
            load(gguf_file)


@pytest.mark.parametrize(
    ("architecture", "settings", "why"),
    [
        ("llama", {"general.type": "adapter", "adapter.type": "lora"}, "is a LoRA adapter, not a model"),
        ("llama", {"adapter.type": "lora"}, "is a LoRA adapter, not a model"),
        ("controlvector", {"controlvector.model_hint": "llama"}, "is a control vector, not a model"),
        ("clip", {}, "is the vision part of a model"),
        ("clip", {"general.type": "mmproj"}, "is the vision part of a model"),
    ],
)
def test_what_is_no_language_model_is_refused_by_its_header(architecture, settings, why, tmp_path, cache, monkeypatch):
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in settings.items():
        writer.add_string(key, value)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", torch.ones(2, 32).numpy())
    _finish(writer)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)  # nothing is built
    with pytest.raises(InputError, match=why):
        load(path)
