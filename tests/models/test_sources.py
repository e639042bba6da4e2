"""Every parameter has a source in the files, and every weight a place; a load that is not whole is refused by name."""

import json
import shutil

import peft
import pytest
import safetensors.torch
import torch
import transformers

from trimtab.errors import InputError
from trimtab.models import Plan, load

INDEX = "model.safetensors.index.json"


@pytest.fixture
def saved(tmp_path, plain, tokenizer):
    """`saved("name", hf, shards=True)`: a transformers folder."""

    def make(name="tiny", hf=None, shards=False):
        path = tmp_path / name
        (hf or plain()).save_pretrained(path, **({"max_shard_size": "30KB"} if shards else {}))
        tokenizer.save_pretrained(path)
        return path

    return make


def edited(folder, change, name="model.safetensors"):
    weights = safetensors.torch.load_file(folder / name)
    change(weights)
    safetensors.torch.save_file(weights, folder / name, {"format": "pt"})
    return folder


def configured(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def shards(folder):
    return sorted(p for p in folder.glob("model-*.safetensors"))


def test_a_sharded_model_loads_whole(saved, plain, batch_of, tokens):
    model, batch = load(saved(shards=True), dtype="float32"), batch_of(tokens(0, 6))
    with torch.no_grad():
        expected = plain()(batch.ids).logits
    torch.testing.assert_close(model.forward(batch, Plan(logits="all")).logits, expected)


def test_a_missing_shard_is_named(saved):
    folder = saved(shards=True)
    lost = shards(folder)[1]
    lost.unlink()
    with pytest.raises(InputError, match=f"lacks 1 of the .* files that {INDEX} names: {lost.name}; download"):
        load(folder)


def test_a_shard_of_another_download_is_named(saved):
    folder = saved(shards=True)
    shutil.copy(shards(folder)[0], folder / "model-00099-of-00099.safetensors")
    with pytest.raises(InputError, match="does not name: model-00099-of-00099"):
        load(folder)


def test_a_shard_that_was_cut_off_is_named(saved):
    folder = saved(shards=True)
    cut = shards(folder)[1]
    cut.write_bytes(cut.read_bytes()[:-50])
    with pytest.raises(InputError, match=f"{cut.name} cannot be loaded: .*not completely downloaded"):
        load(folder)


def test_shards_without_an_index_and_a_damaged_index_are_refused(saved):
    folder = saved(shards=True)
    (folder / INDEX).write_text("{")
    with pytest.raises(InputError, match=f"{INDEX} is not an index of weights"):
        load(folder)
    (folder / INDEX).unlink()
    with pytest.raises(InputError, match=f"but no {INDEX}"):
        load(folder)


def test_a_weight_that_the_index_promises_in_vain_is_named(saved):
    folder = saved(shards=True)
    lost = []
    edited(folder, lambda w: lost.append(w.popitem()[0]), shards(folder)[1].name)
    with pytest.raises(InputError, match=f"lacks 1 weights that {INDEX} says are in it: {lost[0]}"):
        load(folder)


def test_blocks_beyond_the_config_are_refused_and_not_left_out(saved):
    with pytest.raises(InputError, match=r"have no place in the model .*model\.layers\.2\.input_layernorm"):
        load(configured(saved(), num_hidden_layers=2))


def test_a_bias_beyond_the_config_is_refused_and_not_left_out(saved):
    def add(weights):
        weights["model.layers.1.self_attn.q_proj.bias"] = torch.ones(32)

    with pytest.raises(InputError, match=r"no place in the model .*model\.layers\.1\.self_attn\.q_proj\.bias"):
        load(edited(saved(), add))


def test_weights_of_another_shape_are_named_with_both(saved):
    with pytest.raises(InputError, match=r"other shapes .*lm_head\.weight \[200, 32\] instead of \[180, 32\]"):
        load(configured(saved(), vocab_size=180))


def test_a_renamed_head_is_named(saved):
    def rename(weights):
        weights["output.weight"] = weights.pop("lm_head.weight")

    with pytest.raises(InputError, match=r"missing, lm_head\.weight; 1 others fit nothing: output\.weight"):
        load(edited(saved(), rename))


def test_tied_heads_need_one_source_and_untied_ones_two(saved, plain):
    tied = saved("tied", plain(tie_word_embeddings=True))
    model = load(tied, dtype="float32")
    assert model.hf.lm_head.weight is model.hf.model.embed_tokens.weight
    with pytest.raises(InputError, match=r"missing, lm_head\.weight, model\.embed_tokens\.weight"):
        load(edited(tied, lambda w: w.pop("model.embed_tokens.weight")))
    with pytest.raises(InputError, match=r"missing, lm_head\.weight"):
        load(edited(saved("untied"), lambda w: w.pop("lm_head.weight")))


def test_what_lies_beside_the_decoder_is_left_out_and_said(saved, caplog):
    def add(weights):
        weights["v_head.summary.weight"] = torch.ones(1, 32)

    assert load(edited(saved(), add)).n_blocks == 4
    assert "v_head.summary.weight" in caplog.text


OTHER_KINDS = {
    "LlamaForSequenceClassification": "was saved as LlamaForSequenceClassification",
    "LlamaModel": "1 weights are missing, lm_head.weight",
}


@pytest.mark.parametrize("kind", list(OTHER_KINDS))
def test_a_folder_of_another_kind_of_model_is_refused(kind, saved, plain):
    with pytest.raises(InputError, match=OTHER_KINDS[kind]):
        load(saved("other", getattr(transformers, kind)(plain().config)))


def test_an_encoder_decoder_folder_is_refused(saved):
    config = transformers.T5Config(vocab_size=200, d_model=16, d_ff=16, d_kv=4, num_layers=1, num_heads=2)
    with pytest.raises(InputError, match=r"is an encoder-decoder \(T5ForConditionalGeneration\)"):
        load(saved("t5", transformers.T5ForConditionalGeneration(config)))


# Adapters


def tuned(tmp_path, plain, name="adapter", kind=peft.LoraConfig, base=None, **options):
    torch.manual_seed(4)
    settings = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "up_proj"], **options}
    model = peft.get_peft_model(base or plain(), kind(**settings))
    for p in model.parameters():
        if p.requires_grad:
            p.data += 0.2 * torch.randn_like(p)
    model.save_pretrained(tmp_path / name)
    return model.eval(), tmp_path / name


ADAPTERS = {
    "lora": {"r": 2},
    "dora": {"r": 2, "use_dora": True},
    "rslora": {"r": 2, "use_rslora": True},
    "head": {"r": 2, "modules_to_save": ["lm_head"]},
    "ia3": {"kind": peft.IA3Config, "feedforward_modules": []},
    "loha": {"kind": peft.LoHaConfig, "r": 2},
    "adalora": {"kind": peft.AdaLoraConfig, "total_step": 10},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(ADAPTERS))
def test_an_adapter_from_a_folder_computes_as_the_one_in_memory(name, saved, plain, tmp_path, batch_of, tokens):
    model, folder = tuned(tmp_path, plain, **ADAPTERS[name])
    batch = batch_of(tokens(0, 6))
    with torch.no_grad():
        expected = model(batch.ids).logits
    got = load(saved(), dtype="float32", adapter=str(folder)).forward(batch, Plan(logits="all")).logits
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_an_adapter_that_fits_nothing_or_partly_is_refused_by_name(saved, plain, tmp_path):
    base = saved()
    for change, why in {
        lambda w: [w.__setitem__("x." + k, w.pop(k)) for k in list(w)]: r"fit nothing in the model: x\.",
        lambda w: [w.pop(k) for k in list(w) if ".2." in k]: r"no weights for 4 of its parts: model\.layers\.2",
        lambda w: w.update({k: torch.ones(2, 9) for k in w if "lora_A" in k}): r"other shapes: .*\[2, 9\] instead of",
    }.items():
        _, folder = tuned(tmp_path, plain, r=2)
        edited(folder, change, "adapter_model.safetensors")
        with pytest.raises(InputError, match=why) as refused:
            load(base, adapter=str(folder))
        assert "report" not in str(refused.value)
        shutil.rmtree(folder)


def test_an_adapter_of_a_deeper_model_is_refused_by_name(saved, plain, tmp_path):
    _, folder = tuned(tmp_path, plain, base=plain(num_hidden_layers=6), r=2)
    with pytest.raises(InputError, match=r"fit nothing in the model: model\.layers\.4"):
        load(saved(), adapter=str(folder))


@pytest.mark.parametrize("kind", [peft.PromptTuningConfig, peft.PrefixTuningConfig])
def test_learnt_tokens_are_refused(kind, saved, plain, tmp_path):
    model = peft.get_peft_model(plain(), kind(task_type="CAUSAL_LM", num_virtual_tokens=2))
    model.save_pretrained(tmp_path / "prompt")
    with pytest.raises(InputError, match="puts learned tokens in front"):
        load(saved(), adapter=str(tmp_path / "prompt"))


def test_an_adapter_given_as_a_model_is_answered_with_its_base(saved, plain, tmp_path):
    hf = transformers.AutoModelForCausalLM.from_pretrained(saved())
    _, folder = tuned(tmp_path, plain, base=hf, r=2)
    base = tmp_path / "tiny"
    with pytest.raises(InputError, match=rf'is a PEFT adapter for {base}.*load\("{base}", adapter="{folder}"\)'):
        load(folder)


def test_a_model_given_as_an_adapter_is_told_so(saved):
    with pytest.raises(InputError, match=r"the folder has no adapter_config\.json; it holds a model"):
        load(saved(), adapter=str(saved("other")))


# Folders that are no model


def test_a_folder_that_is_no_model_says_what_to_give(tmp_path, saved):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "state.json").write_text("{}")
    with pytest.raises(InputError, match="it is a data set, not a model"):
        load(tmp_path / "data")
    saved("runs/checkpoint-5")
    with pytest.raises(InputError, match=r"did you mean .*runs/checkpoint-5\?"):
        load(tmp_path / "runs")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"give one of its GGUF files: .*a\.gguf"):
        load(tmp_path / "files")


def test_a_path_that_is_not_there_is_not_told_of_the_network_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(InputError, match="there is no folder models/tiny here, and on the Hub"):
        load("models/tiny")
    with pytest.raises(InputError, match="does not exist"):
        load("weights.safetensors")
    with pytest.raises(InputError, match="to load it from the Hub give org/name"):
        load("https://huggingface.co/org/name")
