"""Packed edits in transformers' own continuous batching, against `model.generate`."""

from contextlib import ExitStack
from typing import Any

import pytest
import torch

from trimtab.errors import InertSteeringError
from trimtab.interventions import POSITION_SCOPES, Scope, ThinkingMarks
from trimtab.models import Encoded, Model, steer
from trimtab.serving.engines.batching import Limits, batching_manager, requests_in_pass
from trimtab.serving.engines.edit_records import EditRecord, Measures, summary, token_edits
from trimtab.serving.engines.packed import packed_edits
from trimtab.serving.engines.packed_steering import PackedSteering
from trimtab.steering import Additive, Steering
from trimtab.texts import Rendered

PROMPTS = ("The film was", "I liked the", "A dull and slow evening, since")
N = 8


def encoded(model: Model, prompt: str) -> Encoded:
    return model.encoder().encode([Rendered("", prompt, "")])[0]


def packed(
    steering: Any, strength: Any, scope: Any, prompt_len: int, marks: ThinkingMarks | None = None
) -> PackedSteering:
    return PackedSteering(steer(steering, strength, scope), tuple(steering.attributes), prompt_len, marks)


def run(model: Model, requests: dict[str, tuple[Encoded, PackedSteering | None]], limits: Limits) -> dict[str, list]:
    """Tokens by request, all run at once."""
    manager = batching_manager(model, limits)
    steerings = {name: steering for name, (_, steering) in requests.items() if steering is not None}
    with ExitStack() as stack:
        stack.enter_context(packed_edits(model.hf, model.anatomy, steerings, lambda: requests_in_pass(manager)))
        for name, (row, _) in requests.items():
            manager.add_request(list(row.ids), request_id=name, max_new_tokens=N)  # before the start: all share a pass
        manager.start()
        try:
            results = [manager.get_result(timeout=60) for _ in requests]
        finally:
            manager.stop(block=True)
    assert all(result.error is None for result in results)
    return {result.request_id: result.generated_tokens for result in results}


def expected(model: Model, prompt: str, **steered: Any) -> list[int]:
    written = model.generate(prompt, max_new_tokens=N, details=True, eos_token_id=[], **steered)
    return list(written.written)


@pytest.fixture
def model(tiny: Any) -> Model:
    model = tiny()
    model.hf.generation_config.eos_token_id = None
    return model


def test_requests_with_different_steerings_share_passes_and_write_what_each_writes_alone(
    model: Model, every_kind: Any
) -> None:
    requests: dict[str, tuple[Encoded, PackedSteering | None]] = {}
    wanted = {}
    for i, (kind, edit) in enumerate(every_kind.items()):
        steering = Steering({0: edit, "mlp:1": edit, "attention:2": edit}, {"a": 1.0})
        prompt, scope, strength = PROMPTS[i % 3], POSITION_SCOPES[i % 4], (1.0, -0.7, 0.4)[i % 3]
        row = encoded(model, prompt)
        requests[kind] = (row, packed(steering, strength, scope, row.prompt_len))
        wanted[kind] = expected(model, prompt, steering=steering, strength=strength, scope=scope)
    requests["none"], wanted["none"] = (encoded(model, PROMPTS[0]), None), expected(model, PROMPTS[0])
    assert run(model, requests, Limits()) == wanted
    assert len({tuple(tokens) for tokens in wanted.values()}) > 6


def test_a_prompt_that_takes_several_passes_is_edited_as_one(model: Model, every_kind: Any) -> None:
    steering = Steering({1: every_kind["additive"]}, {"a": 1.0})
    prompt = " ".join(PROMPTS) * 4
    row = encoded(model, prompt)
    for scope in POSITION_SCOPES:
        request = packed(steering, 1.0, scope, row.prompt_len)
        tokens = run(model, {"a": (row, request)}, Limits(batch_tokens=16))
        assert tokens["a"] == expected(model, prompt, steering=steering, scope=scope)
        ran = [selected for record in request.records for selected in record.selected]
        assert len(request.records) > N
        n, generated = row.prompt_len, N - 1
        assert (
            ran
            == {
                "all": [True] * (n + generated),
                "prompt": [True] * n + [False] * generated,
                "last": [False] * (n - 1) + [True] + [False] * generated,
                "generated": [False] * (n - 1) + [True] * (1 + generated),
            }[scope]
        )


@pytest.mark.parametrize("scope", ["thinking", "answer"])
def test_thinking_is_followed_through_long_prompts_and_single_tokens(
    model: Model, every_kind: Any, scope: Scope
) -> None:
    steering, strength = Steering({1: every_kind["additive"]}, {"a": 1.0}), 2.0
    prompt = " ".join(PROMPTS) * 4
    row, edited, texts = encoded(model, prompt), set(), set()
    for opening in (row.ids[5], row.ids[-1], *expected(model, prompt)[:3]):
        model.thinking_marks = ThinkingMarks((opening,), (3,), frozenset(range(0, 600, 4)) - {opening})
        request = packed(steering, strength, scope, row.prompt_len, model.thinking_marks)
        tokens = run(model, {"a": (row, request), "b": (row, None)}, Limits(batch_tokens=16))["a"]
        assert tokens == expected(model, prompt, steering=steering, strength=strength, scope=scope)
        ran = [selected for record in request.records for selected in record.selected]
        states = [state.inside == (scope == "thinking") for state in model.thinking_marks.read([*row.ids, *tokens])]
        assert ran == [False] * (row.prompt_len - 1) + states[row.prompt_len - 1 : -1]
        edited.add(sum(ran))
        texts.add(tuple(tokens))
    assert min(edited) < N - 1 < N == len(ran) - row.prompt_len + 1
    assert len(texts) > 1


def test_tokens_that_run_again_are_read_again() -> None:
    marks = ThinkingMarks((7, 8), (9,))
    request = packed(Steering({1: Additive(torch.ones(1, 32))}, {"a": 1.0}), 1.0, "thinking", 2, marks)
    assert request.thinking(0, [1, 7]) == [False, False]
    assert request.thinking(2, [8]) == [True]
    assert request.thinking(3, [2]) == [True]
    assert request.thinking(0, [1, 7, 8]) == [False, False, True]
    assert request.thinking(3, [2, 9]) == [True, False]


def test_a_pass_without_active_steering_has_no_hook_at_its_sites_and_is_bit_identical(model: Model) -> None:
    seen, logits = [], []
    block = model.anatomy.blocks[1]

    def watch(module: Any, args: Any, out: Any) -> None:
        seen.append(len(block._forward_hooks))
        logits.append(out.logits)

    model.hf.register_forward_hook(watch)
    steering = Steering({1: Additive(torch.ones(1, 32))}, {"a": 1.0})
    row = encoded(model, PROMPTS[0])
    plain = run(model, {"a": (row, None)}, Limits())
    before, n = logits[:], len(seen)
    off = packed(steering, 0.0, "all", row.prompt_len)
    assert run(model, {"a": (row, off)}, Limits()) == plain
    assert seen == [0] * len(seen)
    assert all(torch.equal(a, b) for a, b in zip(before, logits[n:], strict=True))
    told = summary(list(off.records))
    assert (told.selected, told.touched, told.edit_size_ratio) == (row.prompt_len + N - 1, 0, 0.0)


def test_records_say_what_was_done_to_each_token(model: Model, every_kind: Any) -> None:
    steering = Steering({1: every_kind["gated"], 2: every_kind["stack"]}, {"a": 1.0})
    row = encoded(model, PROMPTS[2])
    request = packed(steering, 0.8, "generated", row.prompt_len)
    read: dict[int, list[torch.Tensor]] = {1: [], 2: []}

    def reader(h: list[torch.Tensor]) -> Any:
        return lambda module, args, out: h.append(out.detach().clone())

    for k, h in read.items():  # before trimtab's own hooks, since it was set earlier
        model.anatomy.blocks[k].register_forward_hook(reader(h))
    ids = [*row.ids, *run(model, {"a": (row, request)}, Limits())["a"]]
    edits, n = token_edits(request.records, ids), row.prompt_len
    assert [edit.token for edit in edits] == ids[:-1]
    assert [edit.selected for edit in edits] == [False] * (n - 1) + [True] * N
    for i in range(n - 1, n + N - 1):
        gates, ratios = [], []
        for k in (1, 2):
            before = torch.cat([h[0] for h in read[k]])[i]
            after = steering.edits[next(s for s in steering.edits if s.block == k)](
                before[None, None], torch.tensor([[0.8]])
            )
            gates.append(float(every_kind["gated"].gates(before)))
            ratios.append(float((after[0, 0] - before).norm() / before.norm()))
        assert edits[i].gates["a"] == pytest.approx(sum(gates) / 2, abs=1e-5)
        assert edits[i].edit_size_ratio == pytest.approx(max(ratios), abs=1e-5)
    told = summary(list(request.records))
    assert (told.selected, told.touched) == (N, N)
    assert told.edit_size_ratio == pytest.approx(sum(e.edit_size_ratio for e in edits) / N, abs=1e-6)


def test_an_edit_that_fails_ends_only_its_own_request(model: Model, every_kind: Any) -> None:
    def broken(h: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("no")

    bad, good = Steering({1: broken}, {"a": 1.0}), Steering({1: every_kind["additive"]}, {"a": 1.0})
    rows = [encoded(model, p) for p in PROMPTS]
    failing = packed(bad, 1.0, "all", rows[0].prompt_len)
    requests: dict[str, tuple[Encoded, PackedSteering | None]] = {
        "bad": (rows[0], failing),
        "good": (rows[1], packed(good, 1.0, "all", rows[1].prompt_len)),
        "none": (rows[2], None),
    }
    tokens = run(model, requests, Limits())
    assert isinstance(failing.error, ZeroDivisionError)
    assert tokens["good"] == expected(model, PROMPTS[1], steering=good)
    assert tokens["none"] == expected(model, PROMPTS[2])


def test_an_edit_that_never_ran_is_an_error(model: Model, every_kind: Any) -> None:
    steering = Steering({1: every_kind["additive"]}, {"a": 1.0})
    row = encoded(model, PROMPTS[0])
    request = packed(steering, 1.0, "all", row.prompt_len)
    blocks = model.hf.model.layers
    model.hf.model.layers = torch.nn.ModuleList([blocks[0], blocks[2]])  # changed after it was loaded
    run(model, {"a": (row, request)}, Limits())
    assert isinstance(request.error, InertSteeringError)


def test_tokens_that_run_again_count_once() -> None:
    request = PackedSteering(steer(Steering({0: Additive(torch.ones(1, 2))}, {"a": 1.0})), ("a",), 2)
    for start, n in ((0, 3), (3, 1), (0, 5)):  # the third pass begins anew and has one token more
        selected = [position >= 1 for position in range(start, start + n)]
        s = sum(selected)
        measures = Measures(torch.ones(s, dtype=torch.bool), torch.arange(s) + 0.0, {"a": torch.arange(s) / 10})
        request.record(EditRecord(start, selected, measures))
    assert [(r.start, len(r.selected)) for r in request.records] == [(0, 3), (3, 1), (4, 1)]
    assert request.records[-1].ratios() == [3.0]
    assert request.records[-1].gates()["a"] == pytest.approx([0.3])
    assert summary(list(request.records)).selected == 4
