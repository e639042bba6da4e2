"""What is no decoder is refused in one sentence; positions and padding are what the model itself makes of them."""

import logging

import pytest
import torch
import transformers

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Model, Plan

TEXTS = ["The sky", "The capital of France is Paris", "Is it?"]
SMALL = {
    "vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
BART = {
    "vocab_size": 200, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "init_std": 0.3,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def build(kind, config, **settings):
    torch.manual_seed(0)
    return getattr(transformers, kind)(getattr(transformers, config)(**settings)).eval()


AHEAD = {
    "BertLMHeadModel": ("BertConfig", SMALL),
    "RobertaForCausalLM": ("RobertaConfig", SMALL),
    "ElectraForCausalLM": ("ElectraConfig", {**SMALL, "embedding_size": 32}),
    "XLNetLMHeadModel": (
        "XLNetConfig",
        {"vocab_size": 200, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "initializer_range": 0.3},
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", list(AHEAD))
def test_a_model_that_looks_ahead_is_refused(kind, dtype):
    config, settings = AHEAD[kind]
    with pytest.raises(InputError, match=f"{kind} looks ahead"):
        Model(build(kind, config, **settings).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "gemma2", "mixtral", "bloom"])
def test_a_decoder_is_not_taken_for_one_that_looks_ahead(name, dtype, wrapped):
    assert wrapped(name, dtype=dtype).n_blocks == 4


OTHERS = {
    "T5ForConditionalGeneration": ("T5Config", {"vocab_size": 200, "d_model": 32, "d_ff": 48}, "encoder-decoder"),
    "BartForConditionalGeneration": ("BartConfig", BART, "encoder-decoder"),
    "WhisperForConditionalGeneration": ("WhisperConfig", {**BART, "decoder_start_token_id": 1}, "encoder-decoder"),
    "LlamaModel": ("LlamaConfig", SMALL, "no head that predicts"),
    "LlamaForSequenceClassification": ("LlamaConfig", SMALL, "no head that predicts"),
    "GPT2ForTokenClassification": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 4}, "no head that predicts"),
    "BertForMaskedLM": ("BertConfig", SMALL, "no head that predicts"),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(OTHERS))
def test_what_is_no_decoder_is_refused_in_one_sentence(kind, tokenizer):
    config, settings, why = OTHERS[kind]
    with pytest.raises(InputError, match=f"^{kind} .*{why}.*AutoModelForCausalLM") as refused:
        Model(build(kind, config, **settings), tokenizer)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "config", "pad"),
    [
        ("RobertaForCausalLM", "RobertaConfig", 0),
        ("RobertaForCausalLM", "RobertaConfig", 7),
        ("CamembertForCausalLM", "CamembertConfig", 1),  # what the tokenizer puts in front is padding to the model
        ("XLMRobertaForCausalLM", "XLMRobertaConfig", 1),
        ("OPTForCausalLM", "OPTConfig", 1),
    ],
)
def test_positions_are_those_that_the_model_itself_begins_at(kind, config, pad, tokenizer):
    own = {"ffn_dim": 48, "word_embed_proj_dim": 32} if config == "OPTConfig" else {"is_decoder": True}
    hf = build(kind, config, **{**SMALL, "pad_token_id": pad, "max_position_embeddings": 100, **own})
    model = Model(hf, tokenizer)
    captured = model.capture(TEXTS, [Site(1)]).activations[Site(1)]
    totals = model.score(TEXTS, [" yes"] * 3).total
    for i, text in enumerate(TEXTS):
        ids = [model.encoder().first, *tokenizer(text)["input_ids"]]
        with torch.no_grad():
            hidden = hf(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0, -1]
            whole = [model.encoder().first, *tokenizer(text + " yes")["input_ids"]]
            logp = hf(torch.tensor([whole])).logits[0].log_softmax(-1)
        torch.testing.assert_close(captured[i], hidden, rtol=1e-4, atol=1e-4)
        by_hand = sum(logp[k - 1, whole[k]] for k in range(len(ids), len(whole)))
        torch.testing.assert_close(totals[i], by_hand, rtol=1e-3, atol=1e-3)
    expected = [_plainly(hf, model, text, 6) for text in TEXTS]
    assert [model.generate(text, max_new_tokens=6) for text in TEXTS] == expected
    assert model.generate(TEXTS, max_new_tokens=6) == expected


def _plainly(hf, model, text, n):
    """Greedy, one token after the other, without cache, mask or positions."""
    ids = [model.encoder().first, *model.tokenizer(text)["input_ids"]]
    new: list[int] = []
    for _ in range(n):
        with torch.no_grad():
            new.append(int(hf(torch.tensor([[*ids, *new]]), use_cache=False).logits[0, -1].argmax()))
        if new[-1] == hf.generation_config.eos_token_id:
            break
    return model.tokenizer.decode(new, skip_special_tokens=True)


DEAF = {  # to padding
    "RwkvForCausalLM": ("RwkvConfig", {"vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 3}),
    "BartForCausalLM": ("BartConfig", BART),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(DEAF))
def test_texts_are_written_the_same_in_a_batch_as_alone_and_it_is_said_once(kind, tokenizer, adding, caplog):
    config, settings = DEAF[kind]
    hf = build(kind, config, **settings)
    with torch.no_grad():
        for p in hf.parameters():
            if p.ndim > 1:
                p.normal_(0, 0.3)
    model, steering = Model(hf, tokenizer), adding(1, size=2)
    caplog.set_level(logging.WARNING, logger="trimtab")
    alone = [model.generate(t, steering=steering, max_new_tokens=8) for t in TEXTS]
    assert caplog.records == []  # nothing is tried where nothing is padded
    assert model.generate(TEXTS, steering=steering, strength=[1, 1, 1], max_new_tokens=8) == alone
    assert model.generate(TEXTS[::-1], steering=steering, max_new_tokens=8) == alone[::-1]
    assert [f"{kind} writes different text when a prompt is padded" in r.getMessage() for r in caplog.records] == [True]


def test_a_model_that_bears_padding_is_run_in_batches(model, caplog):
    caplog.set_level(logging.WARNING, logger="trimtab")
    assert model.tolerates_padding
    assert caplog.records == []


@pytest.mark.parametrize("option", ["attention_mask", "input_ids", "position_ids", "inputs"])
def test_generate_refuses_what_it_makes_itself(option, model):
    with pytest.raises(InputError, match=f"generate does not take {option}"):
        model.generate("The sky", **{option: torch.ones(1, 3, dtype=torch.int64)})


def test_the_positions_of_a_plain_pass_are_untouched(model, batch_of, tokens):
    batch = batch_of(tokens(1, 7))
    with torch.no_grad():
        expected = model.hf(batch.ids).logits
    assert torch.equal(model.forward(batch, Plan(logits="all")).logits, expected)
