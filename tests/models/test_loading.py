"""What `load` takes, what it refuses, and how a GGUF file is converted once."""

import contextlib
import logging
import os
import socket

import pytest
import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model

from trimtab.errors import InputError
from trimtab.models import Plan, load


@pytest.fixture
def folder(tmp_path, plain, tokenizer):
    """A tiny Llama as a transformers folder."""
    path = tmp_path / "tiny"
    plain().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


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


def test_the_digest_follows_the_weights(folder):
    loaded = load(folder, dtype="float32")
    before = loaded.digest
    assert loaded.digest == before
    head = loaded.hf.lm_head.weight
    with torch.no_grad():
        head[3, 4] += 0.5
        changed = loaded.digest
        head[3, 4] -= 0.5
    assert changed != before
    assert loaded.digest == before
    loaded.hf.lm_head.weight = torch.nn.Parameter(head + 1)
    assert loaded.digest not in (before, changed)


def test_the_digest_cannot_see_what_bfloat16_rounds_away(folder):
    loaded = load(folder, dtype="float32")
    before = loaded.digest
    with torch.no_grad():
        loaded.hf.model.norm.weight.copy_(loaded.hf.model.norm.weight.bfloat16())
    assert loaded.digest == before


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


@pytest.mark.parametrize("source", ["./nowhere", "/no/where", "/dev/null/x", "a/b/c", "~/nowhere", "missing.gguf"])
def test_a_path_that_does_not_exist_is_an_input_error(source):
    with pytest.raises(InputError, match="does not exist"):
        load(source)


@pytest.mark.parametrize(
    ("source", "why"), [("x" * 5000, "File name too long"), ("~nosuchuser/x", "home directory"), ("a\0b", "null byte")]
)
def test_a_source_that_can_be_no_path_is_an_input_error(source, why):
    with pytest.raises(InputError, match=f"model .{{1,90}} cannot be looked up: .*{why}"):
        load(source)


@pytest.mark.parametrize("name", ["pipe", "pipe.gguf"])
def test_neither_file_nor_folder_is_an_input_error(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="neither a file nor a folder"):
        load(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):
        server.bind("socket")
        with pytest.raises(InputError, match="neither a file nor a folder"):
            load("socket")


def test_the_hubs_retries_are_not_chattered_about(monkeypatch, caplog):
    logger = logging.getLogger("huggingface_hub.utils._http")
    level = logging.getLogger("huggingface_hub").level

    def no_network(*args, **kwargs):
        logger.warning("Retrying in 1s [Retry 1/5].")
        raise OSError("We couldn't connect")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", no_network)
    logger.addHandler(caplog.handler)
    try:
        with pytest.raises(InputError, match="We couldn't connect"):
            load("nobody/nothing-here")
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.records == []
    assert logging.getLogger("huggingface_hub").level == level


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
    with pytest.raises(InputError, match="device 'meta' cannot be used: it holds no values"):
        load(folder, device="meta")
    with pytest.raises(InputError, match="device 'hpu' cannot be used"):
        load(folder, device="hpu")
    with pytest.raises(InputError, match="device_map 'meta' is unknown; one of auto, balanced"):
        load(folder, device_map="meta")


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
