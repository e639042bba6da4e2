"""What `load` takes, what it refuses, and how a GGUF file is converted once."""

import threading
import time
from pathlib import Path

import gguf
import pytest
import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model

from trimtab.errors import InputError
from trimtab.models import Plan, load
from trimtab.models import gguf as conversion
from trimtab.models.gguf import converted


@pytest.fixture
def folder(tmp_path, plain, tokenizer):
    """A tiny Llama as a transformers folder."""
    path = tmp_path / "tiny"
    plain().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


def test_a_folder_loads_with_its_tokenizer(folder, model):
    loaded = load(folder, dtype="float32")
    assert (loaded.id, loaded.revision, loaded.n_blocks, loaded.d_model) == ("tiny", None, 4, 32)
    assert loaded.generate("The sky is", max_new_tokens=6) == model.generate("The sky is", max_new_tokens=6)
    assert loaded.context_length == 128


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_blocks_are_loaded_in_the_dtype_asked_for(dtype, folder):
    assert str(load(folder, dtype=dtype).dtype) == f"torch.{dtype}"


def test_the_digest_is_of_the_weights_and_not_of_their_dtype(folder):
    digests = [load(folder, dtype=dtype).digest for dtype in ("float32", "bfloat16")]
    assert digests[0] == digests[1]
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights["model.layers.2.mlp.up_proj.weight"][3, 4] += 0.5
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert load(folder, dtype="float32").digest != digests[0]


def test_a_device_map_shards_and_offloads(folder, model, batch_of, tokens):
    where = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "disk", "model.layers.2": "cpu"}
    where |= {"model.layers.3": "disk", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    loaded = load(folder, dtype="float32", device_map=where)
    batch = batch_of(tokens(0, 6))
    assert torch.equal(
        loaded.forward(batch, Plan(logits="all")).logits, model.forward(batch, Plan(logits="all")).logits
    )
    assert loaded.digest == model.digest


def test_an_unknown_id_is_an_input_error(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"model 'nobody/nothing-here' cannot be loaded: .*\nGive 'smollm2'"):
        load("nobody/nothing-here")


@pytest.mark.parametrize("source", ["./nowhere", "/no/where", "a/b/c", "~/nowhere", "missing.gguf"])
def test_a_path_that_does_not_exist_is_an_input_error(source):
    with pytest.raises(InputError, match="does not exist"):
        load(source)


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        load(tmp_path)


def test_a_single_file_that_is_no_gguf_is_refused(folder):
    with pytest.raises(InputError, match="give the model's folder instead"):
        load(folder / "model.safetensors")


def test_pickled_weights_are_refused(folder):
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="Pickled weights and remote code are refused"):
        load(folder)


def test_damaged_weights_are_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        load(folder)


def test_missing_weights_are_refused_and_not_drawn_at_random(folder):
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    del weights["model.layers.2.mlp.up_proj.weight"], weights["lm_head.weight"]
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"2 weights are missing, lm_head\.weight, model\.layers\.2\.mlp\.up_proj\.w"):
        load(folder)


def test_a_folder_without_tokenizer_is_refused(tmp_path, plain):
    plain().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="cannot be loaded"):
        load(tmp_path)


def test_unknown_dtypes_and_devices_are_refused(folder):
    with pytest.raises(InputError, match="unknown dtype 'int4'; one of auto, float32, bfloat16, float16"):
        load(folder, dtype="int4")
    with pytest.raises(InputError, match="device 'nonsense' cannot be used"):
        load(folder, device="nonsense")


def test_an_adapter_changes_the_model_and_is_named(folder, plain, tmp_path, batch_of, tokens):
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["q_proj", "up_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    tuned = get_peft_model(plain(), config)
    tuned.save_pretrained(tmp_path / "lora")
    base, adapted = load(folder, dtype="float32"), load(folder, dtype="float32", adapter=str(tmp_path / "lora"))
    batch = batch_of(tokens(0, 6))
    with torch.no_grad():
        expected = tuned(input_ids=batch.ids).logits
    got = adapted.forward(batch, Plan(logits="all")).logits
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(base.forward(batch, Plan(logits="all")).logits, got, atol=0.01)
    assert adapted.id == f"tiny+{tmp_path / 'lora'}"
    assert adapted.digest != base.digest


def test_a_pickled_adapter_is_refused(folder, plain, tmp_path):
    tuned = get_peft_model(plain(), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    tuned.save_pretrained(tmp_path / "lora", safe_serialization=False)
    file = tmp_path / "lora" / "adapter_model.safetensors"
    if file.exists():  # newer PEFT has no pickles any more
        torch.save(safetensors.torch.load_file(file), file.with_suffix(".bin"))
        file.unlink()
    with pytest.raises(InputError, match=r"adapter .* cannot be loaded: .*adapter_model\.safetensors"):
        load(folder, adapter=str(tmp_path / "lora"))


def test_an_adapter_that_is_none_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"adapter .* cannot be loaded"):
        load(folder, adapter=str(tmp_path / "nothing"))


# GGUF


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
