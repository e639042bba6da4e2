"""The scopes thinking and answer: the same in generation, with and without a cache, in scoring and in shared rows."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tests.models.greedy import PROMPTS, greedy, row_of
from tokenizers import AddedToken
from torch import Tensor

from trimtab.errors import InputError, PlanError
from trimtab.interventions import Scope, Site, ThinkingMarks
from trimtab.models import Batch, Encoded, Model, Plan, steer
from trimtab.models.direct import step_batch
from trimtab.models.thinking import find_marks

N = 12
THINKING: tuple[Scope, ...] = ("thinking", "answer")
EVERY_THIRD = frozenset(range(0, 200, 3))


def opened(ids: Sequence[int], marks: ThinkingMarks) -> list[bool]:
    """Marks of one token each, by the places of the last ones."""
    out = []
    for n in range(1, len(ids) + 1):
        opens = [i for i in range(n) if ids[i] == marks.opening[0]]
        closes = [i for i in range(n) if ids[i] in {*marks.closing, *marks.ends} - {*marks.opening}]
        out.append(bool(opens) and (not closes or opens[-1] > closes[-1]))
    return out


def by_a_loop(
    hf: Any, ids: Sequence[int], v: Tensor, scope: Scope, marks: ThinkingMarks, bare_hook: Any
) -> tuple[list[int], list[bool]]:
    """The tokens that follow, one whole pass a token, and for each pass's last token whether it was edited."""
    ids, p = list(ids), len(ids)

    def change(h: Tensor) -> Tensor:
        inside = torch.tensor(opened(ids, marks))
        chosen = (torch.arange(len(ids)) >= p - 1) & (inside == (scope == "thinking"))
        edited.append(bool(chosen[-1]))
        return torch.where(chosen[None, :, None], h + v, h)

    edited: list[bool] = []
    with bare_hook(hf.model.layers[1], change), torch.no_grad():
        for _ in range(N):
            ids.append(int(hf(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[p:], edited


@pytest.fixture
def marked(model: Model, plain: Any, adding: Any, bare_hook: Any) -> Callable[..., list[int]]:
    """`marked(prompt, scope)`: what a loop writes; the model's marks are such that both parts occur in it."""
    v = 2 * adding(1).vector(Site(1))
    hf = plain()

    def written(prompt: str, scope: Scope, within: bool = True) -> list[int]:
        row = row_of(model, prompt)
        for token in (row.ids[-1], *range(6, 190)):
            marks = ThinkingMarks((token,), (3,), EVERY_THIRD - {token})
            ids, edited = by_a_loop(hf, row.ids, v, scope, marks, bare_hook)
            if len(set(edited[2:])) == 2 and 2 not in ids:
                model.thinking_marks = marks
                return ids
        raise AssertionError("no mark divides this text")

    return written


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("scope", THINKING)
def test_generation_equals_a_loop_with_a_bare_hook(
    scope: Scope, use_cache: bool, model: Model, adding: Any, marked: Any
) -> None:
    ids = marked(PROMPTS[1], scope)
    given = {"steering": adding(1), "strength": 2, "max_new_tokens": N, "use_cache": use_cache}
    written = model.generate(PROMPTS[1], scope=scope, details=True, **given)
    assert list(written.written) == ids
    assert model.generate(PROMPTS[1], scope="generated", details=True, **given).written != written.written


@pytest.mark.parametrize("scope", THINKING)
def test_scoring_under_a_scope_finds_likeliest_what_generation_under_it_chose(
    scope: Scope, model: Model, adding: Any, marked: Any
) -> None:
    ids = marked(PROMPTS[0], scope)
    row = row_of(model, PROMPTS[0])
    batch = step_batch(torch.tensor([[*row.ids, *ids]]), None, None, torch.tensor([row.prompt_len]))
    logits = model.forward(batch, Plan((steer(adding(1), 2.0, scope),), logits="answer")).logits
    assert logits is not None
    assert logits.argmax(dim=1).tolist() == ids
    assert greedy(model, PROMPTS[0], N, (steer(adding(1), 2.0, scope),))[0] == ids


def test_thinking_and_answer_divide_what_is_generated(model: Model, adding: Any, batch_of: Any, tokens: Any) -> None:
    rows, prompt_len = tokens(0, 12, 20, 9), [3, 8, 9]
    model.thinking_marks = ThinkingMarks((rows[1][10],), (3,), EVERY_THIRD - {rows[1][10]})
    counted = {}
    for scope in ("thinking", "answer", "generated"):
        plan = Plan((steer(adding(1), 1.0, scope),), logits="last")
        selected = [model.forward(batch_of(rows, prompt_len, side), plan).selected for side in ("left", "right")]
        counted[scope] = [int(n) for n in selected if n is not None]
    assert counted["thinking"][0] > 0
    assert [a + b for a, b in zip(counted["thinking"], counted["answer"], strict=True)] == counted["generated"]


def test_rows_of_a_batch_follow_their_own_tokens_and_scopes(model: Model, adding: Any, marked: Any) -> None:
    marked(PROMPTS[2], "thinking")
    scopes: list[Scope] = ["thinking", "answer", "all", "thinking"]
    given = {"steering": adding(1), "max_new_tokens": N}
    together = model.generate(PROMPTS, scope=scopes, strength=2, **given)
    alone = [model.generate(p, scope=s, strength=2, **given) for p, s in zip(PROMPTS, scopes, strict=True)]
    assert together == alone


def test_answers_that_share_a_row_are_scored_as_alone(model: Model, adding: Any) -> None:
    prompt = "The capital of France is Paris, and"
    answers = [" the sky is blue.", " the sky is green", " the world is blue"]
    ids = [list(row.ids[row.prompt_len :]) for row in (_answer(model, prompt, a) for a in answers)]
    model.thinking_marks = ThinkingMarks((ids[0][1],), (ids[0][-2],), frozenset({ids[1][-1]}))
    for scope in THINKING:
        given = {"steering": adding(1), "strength": 3.0, "scope": scope}
        together = model.score([prompt] * 3, answers, **given)
        assert together.sharing.run < together.sharing.given
        alone = torch.cat([model.score([prompt], [a], **given).total for a in answers])
        torch.testing.assert_close(together.total, alone, rtol=1e-4, atol=1e-4)
        plainly = model.score([prompt] * 3, answers, **{**given, "scope": "generated"}).total
        assert not torch.allclose(together.total, plainly, atol=1e-2)


def _answer(model: Model, prompt: str, answer: str) -> Encoded:
    from trimtab.texts import Rendered

    return model.encoder().encode([Rendered("", prompt, answer)])[0]


@pytest.fixture
def thinker(plain: Any, tokenizer: Any) -> Callable[..., Model]:
    """A tiny model whose tokenizer has tokens of its own for some marks, and a template that may open with one."""

    def make(*marks: str, special: bool = False, opens: str = "") -> Model:
        own = copy.deepcopy(tokenizer)
        own.add_tokens([AddedToken(mark, special=special) for mark in marks], special_tokens=special)
        own.chat_template = own.chat_template.replace("<model>", f"<model>{opens}")
        return Model(plain(), own, id="thinker")

    return make


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(("opening", "closing"), [("<think>", "</think>"), ("[THINK]", "[/THINK]")])
def test_marks_are_tokens_of_the_tokenizers_own(thinker: Any, opening: str, closing: str, special: bool) -> None:
    model = thinker(opening, closing, special=special)
    ids = model.tokenizer.convert_tokens_to_ids([opening, closing])
    assert (model.thinking_marks.opening, model.thinking_marks.closing) == ((ids[0],), (ids[1],))
    assert {1, 2} <= model.thinking_marks.ends  # the end of a text, and so on


def test_a_mark_may_take_several_tokens(thinker: Any) -> None:
    marks = ("<|channel|>", "<|message|>", "<|end|>")
    tokenizer = thinker(*marks, special=True).tokenizer
    tokenizer.add_tokens(["analysis"])
    found = find_marks(tokenizer)
    assert found is not None
    assert found.opening == tuple(tokenizer.convert_tokens_to_ids(["<|channel|>", "analysis", "<|message|>"]))
    text = tokenizer("<|channel|>analysis<|message|>hello<|end|>the world")["input_ids"]
    assert [state.inside for state in found.read(text)].count(True) == text.index(found.closing[0]) - 2


def test_of_several_pairs_the_one_in_the_chat_template_is_taken_or_none(thinker: Any) -> None:
    both = ("<think>", "</think>", "[THINK]", "[/THINK]")
    assert thinker(*both).thinking_marks is None
    chosen = thinker(*both, opens="[THINK]")
    assert chosen.thinking_marks.opening == (chosen.tokenizer.convert_tokens_to_ids("[THINK]"),)


def test_a_chat_template_that_opens_the_thinking_part_begins_inside(thinker: Any, adding: Any) -> None:
    given = {"steering": adding(1), "strength": 8, "chat_template": True, "max_new_tokens": 1}
    opening = thinker("<think>", "</think>", opens="<think>\n")
    closed = thinker("<think>", "</think>", opens="<think>\n\n</think>\n")
    for model, inside, outside in ((opening, "thinking", "answer"), (closed, "answer", "thinking")):
        plain = model.generate("The sky", **{**given, "strength": 0})
        steered = model.generate("The sky", scope="generated", **given)
        assert steered != plain
        assert model.generate("The sky", scope=inside, **given) == steered
        assert model.generate("The sky", scope=outside, **given) == plain


def test_what_a_user_writes_opens_no_thinking_part_of_the_model(thinker: Any, adding: Any) -> None:
    model = thinker("<think>", "</think>")
    given = {"steering": adding(1), "strength": 8, "chat_template": True, "max_new_tokens": 1}
    written = [model.generate("say <think>", scope=scope, **given) for scope in ("generated", "thinking")]
    assert written[1] == model.generate("say <think>", **{**given, "strength": 0}) != written[0]


@pytest.mark.parametrize("scope", THINKING)
def test_a_model_without_marks_refuses_the_scope_and_says_what_to_do(scope: Scope, model: Model, adding: Any) -> None:
    for call in (
        lambda: model.generate("The sky", steering=adding(1), scope=scope),
        lambda: model.generate(["The sky"] * 2, steering=adding(1), strength=0, scope=["all", scope]),
        lambda: model.score(["The sky"], [" is"], steering=adding(1), scope=scope),
        lambda: model.capture(["The sky"], [1], steering=adding(1), scope=scope),
        lambda: model.forward(_batch(), Plan((steer(adding(1), 1.0, scope),), logits="last")),
    ):
        with pytest.raises(InputError, match=f"scope '{scope}': .*take the scope generated") as caught:
            call()
        assert (caught.value.code, caught.value.field) == ("unsupported", "scope")


def _batch(**more: Any) -> Batch:
    ids = torch.tensor([[1, 7, 8]])
    return Batch(ids, ids > 0, torch.arange(3)[None], torch.tensor([2]), **more)


@pytest.mark.parametrize("scope", THINKING)
def test_where_tokens_cannot_be_followed_the_scope_is_refused(scope: Scope, model: Model, adding: Any) -> None:
    model.thinking_marks = ThinkingMarks((7,), (8,))
    with pytest.raises(InputError, match="leave num_beams at 1"):
        model.generate("The sky", steering=adding(1), scope=scope, num_beams=2)
    with pytest.raises(InputError, match="to generate or score"), model.steered(adding(1), 1.0, scope):
        pass
    cached = _batch(past=torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(PlanError, match="without a cache"):
        model.forward(cached, Plan((steer(adding(1), 1.0, scope),), logits="last"))
