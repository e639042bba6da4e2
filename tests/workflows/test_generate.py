"""Text side by side: the model's own, the steered one, what the steering saw, and the warning before gibberish."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import Run

import trimtab as tt
from trimtab.cli.strengths import strengths
from trimtab.errors import InputError
from trimtab.interventions import Condition, ModelFacts, Site
from trimtab.models import Batch, Encoded, Model, Plan
from trimtab.steering import Steering
from trimtab.steering.edits import Ablation, Additive, Gated, Stack
from trimtab.texts import Rendered
from trimtab.workflows.generate.generate import MAX_EDIT_SIZE_RATIO, generate, shaded


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def steering(model: Model) -> Steering:
    d = model.d_model
    gates = Gated(rand(2, d), rand(2, d, seed=1), torch.zeros(2))
    stack = Stack(((Ablation(rand(1, d, seed=3)), (1,)), (Additive(rand(2, d, seed=2)), (0, 1))))
    return Steering(
        {1: gates, 2: stack}, {"warm": 1.0, "brief": 0.5}, presets={"soft": {"warm": 0.1}}, made_for=model.facts
    )


def row_of(model: Model, text: str) -> Encoded:
    """A prompt's tokens."""
    return model.encoder().encode([Rendered("", text, "")])[0]


def activations(model: Model, text: str, steering: Steering, site: int) -> torch.Tensor:
    """At a site, before its own edit, of a whole text: [T, d]."""
    row = row_of(model, text)
    ids = torch.tensor([row.ids])
    ones = torch.ones_like(ids, dtype=torch.bool)
    batch = Batch(ids, ones, torch.arange(len(row.ids))[None], torch.tensor([len(row.ids)]))
    with model.steered(steering):
        return model.forward(batch, Plan(read=frozenset({Site(1), Site(2)}))).activations[Site(site)][0]


def test_both_texts_are_those_of_generate(model: Model, steering: Steering) -> None:
    prompts = ["It was", "The food here"]
    result = generate(model, prompts, steering, {"warm": 3.0}, max_new_tokens=8)
    assert [row.plain for row in result] == model.generate(prompts, max_new_tokens=8)
    assert [row.steered for row in result] == model.generate(
        prompts, steering=steering, strength={"warm": 3.0}, max_new_tokens=8
    )
    assert result[0].shades == ()
    with pytest.raises(InputError, match="at least one prompt"):
        generate(model, [], steering)


def test_shades_are_the_gates_of_the_lowest_site_at_every_token(model: Model, steering: Steering) -> None:
    result = shaded(model, row_of(model, "It was good"), steering, None, "all")
    assert "".join(shade.text for shade in result).endswith("It was good")
    h = activations(model, "It was good", steering, 1)
    gate = steering.edits[Site(1)].gates(h)  # type: ignore[attr-defined]
    for name, column in (("warm", 0), ("brief", 1)):
        assert [s.values[name] for s in result] == pytest.approx(gate[:, column].tolist(), abs=1e-5)


def test_shades_of_a_stack_are_those_of_its_first_edit_of_the_attribute(model: Model, steering: Steering) -> None:
    only = Steering({2: steering.edits[Site(2)]}, steering.attributes)
    result = shaded(model, row_of(model, "It was good"), only, 0, "all")
    h = activations(model, "It was good", Steering({}, {"x": 1.0}), 2)
    for name, direction in (("warm", rand(2, model.d_model, seed=2)[0]), ("brief", rand(1, model.d_model, seed=3)[0])):
        want = torch.nn.functional.cosine_similarity(h, direction[None])
        assert [s.values[name] for s in result] == pytest.approx(want.tolist(), abs=1e-5)


# ---- The command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(steering: Steering, tmp_path: Path) -> Path:
    return steering.save(tmp_path / "s")


def test_side_by_side_as_json(folder: Path, tiny_folder: Path, model: Model, steering: Steering, run: Run) -> None:
    given = ("--steering", folder, "--model", tiny_folder, "--dtype", "float32", "--max-new-tokens", 8)
    code, out, err = run(
        "generate", "It was", "So", *given, "--strength", "warm=2", "--off", "brief", "--explain", "--json"
    )
    assert code == 0, err
    described = json.loads(out)
    assert described["steering"] == steering.id
    assert described["texts"][0]["steered"] == model.generate(
        "It was", steering=steering, strength={"warm": 2.0, "brief": 0.0}, max_new_tokens=8
    )
    assert set(described["texts"][1]["shades"][0]["values"]) == {"warm", "brief"}
    assert ("warning" in err) == (described["edit_size_ratio"] > MAX_EDIT_SIZE_RATIO)


def test_streamed_text_is_the_same_with_figures_where_there_is_no_colour(
    folder: Path, tiny_folder: Path, model: Model, steering: Steering, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("It was\n"))
    given = ("--steering", folder, "--model", tiny_folder, "--dtype", "float32", "--max-new-tokens", 8)
    code, out, err = run("generate", *given, "--strength", "soft", "--explain")
    assert code == 0, err
    plain = model.generate("It was", max_new_tokens=8)
    steered = model.generate("It was", steering=steering, strength="soft", max_new_tokens=8)
    for word, text in (("plain", plain), ("steered", steered)):
        assert word in out
        assert text.split("\n")[0].strip() in out
    assert "warm" in out
    assert "[0." in out


def test_a_large_edit_is_warned_of(tiny_folder: Path, model: Model, run: Run, tmp_path: Path) -> None:
    Steering.from_vector(1, 100 * rand(model.d_model), made_for=model.facts).save(tmp_path / "big")
    given = (
        "--steering",
        tmp_path / "big",
        "--model",
        tiny_folder,
        "--dtype",
        "float32",
        "--max-new-tokens",
        2,
        "--json",
    )
    code, _, err = run("generate", "It was", *given)
    assert code == 0
    assert "times as large" in err
    _, _, err = run("generate", "It was", *given, "--strength", "0.0001")
    assert "times as large" not in err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--strength", "guess"), "preset"),
        (("--strength", "guess=1"), "unknown attribute 'guess'"),
        (("--strength", "warm=x"), "name=number"),
        (("--strength", "nan"), "finite"),
        (("--off", "guess"), "unknown attribute 'guess'"),
        (("--scope", "some"), "--scope"),
        (("--temperature", "0.5"), "belongs to --sample"),
        (("--temperature", "nan"), "from 0.01 to 100"),
        (("--sample", "--temperature", "nan"), "from 0.01 to 100"),
        (("--sample", "--temperature", "inf"), "from 0.01 to 100"),
        (("--sample", "--temperature", "1e-300"), "from 0.01 to 100"),
        (("--sample", "--seed", str(2**64)), "--seed"),
        (("--max-new-tokens", "5000"), "exceed the context"),
        (("--strength", "1e300"), "finite"),
        (("--strength", "1e30", "--json"), "no finite length; give a smaller"),
        (("--strength", "1", "--strength", "2"), "1 and 2 are both for all"),
        (("--strength", "1", "--strength", "soft"), "1 and soft are both for all"),
        (("--strength", "warm=1", "--strength", "warm=2"), "'warm' is given two strengths"),
        (("--strength", "warm=1", "--off", "warm"), "'warm' is given two strengths"),
        (("--dtype", "float16"), "load the model as float32 or bfloat16"),
        (("--steering", "nowhere"), "nowhere"),
    ],
)
def test_wrong_usage_ends_with_code_2(
    options: tuple[str, ...], word: str, folder: Path, tiny_folder: Path, run: Run
) -> None:
    dtype = () if "--dtype" in options else ("--dtype", "float32")
    code, out, err = run("generate", "It was", "--steering", folder, "--model", tiny_folder, *dtype, *options)
    assert (code, out) == (2, "")
    assert word in err


def test_an_empty_prompt_and_other_weights_are_refused(
    folder: Path, run: Run, tmp_path: Path, tiny_folder: Path
) -> None:
    code, _, err = run("generate", "", "--steering", folder)
    assert (code, "empty prompt" in err) == (2, True)
    free = Steering.from_vector(1, torch.ones(32)).save(tmp_path / "free")
    code, _, err = run("generate", "It was", "--steering", free)
    assert (code, "give --model" in err) == (2, True)


def test_several_steerings_go_together_from_the_command_line(
    folder: Path, tiny_folder: Path, model: Model, steering: Steering, run: Run, tmp_path: Path
) -> None:
    Steering.from_vector(2, rand(model.d_model, seed=8), "odd", made_for=model.facts).save(tmp_path / "odd")
    both = Steering.combined([steering, Steering.load(tmp_path / "odd")])
    described = ["--steering", folder, "--steering", tmp_path / "odd", "--strength", "odd=4", "--off", "warm", "--json"]
    code, out, err = run(
        "generate", "It was", *described, "--model", tiny_folder, "--max-new-tokens", "6", "--dtype", "float32"
    )
    assert code == 0, err
    strengths = {"odd": 4.0, "warm": 0.0}
    expected = model.generate("It was", steering=both, strength=strengths, max_new_tokens=6)
    assert json.loads(out)["texts"][0]["steered"] == expected
    assert json.loads(out)["steering"] == both.id
    code, _, err = run("generate", "It was", "--steering", folder, "--steering", folder, "--model", tiny_folder)
    assert code == 2
    assert "'warm'" in err


def test_conditions_and_texts_show_in_the_continuation(model: Model) -> None:
    d = model.d_model
    never = Condition(1, rand(d, seed=3), 1.0)
    made = Steering({2: Additive(rand(1, d))}, {"warm": 3.0}, conditions={"warm": never})
    (row,) = generate(model, ["It was"], made, max_new_tokens=6, explain=True)
    assert row.plain == row.steered
    assert row.shades
    text = Steering({}, {"ask": 1.0}, prompts={"ask": ("Be brief.\n\n", "")})
    (row,) = generate(model, ["It was"], text, max_new_tokens=6, explain=True)
    assert row.steered == model.generate("Be brief.\n\nIt was", max_new_tokens=6)
    assert row.shades == ()


# ---- Which model ---------------------------------------------------------------------------------------------------


def made_on(folder: Path, name: str, revision: str | None, facts: ModelFacts) -> Path:
    """A steering for a model of this name."""
    described = {**facts.__dict__, "id": name, "revision": revision}
    return Steering.from_vector(1, torch.ones(facts.d_model), made_for=ModelFacts(**described)).save(folder / "named")


@pytest.mark.parametrize(
    ("name", "revision", "asked"),
    [
        ("org/model", None, ("org/model", None)),
        ("gpt2", "abc123", ("gpt2", "abc123")),
        ("smollm2", None, ("smollm2", None)),
        ("tiny-llama", None, "made for tiny-llama, which was loaded from a folder or file; give --model"),
        ("some.gguf", None, "give --model"),
        ("org/model+adapter", None, "give --model and --adapter"),
    ],
)
def test_only_models_that_a_name_finds_are_loaded_by_it(
    name: str, revision: str | None, asked: object, model: Model, run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    looked_up: list[object] = []

    def load(source: str, *, revision: str | None, **options: object) -> Model:
        looked_up.append((source, revision))
        raise InputError("stopped here")

    monkeypatch.setattr("trimtab.models.loading.load", load)
    saved = made_on(tmp_path, name, revision, model.facts)
    for command in (("generate", "It was"), ("check", "sentiment")):
        code, _, err = run(*command, "--steering", saved)
        assert code == 2
        assert looked_up == ([] if isinstance(asked, str) else [asked])
        assert (asked if isinstance(asked, str) else "stopped here") in err
        looked_up.clear()
    run("generate", "It was", "--steering", saved, "--model", "elsewhere")
    assert looked_up == [("elsewhere", None)]


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--model", ""), "--model is empty"),
        (("--adapter", " "), "--adapter is empty"),
        (("--device", ""), "--device is empty"),
        (("--revision", "main"), "no revision 'main'"),
    ],
)
def test_empty_and_idle_flags_of_the_model_are_refused(
    flags: tuple[str, str], word: str, folder: Path, tiny_folder: Path, run: Run
) -> None:
    model = () if "--model" in flags else ("--model", tiny_folder)
    code, _, err = run("generate", "It was", "--steering", folder, *model, *flags)
    assert (code, word in err) == (2, True), err


def test_a_number_for_all_goes_with_names_and_off(steering: Steering) -> None:
    assert strengths(steering, ["2", "warm=3"], ["brief", "brief"]) == {"warm": 3.0, "brief": 0.0}
    assert strengths(steering, ["brief=-1", "soft"], []) == {"warm": 0.1, "brief": -1.0}


def test_bytes_that_are_no_text_are_refused(
    folder: Path, tiny_folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--steering", folder, "--model", tiny_folder)
    code, _, err = run("generate", "caf\udce9", *given)
    assert (code, "is no UTF-8" in err) == (2, True), err
    for errors in ("strict", "surrogateescape"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9"), "utf-8", errors))
        code, _, err = run("generate", *given)
        assert (code, "standard input is no UTF-8" in err) == (2, True), err


def test_seeds_beyond_64_bits_are_refused_in_words(model: Model) -> None:
    with pytest.raises(InputError, match="does not fit 64 bits"):
        model.generate("It was", seed=1 << 64, max_new_tokens=1)
