"""The text of answers as tokens come, against the whole decoded at once."""

import random
from typing import Any

import pytest
from tests.models.tokenizer_families import CORPUS, FAMILIES

from trimtab.models import Encoded
from trimtab.models.decoding import completion
from trimtab.serving.engines.answers import STRETCH, AnswerText


def written(answer: AnswerText, tokens: list[int]) -> list[str]:
    out = []
    for token in tokens:
        out.append(answer.put(token))
        if answer.stopped:
            return out
    return [*out, answer.end()]


def cut(text: str, stop: list[str]) -> str:
    """By definition: up to the earliest stop text, which is found as soon as it is complete."""
    for n in range(len(text) + 1):
        ends = [at for s in stop if (at := text[:n].find(s)) >= 0]
        if ends:
            return text[: min(ends)]
    return text


@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_joined_are_what_generate_returns(family: str) -> None:
    tokenizer = FAMILIES[family]()
    for text in CORPUS:
        ids = tokenizer(" ".join([text, "🙂 日本語 é", *CORPUS, text]), add_special_tokens=False)["input_ids"]
        assert len(ids) > 2 * STRETCH
        for n in (1, 5, len(ids) // 2):
            prompt, new = ids[:n], ids[n:]
            whole = completion(tokenizer, Encoded(tuple(prompt), n), new).text
            pieces = written(AnswerText(tokenizer, prompt), new)
            assert "".join(pieces) == whole
            assert sum(bool(piece) for piece in pieces) > len(new) // 4  # not all at the end


@pytest.mark.parametrize(
    "stop",
    [["ferry"], ["the mor"], [", and"], ["never early!"], ["q", "uiet"], ["nothing such"], ["ferry left", "rry"]],
)
def test_a_stop_text_is_found_across_tokens_and_nothing_of_it_is_shown(tiny: Any, stop: list[str]) -> None:
    tokenizer = tiny().tokenizer
    text = " ".join(CORPUS)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = written(AnswerText(tokenizer, [1], stop), ids)
    assert "".join(pieces) == cut(text, stop)


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_that_make_no_sense_are_the_text_that_generate_returns(family: str) -> None:
    tokenizer, generator = FAMILIES[family](), random.Random(5)
    prompt = tokenizer(CORPUS[0], add_special_tokens=False)["input_ids"]
    for _ in range(3):
        new = generator.choices(range(len(tokenizer)), k=5 * STRETCH)
        whole = completion(tokenizer, Encoded(tuple(prompt), len(prompt)), new).text
        assert "".join(written(AnswerText(tokenizer, prompt), new)) == whole
