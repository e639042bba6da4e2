"""Errors carry a code and a field; the library names no flag, the command line names the one that belongs to it."""

import ast
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from shutil import copytree
from typing import Any, get_args

import pytest
import torch
from tests.chat_server import Reply, serving
from tests.conftest import Run

import trimtab as tt
from trimtab.cli import app, flags_of
from trimtab.cli.flags import FLAGS, with_flags
from trimtab.errors import Code, InertSteeringError, InputError, PlanError, TrimtabError
from trimtab.steering import Steering

ROOT = Path(tt.__file__).parent
CODES = get_args(Code)


# --- the classes ---


def test_every_class_has_a_code_of_its_own_and_an_error_may_say_more() -> None:
    plain = [kind("message") for kind in (TrimtabError, InputError, PlanError, InertSteeringError)]
    assert [e.code for e in plain] == ["failed", "invalid-input", "contradictory-plan", "inert-steering"]
    assert [e.exit_code for e in plain] == [4, 2, 2, 4]
    assert all(e.field is None and str(e) == "message" for e in plain)
    error = InputError("message", code="out-of-range", field="strength")
    assert (error.code, error.field) == ("out-of-range", "strength")


def test_code_and_field_survive_a_place_in_front_and_the_way_between_processes() -> None:
    error = PlanError("no strength", code="out-of-range", field="steers.0")
    for again in (error.at("here"), pickle.loads(pickle.dumps(error.at("here")))):
        assert isinstance(again, PlanError)
        assert (str(again), again.code, again.field) == ("here: no strength", "out-of-range", "steers.0")


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(ROOT.rglob("*.py")):
        yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def test_codes_are_short_words_and_each_is_used() -> None:
    assert len(set(CODES)) == len(CODES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+){0,3}", code) for code in CODES)
    used = {
        node.value
        for name, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and name != "errors.py"
    }
    defaults = {kind.default for kind in (TrimtabError, InputError, PlanError, InertSteeringError)}
    assert set(CODES) <= used | defaults


# --- what is promised of single errors ---


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


def _few(n: int) -> tt.Behavior:
    return tt.Behavior("few", [tt.Example(f"Say {i}.", f" yes {i} indeed", f" no {i} never") for i in range(n)])


CALLS: dict[str, tuple[Callable[[Any, Path], object], Code, str | None]] = {
    "a model's name": (lambda m, p: tt.check("gpt", _few(9)), "wrong-type", "model"),
    "a strength of 0": (lambda m, p: tt.check(m, _few(9), strength=0.0), "out-of-range", "strength"),
    "an unknown scope": (lambda m, p: tt.check(m, _few(9), scope="some"), "unknown-scope", "scope"),
    "a share of 2": (lambda m, p: tt.check(m, _few(9), max_anti_steerable=2.0), "out-of-range", "max_anti_steerable"),
    "a half row": (lambda m, p: tt.check(m, _few(9), train=2.5), "wrong-type", "train"),
    "a seed below 0": (lambda m, p: tt.check(m, _few(9), seed=-1), "out-of-range", "seed"),
    "few examples": (lambda m, p: tt.check(m, _few(7)), "too-few-examples", "behavior"),
    "blocks beyond": (lambda m, p: tt.check(m, _few(99), site="7-9"), "no-such-site", "site"),
    "an empty list of sites": (lambda m, p: tt.fit(m, [_few(99)], site=[]), "missing-value", "site"),
    "a range beside a site": (
        lambda m, p: tt.fit(m, [_few(99)], site=["0-1", "0"]), "conflicting-arguments", "site",
    ),
    "a site that has no heads": (
        lambda m, p: tt.fit(m, [_few(99)], method="iti", site="mlp:0"), "no-such-site", "site",
    ),
    "no behaviors": (lambda m, p: tt.fit(m, []), "repeated-name", "behaviors"),
    "no such method": (lambda m, p: tt.fit(m, [_few(99)], method="magic"), "unknown-method", "method"),
    "no such hyperparameter": (
        lambda m, p: tt.fit(m, [_few(99)], method="iti", magic=1), "unknown-choice", "options.magic",
    ),
    "an unknown dtype": (lambda m, p: tt.load(p, dtype="int3"), "unknown-choice", "dtype"),
    "an unknown device": (lambda m, p: tt.load(m.id, device="meta"), "unusable-device", "device"),
    "no such model": (lambda m, p: tt.load(p / "no"), "no-such-model", "model"),
    "no such file": (lambda m, p: tt.Behavior.load(p / "no" / "rows.jsonl"), "no-such-file", "source"),
    "no such behavior": (lambda m, p: tt.Behavior.builtin("sentimental"), "unknown-behavior", "name"),
    "an unknown attribute": (
        lambda m, p: tt.Steering.from_vector(1, m.hf.lm_head.weight[0]).renamed({"x": "y"}),
        "unknown-attribute", "names",
    ),
    "a vector of words": (lambda m, p: tt.Steering.from_vector(1, m.hf.lm_head.weight), "wrong-shape", "vector"),
    "other weights": (lambda m, p: _other_weights(m), "other-weights", "allow_mismatch"),
    "a full folder": (lambda m, p: _captured(m, p, 0), "other-settings", "sites"),
    "other texts": (lambda m, p: _captured(m, p, 1), "other-settings", "folder"),
}  # fmt: skip


def _other_weights(model: tt.Model) -> None:
    facts = replace(model.facts, digest="0" * 64)
    steering = tt.Steering.from_vector(1, model.hf.lm_head.weight[0], made_for=facts)
    model.generate("Well", steering=steering, max_new_tokens=1)


def _captured(model: tt.Model, folder: Path, case: int) -> None:
    texts = ["one text", "two texts"]
    model.capture(texts, [0], into=folder / "kept")
    model.capture(texts if case == 0 else texts[1:], [1] if case == 0 else [0], into=folder / "kept")


@pytest.mark.parametrize("case", CALLS)
def test_an_error_says_its_code_and_field(model: tt.Model, tmp_path: Path, case: str) -> None:
    call, code, field = CALLS[case]
    with pytest.raises(TrimtabError) as raised:
        call(model, tmp_path)
    assert (raised.value.code, raised.value.field) == (code, field), raised.value


# --- flags ---

# Files whose texts may hold a flag outside of a whole command, and why.
EXCEPTIONS = {
    "verdict/requirements.py": "a reason that reports record; those of before and the golden set say the same",
    "behaviors/catalogue.py": "a line of docs/behaviors.md",
    "behaviors/evaluations.py": "a note that reports record",
    "measurements/generated_text.py": "why a figure is missing, which reports record",
    "behaviors/formats.py": "the end of a whole command to copy, `trimtab convert-data …`",
    "behaviors/layouts.py": "the same",
    "verdict/next_steps.py": "parts of whole commands to copy",
    "reports/brief/files.py": "what a browser is started with",
}
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"(trimtab [a-z]|pip install)[^;,]*")  # to be copied as it is


def _docstrings(tree: ast.Module) -> set[ast.expr]:
    """Texts that stand alone, which no message reports."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def _texts(tree: ast.Module) -> Iterator[str]:
    """What the program may say: strings, f-strings as one with a mark where a value goes."""
    alone = _docstrings(tree)
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= set(node.values)
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {node} & (alone | inside):
            yield node.value


def test_no_message_of_the_library_names_a_flag() -> None:
    flags = {
        (name, flag)
        for name, tree in _trees()
        if not name.startswith("cli/")
        for text in _texts(tree)
        for flag in FLAG.findall(COMMAND.sub("", text))
    }
    assert {(name, flag) for name, flag in flags if name not in EXCEPTIONS} == set()
    assert {name for name, _ in flags} == set(EXCEPTIONS)


def _all_flags() -> set[str]:
    groups: dict[Any, Any] = {
        (): app,
        **{(group.name,): group.typer_instance for group in app.registered_groups},
    }
    calls = [
        [*group, command.name or command.callback.__name__.replace("_", "-")]
        for group, inside in groups.items()
        for command in inside.registered_commands
        if command.callback
    ]
    assert ["release", "create"] in calls
    return {flag for call in calls for flag in flags_of(call)}


def test_the_flags_of_the_table_are_flags_of_commands() -> None:
    known = _all_flags()
    assert {flag for flags in FLAGS.values() for flag in flags} <= known
    assert {f"endpoint.{f.name}" for f in fields(_endpoint())} >= {name for name in FLAGS if "endpoint." in name}


def _endpoint() -> type:
    from trimtab.clients.chat import Endpoint

    return Endpoint


@pytest.mark.parametrize(
    ("field", "known", "said"),
    [
        ("strength", {"--strength"}, "odd (--strength)"),
        ("options.rate", {"--set"}, "odd (--set)"),
        ("endpoint", {"--judge", "--judge-model"}, "odd (--judge, --judge-model)"),
        ("endpoint.url", {"--endpoint", "--endpoint-model"}, "odd (--endpoint)"),
        ("strength", {"--site"}, "odd"),
        ("attributes.0.name", {"--site"}, "odd"),
        (None, {"--site"}, "odd"),
    ],
)
def test_the_flag_is_named_that_the_command_has(field: str | None, known: set[str], said: str) -> None:
    assert with_flags(InputError("odd", field=field), known) == said


@pytest.mark.parametrize(
    ("command", "flags"), [("check", "(--judge, --judge-model)"), ("draft", "(--endpoint, --endpoint-model)")]
)
def test_an_address_that_a_server_does_not_know_names_the_flags_that_the_command_has(command: str, flags: str) -> None:
    with serving(lambda request, k: Reply(status=404)) as server, pytest.raises(InputError) as raised:
        _endpoint()(server.url, "poet-1").chat([{"role": "user", "content": "hello"}], seed=0, max_tokens=1)
    assert with_flags(raised.value, flags_of([command, "sentiment"])).endswith(flags)


def test_a_flag_is_not_named_twice() -> None:
    assert with_flags(InputError("--site 99 is odd", field="site"), {"--site"}) == "--site 99 is odd"


COMMANDS = {
    "check, a strength below 0": (("check", "sentiment", "--strength", "-1"), "must be above 0", "(--strength)"),
    "check, an unknown scope": (("check", "sentiment", "--scope", "some"), "unknown scope 'some'", "(--scope)"),
    "check, a share of 2": (
        ("check", "sentiment", "--max-anti-steerable", "2"), "between 0 and 1", "(--max-anti-steerable)",
    ),
    "check, blocks beyond": (("check", "sentiment", "--site", "7-9"), "blocks 0 to 2", "(--site)"),
    "check, an unknown dtype": (("check", "sentiment", "--dtype", "int3"), "unknown dtype", "(--dtype)"),
    "fit, no such method": (("fit", "sentiment", "--method", "magic"), "no method is called", "(--method)"),
    "fit, no such hyperparameter": (("fit", "sentiment", "--set", "magic=1"), "no hyperparameter 'magic'", "(--set)"),
    "fit, its own argument": (("fit", "sentiment", "--set", "seed=3"), "no hyperparameter 'seed'", "(--set)"),
    "fit, a rate below 0": (
        ("fit", "sentiment", "--method", "mat-steer", "--set", "rate=-1.0"), "rate -1.0 must be above 0", "(--set)",
    ),
    "study, a dose below 0": (("study", "sentiment", "--equal-dose", "-1"), "must be above 0", "(--equal-dose)"),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_line_names_the_flag(
    run: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, said, flag = COMMANDS[case]
    code, _, err = run(*arguments, "--model", tiny_folder)
    assert code == 2
    message = " ".join(err.split())
    assert said in message
    assert message.endswith(flag)


def test_a_folder_that_holds_no_steering_says_what_kind_of_fault_it_is(tmp_path: Path) -> None:
    saved = Steering.from_vector(1, torch.ones(4)).save(tmp_path / "s")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    changed = tmp_path / "changed"
    copytree(saved, changed)
    (changed / "README.md").write_text("another card")
    codes = {"none": "no-such-file", "file": "wrong-file", "empty": "no-such-file", "changed": "damaged-file"}
    for name, code in codes.items():
        with pytest.raises(InputError) as caught:
            Steering.load(tmp_path / name)
        assert (caught.value.code, name in str(caught.value)) == (code, True)
