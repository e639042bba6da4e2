"""Text in, text out: options, seeds, strengths, and what is refused."""

import copy
import math
from collections import Counter
from typing import cast

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DynamicCache

from trimtab.errors import InputError, PlanError
from trimtab.interventions import Site
from trimtab.models import Encoded, Model, Plan, Steer, collate, steer
from trimtab.models.forward import _Pass, replaced
from trimtab.models.generate import generate
from trimtab.steering import Additive, Steering
from trimtab.texts import Rendered

PROMPTS = ["The sky is", "She said hello to the world in", "Is"]


def test_text_in_text_out_a_list_in_a_list_out(model):
    one = model.generate("The sky is", max_new_tokens=5)
    assert isinstance(one, str)
    assert model.generate(["The sky is"], max_new_tokens=5) == [one]
    assert "The sky is" not in one


def test_sampling_repeats_with_its_seed_and_leaves_the_global_generator_alone(model):
    torch.manual_seed(123)
    state = torch.get_rng_state()
    options = {"do_sample": True, "max_new_tokens": 8}
    one = model.generate(PROMPTS, seed=5, **options)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert model.generate(PROMPTS, seed=5, **options) == one
    assert model.generate(PROMPTS, seed=6, **options) != one


def test_sampling_is_from_all_tokens(model):
    """transformers by itself keeps the 50 likeliest."""
    model.hf.lm_head.weight.data.zero_()
    text = model.generate(PROMPTS[0], do_sample=True, max_new_tokens=100)
    assert len(set(model.tokenizer(text)["input_ids"])) > 50


def test_greedy_by_default_whatever_the_models_own_settings(model):
    plain = model.generate(PROMPTS, max_new_tokens=12)
    own = model.hf.generation_config
    own.do_sample, own.temperature, own.repetition_penalty, own.num_beams = True, 3.0, 1.8, 3
    assert model.generate(PROMPTS, max_new_tokens=12) == plain
    assert model.hf.generation_config is own
    assert model.generate(PROMPTS, max_new_tokens=12, repetition_penalty=1.8) != plain


def test_generation_stops_at_an_end_of_text_token_and_at_stop_strings(model):
    text = model.generate(PROMPTS[0], max_new_tokens=12)
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    stopped = model.generate(PROMPTS[0], max_new_tokens=12, eos_token_id=ids[2])
    assert text.startswith(stopped)
    assert len(stopped) < len(text)
    stopped = model.generate(PROMPTS[0], max_new_tokens=12, stop_strings=[text[6]])
    assert text.startswith(stopped)
    assert text[6] in stopped
    assert len(stopped) < len(text)


def test_rows_that_stop_early_do_not_change_the_others(model):
    long = model.generate(PROMPTS, max_new_tokens=12)
    first = model.tokenizer(long[0], add_special_tokens=False)["input_ids"][1]
    assert model.generate(PROMPTS, max_new_tokens=12, eos_token_id=first)[0] != long[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_return_sequences": 2}, "one text per prompt"),
        ({"cache_implementation": "static"}, "does not take cache_implementation"),
        ({"max_length": 9}, "does not take max_length"),
        ({"guidance_scale": 1.5}, "does not take guidance_scale"),
        ({"assistant_early_exit": 2}, "does not take assistant_early_exit"),
        ({"max_new_tokens": 0}, "at least 1 token"),
        ({"max_new_tokens": 126}, "exceed the context of 128"),
        ({"temprature": 0.5}, "temprature"),
        ({"strength": 1.0}, "without a steering"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused(options, message, model):
    with pytest.raises(InputError, match=message):
        model.generate("The sky", **options)


@pytest.mark.parametrize(
    ("strength", "message"),
    [
        (math.nan, "not a finite number"),
        (math.inf, "not a finite number"),
        (True, "True is not a number"),
        (10**400, "is not a number that a float holds"),
        ("1.5", "'1.5' is neither a number nor a preset"),
        ([1.0, None, "x"], "'x' is neither a number nor a preset"),
        ([], "empty list of strengths"),
        ({"vektor": 1.0}, r"unknown attribute vektor; did you mean 'vector'\? this steering has vector"),
        ([1.0, 2.0], "2 strengths or scopes for 3 texts"),
        ([1.0] * 4, "4 strengths or scopes for 3 texts"),
    ],
)
def test_strengths_that_make_no_sense_are_refused(strength, message, model, adding):
    options = {"steering": adding(1), "strength": strength}
    for call in (
        lambda: model.generate(PROMPTS, **options),
        lambda: model.score(PROMPTS, [" a"] * 3, **options),
        lambda: model.capture(PROMPTS, [Site(1)], **options),
        lambda: model.logit_differences(PROMPTS, [" a"] * 3, [" the"] * 3, **options),
    ):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("everything", "unknown scope 'everything'; one of all, prompt, last, generated"),
        (["all", "none", "all"], "unknown scope 'none'"),
        ([], "unknown scope"),
        (None, "unknown scope None"),
        (["all", "last"], "2 strengths or scopes for 3 texts"),
    ],
)
def test_scopes_that_make_no_sense_are_refused(scope, message, model, adding):
    with pytest.raises(InputError, match=message):
        model.generate(PROMPTS, steering=adding(1), scope=scope)


def test_strengths_may_be_numbers_of_any_kind(adding):
    for number in (1, 1.0, np.float32(1), np.int64(1), np.float64(1)):
        assert steer(adding(1), number).strength.tolist() == [[1.0]]


def test_strengths_are_defaults_a_number_or_by_name():
    steering = Steering({Site(0): Additive(torch.zeros(3, 32))}, {"a": 0.5, "b": 1.0, "c": 2.0})
    table = steer(steering, cast("list[float]", [None, 3, {"b": 0}])).strength
    assert table.tolist() == [[0.5, 1.0, 2.0], [3.0, 3.0, 3.0], [0.5, 0.0, 2.0]]


def test_a_steering_for_another_width_is_refused(model):
    wrong = Steering.from_vector(Site(1), torch.ones(33))
    with pytest.raises(InputError, match="33 wide and the model's activations 32"):
        model.generate("The sky", steering=wrong)


def test_a_site_out_of_range_is_refused(model, adding, batch_of):
    for call in (
        lambda: model.generate("The sky", steering=adding(4)),
        lambda: model.capture(["The sky"], [Site(4)]),
        lambda: model.forward(batch_of([[1, 5]]), Plan(read=frozenset([Site(4)]))),
    ):
        with pytest.raises(InputError, match="site 4: the model has blocks 0 to 3"):
            call()


def test_plans_that_contradict_themselves_are_refused(model, adding, batch_of, tokens):
    batch, h = batch_of(tokens(0, 5)), torch.zeros(1, 5, 32)
    for plan, message in (
        (Plan(), "asks for nothing"),
        (Plan(logits="last", resume=(Site(1, "mlp"), h)), "only a residual"),
        (Plan(logits="last", resume=(Site(1), h[:, :4])), r"a residual \[1, 5, 32\] for this batch, not \[1, 4, 32\]"),
        (Plan(read=frozenset([Site(0)]), logits="last", resume=(Site(1), h)), "site 0 lies below"),
        (Plan((steer(adding("mlp:1")),), logits="last", resume=(Site(1), h)), "site mlp:1 lies below"),
        (Plan((Steer(adding(1).edits, torch.ones(3, 1)),), logits="last"), "for 3 rows cannot steer a batch of 1"),
    ):
        with pytest.raises(PlanError, match=message):
            model.forward(batch, plan)


def test_unknown_reads_are_refused(model):
    with pytest.raises(InputError, match="unknown read 'first'; one of last, prompt, mean"):
        model.capture(["The sky"], [Site(1)], read="first")


@pytest.mark.parametrize("name", ["llama", "bloom"])
def test_a_prompt_is_read_the_same_alone_and_with_its_answer(name, wrapped):
    model, site = wrapped(name), Site(2)
    with_answer = model.capture([Rendered("", "The sky is", " blue")], [site], read="prompt").activations[site]
    alone = model.capture(["The sky is", "She said hello to the world"], [site]).activations[site][:1]
    torch.testing.assert_close(with_answer, alone, rtol=1e-4, atol=1e-4)


def test_float16_blocks_can_be_steered(wrapped, adding):
    model = wrapped(dtype=torch.float16)
    texts = model.generate(PROMPTS, steering=adding(1, size=4), strength=[0, 1, 1], max_new_tokens=4)
    assert texts[0] == model.generate(PROMPTS, max_new_tokens=4)[0]
    assert texts[1:] != model.generate(PROMPTS, max_new_tokens=4)[1:]


def test_steered_covers_generate_and_calls_of_the_model_underneath(model, adding):
    steering = adding(1, size=3)
    expected = model.generate(PROMPTS, steering=steering, max_new_tokens=6)
    assert expected != model.generate(PROMPTS, max_new_tokens=6)
    with model.steered(steering):
        assert model.generate(PROMPTS, max_new_tokens=6) == expected
        rows = model.encoder().encode([Rendered("", p, "") for p in PROMPTS])
        batch = collate(rows, 0, model.device, "left")
        out = model.hf.generate(batch.ids, attention_mask=batch.real.long(), max_new_tokens=6, do_sample=False)
    assert model.tokenizer.batch_decode(out[:, batch.ids.shape[1] :], skip_special_tokens=True) == expected


# Steering costs one call of a hook a step and block, and nothing else.


class Counting(TorchDispatchMode):
    """How often values are moved, or read by Python."""

    def __init__(self):
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        moved = func.__name__ == "_to_copy.default" and (kwargs or {}).get("device") is not None
        self.calls[func.__name__] += moved or func.__name__ == "_local_scalar_dense.default"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_steered_step_costs_one_hook_a_block_and_no_wait_for_the_device(dtype, wrapped, adding, monkeypatch):
    model = wrapped(dtype=dtype)
    calls: list[Site] = []
    assert model.tolerates_padding  # tried out once
    model.generate(PROMPTS, max_new_tokens=1)  # so are the norms of the head
    original = _Pass.at

    def at(self, site, h):
        calls.append(site)
        return original(self, site, h)

    monkeypatch.setattr(_Pass, "at", at)
    counts = {}
    for n in (4, 12):
        for name, options in (("plain", {}), ("steered", {"steering": adding(1, 3), "strength": [0, 1, 2]})):
            with Counting() as counting:
                calls.clear()
                model.generate(PROMPTS, max_new_tokens=n, min_new_tokens=n, **options)
            counts[name, n] = counting.calls.total()
            assert len(calls) == (2 * n if name == "steered" else 0)
    assert counts["steered", 12] - counts["steered", 4] == counts["plain", 12] - counts["plain", 4]


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
def test_a_compiled_model_generates_as_the_plain_one(name, wrapped, adding):
    model = wrapped(name)
    options = {"steering": adding(1, size=4), "strength": [0, 1, 2], "max_new_tokens": 8}
    expected, unsteered = model.generate(PROMPTS, **options), model.generate(PROMPTS, max_new_tokens=8)
    assert expected != unsteered
    torch.compiler.reset()
    with replaced(model.hf, torch.compile(model.hf.forward, fullgraph=True, backend="eager")):
        assert model.generate(PROMPTS, **options) == expected
        assert model.generate(PROMPTS, max_new_tokens=8) == unsteered  # the edit is gone from the graph


def test_calls_in_another_order_are_refused(model, adding, monkeypatch):
    generate_ = model.hf.generate

    def out_of_order(*args, **kwargs):
        model.hf(input_ids=torch.tensor([[1, 5]] * 3))
        return generate_(*args, **kwargs)

    monkeypatch.setattr(model.hf, "generate", out_of_order)
    with pytest.raises(PlanError, match="came with 2 tokens a row"):
        model.generate(PROMPTS, steering=adding(1), max_new_tokens=3)


def test_a_prompt_of_one_token_and_its_continuation_are_told_apart(model, adding):
    """Both are steps of width 1; scope `prompt` edits the first only."""
    steering, texts = adding(1, size=4), set()
    for scope in ("prompt", "generated"):
        steers = (steer(steering, 1.0, scope),)
        one, two = Encoded((1,), 1), Encoded((1, 7, 8), 3)
        cached = generate(model, [one], steers, 6, 0, {})
        assert generate(model, [one], steers, 6, 0, {"use_cache": False}) == cached
        assert generate(model, [one, two], steers, 6, 0, {})[:1] == cached
        texts.add(cached[0])
    assert len(texts) == 2


def test_a_conversation_goes_on_from_a_cache_made_before(model, adding):
    ids, steering = torch.tensor([[1, 30, 40, 50, 60, 70]]), adding(1)
    with model.steered(steering, 1, "last"):
        whole = model.hf(input_ids=ids).logits[:, -1]
    cache = DynamicCache(config=model.hf.config)
    model.hf(input_ids=ids[:, :3], past_key_values=cache)
    with model.steered(steering, 1, "last"):
        rest = model.hf(input_ids=ids[:, 3:], past_key_values=cache).logits[:, -1]
    torch.testing.assert_close(rest, whole, rtol=1e-4, atol=1e-4)


def test_a_model_without_tokenizer_still_runs_plans(plain, batch_of, tokens):
    model = Model(plain())
    with pytest.raises(InputError, match="without a tokenizer"):
        model.generate("The sky")
    batch, residual = batch_of(tokens(0, 5)), torch.zeros(1, 5, 32)
    assert model.forward(batch, Plan(logits="last")).logits.shape == (1, 200)
    with pytest.raises(PlanError, match="leaves no cache"):
        model.forward(batch, Plan(logits="last", resume=(Site(1), residual)), cache=object())


def test_a_model_without_blocks_is_refused():
    hf = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="Sequential is not a transformers model and holds none that generates"):
        Model(hf)


def test_a_tokenizer_without_bos_begins_with_eos(plain, tokenizer):
    without = copy.deepcopy(tokenizer)
    without.bos_token = None
    model = Model(plain(), without)
    assert isinstance(model.generate("The sky", max_new_tokens=3), str)
    assert model.encoder().first == without.eos_token_id
