"""What is written follows its prompt to the letter, whatever the tokenizer, and is scored by its tokens."""

import io
from contextlib import redirect_stdout
from functools import cache
from typing import Any, cast

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.tokenizer_families import CORPUS, FAMILIES, byte_level, ending, sentence_piece

from trimtab.errors import InputError
from trimtab.models import Completion, Encoded, Model
from trimtab.models.decoding import TextAsItComes, completion, decoded, pieces
from trimtab.models.scoring import score
from trimtab.texts import Rendered

N = 10
PROMPTS = st.one_of(
    st.lists(st.sampled_from(" ".join(CORPUS).split()), min_size=1, max_size=6).map(" ".join),
    st.text("The harbour schöner café 日本語 don't, 🦆 (x) .", min_size=1, max_size=24).filter(str.strip),
)


@cache
def model_of(family: str) -> Model:
    return small(FAMILIES[family]())


def small(tokenizer: Any, **changes: Any) -> Model:
    """A random model that writes any of the tokenizer's tokens, but does not end before its time."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    options = {"vocab_size": len(tokenizer), "max_position_embeddings": 256, "tie_word_embeddings": False, **changes}
    hf = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **options, initializer_range=0.4))
    hf.generation_config.eos_token_id = None
    return Model(hf.eval(), tokenizer)


def greedy(model: Model, ids: tuple[int, ...], n: int) -> tuple[list[int], float]:
    """The likeliest tokens one after another, and their log-probability, by plain calls of the model."""
    tokens, total = list(ids), 0.0
    for _ in range(n):
        with torch.no_grad():
            logged = model.hf(torch.tensor([tokens])).logits[0, -1].log_softmax(-1)
        tokens.append(int(logged.argmax()))
        total += float(logged.max())
    return tokens[len(ids) :], total


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=12, deadline=None)
@given(prompt=PROMPTS)
def test_scoring_a_greedy_continuation_gives_back_its_own_log_probability(family, prompt):
    model = model_of(family)
    result: Completion = model.generate(prompt, max_new_tokens=N, details=True)
    row = result.row
    assert row.prompt == model.encoder().encode([Rendered("", prompt, "")])[0]
    written, total = greedy(model, row.prompt.ids, N)
    assert list(result.written) == written
    assert score(model, [row]).total.item() == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=12, deadline=None)
@given(prompt=PROMPTS)
def test_prompt_and_continuation_are_the_decoded_whole(family, prompt):
    model = model_of(family)
    result = model.generate(prompt, max_new_tokens=N, details=True)
    whole = decoded(model.tokenizer, result.row.ids)
    assert result.prompt + result.text == whole
    assert model.generate(prompt, max_new_tokens=N) == result.text
    # else in lower case, with marks set apart, broken by bytes that are no text, or without the space at its end
    if whole.startswith(prompt) and not prompt[len(result.prompt) :].isspace():
        assert prompt + result.text == whole


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None)
@given(prompt=PROMPTS)
def test_text_that_comes_piece_by_piece_is_the_same(family, prompt):
    model, parts = model_of(family), []
    streamer = TextAsItComes(model.tokenizer, lambda text, last: parts.append((text, last)))
    text = model.generate(prompt, max_new_tokens=N, streamer=streamer)
    assert "".join(piece for piece, _ in parts) == text
    assert [last for _, last in parts].count(True) == 1
    own = transformers.TextIteratorStreamer(model.tokenizer, skip_prompt=True, skip_special_tokens=True)
    model.generate(prompt, max_new_tokens=N, streamer=own)
    assert "".join(own) == text


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None)
@given(prompt=PROMPTS)
def test_pieces_of_tokens_make_up_the_text(family, prompt):
    model = model_of(family)
    ids = model.generate(prompt, max_new_tokens=N, details=True).row.ids
    result = pieces(model.tokenizer, ids)
    assert len(result) == len(ids)
    assert "".join(result) == decoded(model.tokenizer, ids, special=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_are_the_same_in_a_batch(family):
    model, prompts = model_of(family), ["The harbour", "She said: don't wait for", "Ein"]
    assert model.generate(prompts, max_new_tokens=4) == [model.generate(p, max_new_tokens=4) for p in prompts]


def test_a_character_that_the_cut_runs_through_belongs_to_the_continuation():
    model = model_of("byte level")
    whole = "The 日本語 harbour"
    ids = (1, *model.tokenizer(whole, add_special_tokens=False)["input_ids"])
    for n in range(1, len(ids)):
        result = completion(model.tokenizer, Encoded(ids[:n], n), ids[n:])
        assert result.prompt + result.text == whole
        assert "\N{REPLACEMENT CHARACTER}" not in result.prompt + result.text


def test_a_bare_statement_is_continued_from_its_tokens():
    model = model_of("byte level")
    statement = Rendered("", "", "日本語の本を読む。", bare=True)
    (row,) = model.encoder().encode([statement])
    result = model.generate(statement, max_new_tokens=4, details=True)
    assert result.row.prompt == row.prompt


def test_no_token_is_added_behind_a_prompt_or_in_front_of_it_twice():
    for family in (byte_level, sentence_piece):
        tokenizer = ending(family())
        assert tokenizer("The")["input_ids"][-1] == 2
        (row,) = small(tokenizer).encoder().encode([Rendered("", "The", "")])
        assert row.ids[0] == 1
        assert {1, 2} & set(row.ids[1:]) == set()


def test_a_tokenizer_that_cuts_or_fills_up_texts_by_itself_does_neither():
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=64)
    text = "The harbour was quiet in the morning"
    (row,) = small(tokenizer).encoder().encode([Rendered("", text, "")])
    assert decoded(tokenizer, row.ids) == text
    assert tokenizer.pad_token_id not in row.ids


@pytest.mark.parametrize("own", [None, 5])
def test_a_row_that_ends_early_holds_no_padding(own):
    """Token 0 would be text if it were taken for padding."""
    tokenizer = byte_level(pad_token=None, eos_token=None, bos_token=None, cls_token="<s>")
    model = small(tokenizer)
    model.hf.generation_config.eos_token_id = own
    prompts = ["The harbour", "She said: don't wait for", "Two lanterns"]
    free = [model.generate(p, max_new_tokens=12, details=True).written for p in prompts]
    end = free[1][3] if own is None else own
    options = {"eos_token_id": end} if own is None else {}
    result = model.generate(prompts, max_new_tokens=12, details=True, **options)
    for row, alone in zip(result, free, strict=True):
        until = alone.index(end) + 1 if end in alone else len(alone)
        assert row.written == alone[:until]


def test_a_row_that_a_word_ends_holds_no_padding():
    model = model_of("byte level")
    prompts = ["The harbour", "She said: don't wait for", "Two lanterns"]
    free = [model.generate(p, max_new_tokens=12, details=True).written for p in prompts]
    stop = decoded(model.tokenizer, free[0][2:3])
    model.hf.generation_config.eos_token_id = 2
    try:
        result = model.generate(prompts, max_new_tokens=12, details=True, stop_strings=[stop])
    finally:
        model.hf.generation_config.eos_token_id = None
    assert len(result[0].written) <= 3
    for row, alone in zip(result, free, strict=True):
        assert row.written == alone[: len(row.written)]


def test_special_tokens_inside_a_text_are_left_out_of_it_alike():
    model = model_of("sentence piece, first")
    result = model.generate("The</s>harbour", max_new_tokens=6, details=True)
    assert result.prompt + result.text == decoded(model.tokenizer, result.row.ids)


def test_transformers_own_streamer_prints_the_first_space():
    model = model_of("sentence piece, first")
    keep = [i for i in range(len(model.tokenizer)) if model.tokenizer.convert_ids_to_tokens(i).startswith("▁")]
    weight = model.hf.lm_head.weight.detach().clone()
    try:
        with torch.no_grad():
            mask = torch.ones(len(weight), dtype=torch.bool)
            mask[keep] = False
            model.hf.lm_head.weight[mask] = 0
            model.hf.lm_head.weight[keep] *= 5
        text = model.generate("The harbour", max_new_tokens=1)
        printed = io.StringIO()
        with redirect_stdout(printed):
            streamer = transformers.TextStreamer(model.tokenizer, skip_prompt=True, skip_special_tokens=True)
            model.generate("The harbour", max_new_tokens=1, streamer=streamer)
    finally:
        with torch.no_grad():
            model.hf.lm_head.weight.copy_(weight)
    assert text.startswith(" ")
    assert printed.getvalue() == text + "\n"


def test_a_streamer_takes_one_prompt():
    streamer = TextAsItComes(model_of("byte level").tokenizer, print)
    with pytest.raises(InputError, match="one prompt at a time"):
        model_of("byte level").generate(["The", "Two"], max_new_tokens=2, streamer=streamer)


def test_tokens_that_the_model_does_not_have_are_named_before_anything_runs():
    tokenizer = byte_level()
    model = small(tokenizer)
    tokenizer.add_tokens(["harbourmaster", "<|tool|>"])
    assert model.generate("The ferry", max_new_tokens=2)
    for call in (
        lambda: model.generate("The harbourmaster", max_new_tokens=2),
        lambda: model.score(["The"], [" harbourmaster <|tool|>"]),
        lambda: model.capture(["harbourmaster"], [1]),
    ):
        with pytest.raises(InputError, match=r"'harbourmaster' \(330\).*embedding ends at 329.*resize_token"):
            call()


def test_a_padding_token_that_the_model_does_not_have_is_not_used():
    tokenizer = byte_level(pad_token=None)
    model = small(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    prompts = ["The harbour", "She said: don't wait for"]
    assert model.generate(prompts, max_new_tokens=4) == [model.generate(p, max_new_tokens=4) for p in prompts]
    assert len(model.score(prompts, [" was", " the others"]).total) == 2


def test_prompts_that_are_no_texts_are_refused_in_words():
    model = model_of("byte level")
    turns = [{"role": "user", "content": "The"}]
    for call in (
        lambda: model.generate(turns, max_new_tokens=2),
        lambda: model.generate([turns], max_new_tokens=2, chat_template=False),
        lambda: model.score(cast("list[str]", [3]), [" was"]),
        lambda: model.score(["The"], cast("list[str]", [None])),
        lambda: model.capture([b"The"], [1]),
    ):
        with pytest.raises(InputError, match="must be a string"):
            call()
