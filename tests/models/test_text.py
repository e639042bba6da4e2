"""From texts to token batches."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import InputError
from trimtab.models import Encoded, Encoder, collate
from trimtab.models.text import fork, grouped
from trimtab.texts import Message, Rendered

CPU = torch.device("cpu")
WORD = st.text(alphabet="The skyisblu.,?ÉR", min_size=1, max_size=12)


@pytest.fixture
def encoder(tokenizer):
    return Encoder(tokenizer, 128)


def _encode(encoder, prompt, answer, context="", bare=False):
    return encoder.encode([Rendered(context, prompt, answer, bare=bare)])[0]


def test_the_beginning_of_text_token_stands_in_front(encoder, tokenizer):
    row = _encode(encoder, "The sky is", " blue")
    plain = tokenizer("The sky is blue", add_special_tokens=False)["input_ids"]
    assert row.ids == (1, *plain)
    assert encoder.decode(row.ids) == "The sky is blue"


def test_without_bos_the_end_of_text_token_stands_in_front(tokenizer):
    no_bos = copy.deepcopy(tokenizer)
    no_bos.bos_token = None
    assert _encode(Encoder(no_bos, 128), "The sky", " is").ids[0] == 2
    no_bos.eos_token = None
    with pytest.raises(InputError, match="neither a beginning- nor an end-of-text token"):
        Encoder(no_bos, 128)


def test_prompt_len_is_the_number_of_tokens_before_the_answer(encoder):
    row = _encode(encoder, "The sky is", " blue", "Is the grass red?\n\n")
    alone = _encode(encoder, "The sky is", "", "Is the grass red?\n\n")
    assert row.ids[: row.prompt_len] == alone.ids
    assert alone.prompt_len == len(alone.ids)
    assert row.prompt == alone


def test_a_token_across_the_seam_counts_as_the_answers(encoder, tokenizer):
    whole = tokenizer(" capital", add_special_tokens=False)["input_ids"]
    assert len(whole) == 1
    row = _encode(encoder, "The cap", "ital of France")
    kept = tokenizer("The", add_special_tokens=False)["input_ids"]
    assert row.ids == (1, *kept, *whole, *tokenizer(" of France", add_special_tokens=False)["input_ids"])
    assert row.prompt_len == 1 + len(kept)


@given(prompt=WORD, answer=WORD)
def test_prompt_tokens_are_those_the_prompt_has_by_itself(prompt, answer, tokenizer):
    encoder = Encoder(tokenizer, 128)
    row, alone = _encode(encoder, prompt, answer), _encode(encoder, prompt, "")
    n = row.prompt_len
    assert row.ids == (1, *tokenizer(prompt + answer, add_special_tokens=False)["input_ids"])
    assert row.ids[:n] == alone.ids[:n]
    assert n == len(alone.ids) or n == len(row.ids) or row.ids[n] != alone.ids[n]


def test_a_bare_statement_is_cut_after_its_first_third(encoder):
    for statement, minimum in ((" ".join(["The sky is blue."] * 4), 0), ("The sky is blue", 3), ("The", 3)):
        row = _encode(encoder, "", statement, bare=True)
        n = len(row.ids) - 1
        assert row.prompt_len == 1 + min(n, max(3, n // 3, minimum))


def test_an_empty_prompt_leaves_the_whole_text_as_answer(encoder):
    assert _encode(encoder, "", "The sky is blue").prompt_len == 1


def test_a_bare_statement_is_cut_behind_its_context(encoder):
    context = "Is the grass red? No.\n\n"
    row, bare = _encode(encoder, "", "The sky is blue and more", context, bare=True), _encode(encoder, context, "")
    n = len(row.ids) - len(bare.ids)
    assert row.prompt_len == len(bare.ids) + max(3, n // 3)


def test_a_text_longer_than_the_context_is_refused(tokenizer):
    encoder = Encoder(tokenizer, 6)
    assert len(_encode(encoder, "The sky is", " blue").ids) <= 6
    with pytest.raises(InputError, match=r"has \d+ tokens and the model's context holds 6: 'The capital of France"):
        _encode(encoder, "The capital of France", " is Paris, is Paris")


def test_an_empty_text_is_refused(encoder):
    with pytest.raises(InputError, match="empty text"):
        _encode(encoder, "", "")
    assert encoder.encode([]) == []


def test_the_chat_template_is_used_only_where_asked_for(encoder, tokenizer):
    chat = Encoder(tokenizer, 128, chat_template=True)
    row, special = _encode(chat, "The sky is", " blue"), tokenizer.convert_tokens_to_ids
    assert not {special("<user>"), special("<model>")} & set(_encode(encoder, "The sky is", " blue").ids)
    assert row.ids[:2] == (1, special("<user>"))  # the template's own <s>, not two
    assert row.ids[row.prompt_len - 1] == special("<model>")
    assert chat.decode(row.ids[row.prompt_len :]) == "blue"


def test_chat_turns_of_an_example_are_kept(tokenizer):
    chat = Encoder(tokenizer, 128, chat_template=True)
    turns = (Message("user", "Is"), Message("model", "No"), Message("user", "The"))
    row = chat.encode([Rendered("", "ignored", "Yes", turns)])[0]
    assert tokenizer.decode(row.ids) == "<s><user>Is<model>No<user>The<model>Yes"


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([("user", "Is")], "<user>The ship. Is"),
        ([("system", "hello"), ("user", "Is"), ("model", "No"), ("user", "The")],
         "<system>hello<user>The ship. Is<model>No<user>The"),
        ([("system", "hello"), ("model", "No")], "<system>hello<user>The ship.<model>No"),
        ([("model", "No")], "<user>The ship.<model>No"),
        ([], "<user>The ship. grass"),
    ],
)  # fmt: skip
def test_a_context_stands_in_front_of_the_first_user_turn_and_all_turns_are_kept(turns, expected, tokenizer):
    chat, messages = Encoder(tokenizer, 128, chat_template=True), tuple(Message(*turn) for turn in turns)
    row = chat.encode([Rendered("The ship. ", "grass", "Yes", messages)])[0]
    assert list(row.ids) == tokenizer(f"<s>{expected}<model>Yes", add_special_tokens=False)["input_ids"]
    assert list(row.prompt.ids) == tokenizer(f"<s>{expected}<model>", add_special_tokens=False)["input_ids"]


def test_a_chat_is_laid_out_alike_with_and_without_context(tokenizer):
    chat, turns = Encoder(tokenizer, 128, chat_template=True), (Message("system", "hello"), Message("user", " Is"))
    trained, evaluated = chat.encode([Rendered("The ship.", "", "Yes", turns), Rendered("", "", "Yes", turns)])
    assert tokenizer.decode(trained.ids).replace("The ship.", "") == tokenizer.decode(evaluated.ids)


def test_a_chat_template_that_is_not_there_is_refused(tokenizer):
    without = copy.deepcopy(tokenizer)
    without.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        Encoder(without, 128, chat_template=True)


def test_a_fork_ends_where_two_answers_part(encoder):
    plus, minus = _encode(encoder, "The capital", " of France"), _encode(encoder, "The capital", " of England")
    row, p, q = fork(plus, minus)
    n = len(row.ids)
    assert plus.ids[:n] == minus.ids[:n] == row.ids
    assert (p, q) == (plus.ids[n], minus.ids[n])
    assert p != q
    assert row.prompt_len == plus.prompt_len == n - 1  # " of" belongs to the answer, in generation too


def test_a_fork_inside_the_prompts_last_token_is_the_prompt(encoder):
    plus, minus = _encode(encoder, "The cap", "ital"), _encode(encoder, "The cap", ", a")
    row, _, _ = fork(plus, minus)
    assert row.prompt_len == len(row.ids) == plus.prompt_len


def test_no_fork_where_one_answer_begins_the_other(encoder):
    with pytest.raises(InputError, match="one answer is the beginning of the other"):
        fork(_encode(encoder, "The", " sky"), _encode(encoder, "The", " sky is"))


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), left=st.booleans())
def test_collate_pads_on_one_side_and_loses_nothing(lengths, left):
    rows = [Encoded(tuple(range(10 * i, 10 * i + n)), (n + 1) // 2) for i, n in enumerate(lengths)]
    batch = collate(rows, 99, CPU, "left" if left else "right")
    width = max(lengths)
    assert batch.ids.shape == batch.real.shape == batch.position.shape == (len(rows), width)
    for i, (row, n) in enumerate(zip(rows, lengths, strict=True)):
        columns = list(range(width - n, width)) if left else list(range(n))
        assert batch.real[i].nonzero().flatten().tolist() == columns
        assert batch.ids[i, columns].tolist() == list(row.ids)
        assert batch.position[i, columns].tolist() == list(range(n))
        assert batch.ids[i][~batch.real[i]].tolist() == [99] * (width - n)
        assert batch.last[i] == columns[-1]
        answer = [c for c, p in zip(columns, range(n), strict=True) if row.prompt_len - 1 <= p < n - 1]
        assert batch.predicts_answer[i].nonzero().flatten().tolist() == answer
    assert batch.prompt_len.tolist() == [r.prompt_len for r in rows]


@given(lengths=st.lists(st.integers(1, 40), max_size=30), tokens=st.integers(1, 100))
def test_groups_hold_every_row_once_longest_first_within_the_budget(lengths, tokens):
    groups = [g.tolist() for g in grouped(lengths, tokens)]
    order = [i for g in groups for i in g]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    assert all(len(g) == 1 or len(g) * max(lengths[i] for i in g) <= tokens for g in groups)
