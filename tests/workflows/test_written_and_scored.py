"""What the model writes from is what it is scored on: the same turns, the same tokens, the same strengths."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.chat_server import Reply, serving
from tests.conftest import CHAT_TEMPLATE
from tests.models.tokenizer_families import sentence_piece, word_piece

import trimtab as tt
from trimtab.behaviors import Behavior, Example, PromptType, builtin, render_bare
from trimtab.behaviors.chats import flatten
from trimtab.clients.chat import Endpoint
from trimtab.errors import InputError
from trimtab.evaluation import HeldOut, Judge
from trimtab.evaluation.held_out import NAME as CLASSIFIER
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.preparation import prepare
from trimtab.experiment.progress import Silent
from trimtab.measurements.continuations import continuations
from trimtab.measurements.generated_text import _likely, generated
from trimtab.models import Encoded, Model
from trimtab.models.scoring import score
from trimtab.statistics import Interval
from trimtab.steering import Steering
from trimtab.steering.edits import Additive
from trimtab.storage.steps import Ledger
from trimtab.texts import Message, Rendered
from trimtab.workflows.fit.conditions import condition_of
from trimtab.workflows.fit.fit import alone, fit

PLACES = ["harbour", "garden", "bakery", "bridge", "museum", "library", "market", "tower", "forest", "station"]
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + CHAT_TEMPLATE


@pytest.fixture
def model(tiny_folder: Path) -> Model:
    result = tt.load(tiny_folder, dtype="float32")
    result.tokenizer.chat_template = CHAT_TEMPLATE
    return result


def chats(n: int = 60) -> Behavior:
    """Conversations of several turns behind a system message; the prompt as plain text says less."""

    def one(i: int) -> Example:
        place = f"{PLACES[i % 10]} number {i}"
        turns = (
            Message("system", f"You guide people through the town, round {i}."),
            Message("user", "Good morning."),
            Message("assistant", "Good morning, where to?"),
            Message("user", f"What is the {place} like?"),
        )
        return Example(f"What is the {place} like?", f"The {place} is lovely.", f"The {place} is dull.", "", turns)

    return Behavior("cheerfulness", [one(i) for i in range(n)])


def experiment_for(model: Model, behavior: Behavior, chat: bool = True, strength: float = 1.0) -> Experiment:
    instrument, parts, _, _ = prepare(Instrument(model, behavior, chat, "mean"), 12, 16, 0)
    types = PromptType.named("prefilled")
    return Experiment(instrument, parts, types, strength, "all", 0, Ledger(None, ""), Silent())


def pushing(model: Model, size: float = 2.0) -> Steering:
    v = torch.randn(model.d_model, generator=torch.Generator().manual_seed(3))
    return Steering.from_vector(1, size * v)


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, NO_SYSTEM])
def test_continuations_are_written_from_the_tokens_that_are_scored(template: str, model: Model) -> None:
    model.tokenizer.chat_template = template
    on = experiment_for(model, chats())
    scored = on.instrument.bare(on.splits.eval.examples)[0]
    result = continuations(on, pushing(model), 0, 6)
    assert [t.ids for t in result] == [row.prompt.ids for row in scored[:6]]
    for written, e in zip(result, on.splits.eval.examples, strict=False):
        text = model.encoder().decode(written.ids)
        assert all(turn.content in text for turn in e.messages)
        assert written.prompt == flatten(e.messages)


def test_a_continuation_is_scored_as_it_was_written(model: Model) -> None:
    on = experiment_for(model, chats())
    result = continuations(on, pushing(model), 0, 6)
    rows = [Encoded(t.ids + t.steered.ids, len(t.ids)) for t in result]
    assert _likely(on, result, "steered").tolist() == pytest.approx(score(model, rows).mean.tolist(), abs=1e-4)
    greedy = _likely(on, result, "base")
    for value, t in zip(greedy, result, strict=True):
        with torch.no_grad():
            logged = model.hf(torch.tensor([t.ids + t.base.ids])).logits[0].log_softmax(-1)
        best = logged[len(t.ids) - 1 : -1].max(dim=-1).values
        assert value == pytest.approx(best.mean().item(), abs=1e-3)


def test_plain_chats_are_written_from_their_plain_text(model: Model) -> None:
    on = experiment_for(model, chats(), chat=False)
    result = continuations(on, pushing(model), 0, 3)
    for written, e in zip(result, on.splits.eval.examples, strict=False):
        assert written.prompt == e.prompt == model.encoder().decode(written.ids)


def test_statements_are_continued_from_their_first_third_in_chats_too(model: Model) -> None:
    rows = [Example("", f"日本語の本 {i} を読むのは楽しい。", f"日本語の本 {i} を読むのは退屈だ。") for i in range(60)]
    for chat in (False, True):
        on = experiment_for(model, Behavior("joy", rows), chat)
        scored = on.instrument.bare(on.splits.eval.examples[:4])[0]
        result = continuations(on, pushing(model), 0, 4)
        assert [t.ids for t in result] == [row.prompt.ids for row in scored]
        whole = [model.encoder(chat).decode(t.ids + t.base.ids) for t in result]
        assert all(text.endswith(t.base.text) for text, t in zip(whole, result, strict=True))


def test_a_steering_writes_at_the_strengths_it_is_scored_at(model: Model) -> None:
    """One attribute on and the other off: a number for all would put both on."""
    both = torch.randn(2, model.d_model, generator=torch.Generator().manual_seed(5)) * 3
    whole = Steering({1: Additive(both)}, {"warm": 0.5, "brief": 1.0})
    on = experiment_for(model, chats())
    texts = [render_bare(e, "positive") for e in on.splits.eval.examples[:3]]
    own = alone(whole, "warm")
    described: dict[str, Any] = {"chat_template": True, "max_new_tokens": 40, "steering": whole}
    expected = model.generate(texts, strength={"warm": 0.5, "brief": 0.0}, **described)
    assert [t.steered.text for t in continuations(on, own, 0, 3)] == expected
    assert expected != model.generate(texts, strength=1.0, **described)


def test_a_judge_is_shown_the_whole_conversation(model: Model) -> None:
    on = experiment_for(model, chats())
    result = continuations(on, pushing(model, 20.0), 0, 4)
    with serving(lambda request, k: Reply("tie")) as server:
        generated(on, lambda start, stop: result[start:stop], (4,), Judge(Endpoint(server.url, "judge-1"), chats()))
        asked = ["\n".join(turn["content"] for turn in r["messages"]) for r in server.requests]
    assert asked
    for text in asked:
        assert "You guide people through the town" in text
        assert "Good morning, where to?" in text


def test_other_prompts_are_put_as_the_examples_are(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    import trimtab.measurements.divergence as room

    seen: list[tuple[int, ...]] = []
    real = getattr(room, "divergences")  # noqa: B009

    def spied(m: Model, rows: list[Encoded], variants: Any, **options: Any) -> Any:
        seen.extend(row.ids for row in rows)
        return real(m, rows, variants, **options)

    monkeypatch.setattr(room, "divergences", spied)
    other = Behavior("other", chats().examples[:4])
    for chat in (True, False):
        seen.clear()
        room.PromptsDrift(pushing(model), (1.0,), (other,)).drifts(experiment_for(model, builtin("sentiment"), chat))
        texts = [model.tokenizer.decode(ids) for ids in seen]
        assert all(("user: " in text) == chat for text in texts)
        assert any("You guide people" in text for text in texts) == chat


def test_a_system_turn_without_a_place_is_told_in_the_report(model: Model) -> None:
    model.tokenizer.chat_template = NO_SYSTEM
    options: dict[str, Any] = {"site": 1, "prompt_types": "prefilled", "strength": 1.0, "train": 12, "evaluation": 16}
    report = tt.check(model, chats(), chat_template=True, effort="thorough", **options)
    assert [n for n in report.notes if "no place for a system turn" in n]
    assert report.first_token == "<s>"
    assert len(report.continuations) == report.generated.n == 16  # all that there are, up to 80
    assert all("You guide people" in c.prompt for c in report.continuations)


def test_a_fit_of_chats_puts_conditions_and_checks_through_the_template(model: Model) -> None:
    result = fit(
        model, [chats()], site=[1], strength=1.0, train=12, evaluation=16, chat_template=True,
    )  # fmt: skip
    (report,) = result.reports.values()
    assert report.chat_template
    plain = fit(model, [chats()], site=[1], strength=1.0, train=12, evaluation=16, verify=False)
    vectors = [made.steering.edits[tt.Site(1)].vectors for made in (result, plain)]  # type: ignore[attr-defined]
    assert not torch.allclose(*vectors)


def test_a_condition_reads_prompts_as_generation_does(model: Model) -> None:
    rows = [
        Example("", f"Where is the {PLACES[i % 10]} {i}?", f"Sing about the {PLACES[i % 10]} {i}!") for i in range(30)
    ]
    behavior, seen = Behavior("questions", rows), list[str]()
    original = model.tokenizer.apply_chat_template

    def spied(turns: Any, **options: Any) -> Any:
        seen.append(turns[0]["content"])
        return original(turns, **options)

    model.tokenizer.apply_chat_template = spied
    condition_of(model, behavior, 0, chat_template=True)
    assert {e.positive for e in rows} | {e.negative for e in rows} <= set(seen)


def test_letters_that_the_tokenizer_does_not_read_as_such_are_told(tiny_folder: Path) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    rows = [*brief().examples, Example("It </s> was.", " I like it.", " I hate it.")]
    _, _, _, notes = prepare(Instrument(model, Behavior("liking", rows), False, "mean"), 12, 16, 0)
    assert [n for n in notes if n.startswith("1 of 61 rows hold '</s>', which the tokenizer reads as special")]
    model.tokenizer = word_piece()
    rows[-1] = Example("It 日 was.", " I like it.", " I hate it.")
    _, _, _, notes = prepare(Instrument(model, Behavior("liking", rows), False, "mean"), 12, 16, 0)
    (described,) = [n for n in notes if "letters that the tokenizer does not know (<unk>)" in n]
    assert 2 <= int(described.split()[0]) <= 122


# ---- Short contexts ------------------------------------------------------------------------------------------------


def short(tiny_folder: Path, length: int) -> Model:
    config = transformers.AutoConfig.from_pretrained(tiny_folder, max_position_embeddings=length)
    torch.manual_seed(0)
    hf = transformers.AutoModelForCausalLM.from_config(config)
    return Model(hf, transformers.AutoTokenizer.from_pretrained(tiny_folder))


def brief() -> Behavior:
    rows = [Example(f"It was {w} {i}.", " I like it.", " I hate it.") for w in PLACES for i in range(6)]
    return Behavior("liking", rows)


def test_a_check_in_a_short_context_cuts_its_own_texts_and_says_so(tiny_folder: Path) -> None:
    options: dict[str, Any] = {"site": 1, "prompt_types": "prefilled", "strength": 1.0, "train": 12, "evaluation": 16}
    report = tt.check(short(tiny_folder, 48), brief(), **options, generate=4, effort="thorough")
    described = "\n".join(report.notes)
    assert "neutral texts cut to the model's context of 48 tokens" in described
    assert "pairs of the over-refusal probe left out: longer than the model's context of 48 tokens" in described
    assert report.side_effects.kl.n_documents == 60
    assert report.generated.n == 4


def test_a_check_keeps_the_classifier_that_scored_its_texts_and_no_older_one(tiny_folder: Path, tmp_path: Path) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    rows = [
        replace(e, positive=f" Lovely:{e.positive}", negative=f" Awful:{e.negative}")
        for e in builtin("sentiment").examples[:80]
    ]
    options: dict[str, Any] = {"site": 1, "prompt_types": "prefilled", "strength": 1.0, "train": 20, "evaluation": 20}
    behavior, folder = Behavior("liking", rows), tmp_path / "check"
    report = tt.check(model, behavior, **options, generate=4, effort="thorough", folder=folder)
    kept, auroc = HeldOut.load(folder), report.generated.auroc
    assert kept.quality.auroc == Interval(auroc.value, auroc.low, auroc.high)
    assert (kept.behavior, kept.quality.reason) == ("liking", None)
    assert (kept.classifier.scores([" Lovely: a day.", " Awful: a day."]) > 0).tolist() == [True, False]
    tt.check(model, behavior, **options, effort="quick", folder=folder)
    assert not (folder / CLASSIFIER).exists()


def test_a_context_too_short_for_a_check_is_said_before_the_work(tiny_folder: Path) -> None:
    options: dict[str, Any] = {"site": 1, "prompt_types": "prefilled", "strength": 1.0, "train": 12, "evaluation": 16}
    rows = [Example(f"{i}", " we", " it") for i in range(60)]
    with pytest.raises(InputError, match="holds 7 tokens, too few for any pair of the capability probe"):
        tt.check(short(tiny_folder, 7), Behavior("liking", rows), **options)


def test_what_stands_in_front_is_blamed_where_it_is_to_blame(tiny_folder: Path) -> None:
    model = short(tiny_folder, 48)
    with pytest.raises(
        InputError, match="the row itself fits, but not with the instruction or solved examples in front of it"
    ):
        tt.check(model, brief(), site=1, prompt_types=["5-shot"], strength=1.0, train=12, evaluation=16)
    long = Behavior("liking", [*brief().examples, Example("It was " + "very " * 60, " so", " not")])
    with pytest.raises(InputError, match="shorten it or drop the row"):
        tt.check(model, long, site=1, prompt_types="prefilled", strength=1.0, train=12, evaluation=16)


# ---- The command line ----------------------------------------------------------------------------------------------


def test_the_command_line_streams_and_tells_the_first_space(tmp_path: Path, run: Any) -> None:
    tokenizer = sentence_piece()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=256, tie_word_embeddings=False, eos_token_id=2,
    )  # fmt: skip
    hf = transformers.LlamaForCausalLM(config)
    words = [i for t, i in tokenizer.get_vocab().items() if len(t) > 2 and t.startswith("▁")]
    with torch.no_grad():
        kept = torch.randn(len(words), 32)
        hf.lm_head.weight.zero_()
        hf.lm_head.weight[words] = kept
    hf.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    model = tt.load(tmp_path / "m", dtype="float32")
    Steering.from_vector(1, torch.ones(32), made_for=model.facts).save(tmp_path / "s")
    given = ("--steering", tmp_path / "s", "--model", tmp_path / "m", "--dtype", "float32", "--max-new-tokens", 5)
    _, out, _ = run("generate", "The harbour", *given, "--json")
    (described,) = json.loads(out)["texts"]
    assert described["plain"].startswith(" ")
    ids = model.encoder().encode([Rendered("", "The harbour", "")])[0].ids
    with torch.no_grad():
        whole = copy.deepcopy(model.hf).generate(torch.tensor([ids]), max_new_tokens=5, do_sample=False)[0]
    assert model.tokenizer.decode(whole, skip_special_tokens=True) == "The harbour" + described["plain"]
    _, out, _ = run("generate", "The harbour", *given, "--explain")
    assert f"plain   {described['plain']}\n" in out
    assert f"steered {described['steered']}\n" in out
