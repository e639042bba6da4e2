"""What a user meets: help without torch, one message and exit code 2 for bad input, JSON alone on stdout."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from safetensors.torch import load_file, save_file
from tests.chat_server import Reply, serving
from tests.conftest import Run

from trimtab.behaviors import load
from trimtab.cli import app
from trimtab.errors import InputError
from trimtab.steering import Steering
from trimtab.threads import compute_with

NAME = re.compile(r"(?<![\w.])[a-z]+_[a-z_]+")  # as identifiers are written


def rows(n: int, **fields: str) -> str:
    """n JSONL rows; `{i}` in a field is the row's number."""
    return "".join(json.dumps({k: v.replace("{i}", str(i)) for k, v in fields.items()}) + "\n" for i in range(n))


GOOD = {
    "prompt": "Day {i} of the trip",
    "positive": "was a delight, number {i}.",
    "negative": "was a bore, number {i}.",
}


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("lint", "null"), ("lint", "--json", "null"), ("check", "--help"), ("convert-data", "--help")],
)
def test_help_and_lint_import_no_torch(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys; sys.argv = ['trimtab', *sys.argv[1:]]\n"
        "from trimtab.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: code = stop.code\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version(run: Run) -> None:
    from trimtab import __version__

    assert run("--version")[:2] == (0, f"trimtab {__version__}\n")


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "encoding.jsonl": (rows(20, **GOOD).encode() + b'{"prompt": "caf\xe9"}\n', "UTF-8"),
    "broken.jsonl": ((rows(3, **GOOD) + '{"prompt": "x", \n' + rows(20, **GOOD)).encode(), "broken.jsonl:4"),
    "field.jsonl": ((rows(30, **GOOD) + '{"prompt": "x", "positive": "y"}\n').encode(), "negative"),
    "empty.jsonl": (b"", "empty"),
    "blank.jsonl": (
        (rows(30, **GOOD) + '{"prompt": "x", "positive": "", "negative": "n"}\n').encode(),
        "blank.jsonl:31",
    ),
    "oneclass.jsonl": (rows(30, text="Text {i}", label="1").encode(), "class"),
    "few.jsonl": (rows(5, **GOOD).encode(), "5"),
    "list.json": (b"[1, 2, 3]", "list.json"),
    "scalar.json": (b"12", "scalar.json"),
    "nul.jsonl": (rows(20, **{**GOOD, "prompt": "a\0b {i}"}).encode(), "NUL"),
    "binary.parquet": (b"PAR1 no parquet at all", "binary.parquet"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_behavior_files_end_with_a_message_and_exit_code_2(
    name: str, run: Run, tmp_path: Path, tiny_folder: Path
) -> None:
    content, word = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    code, out, err = run("check", tmp_path / name, "--model", tiny_folder, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert word in err
    assert not (tmp_path / "out" / "report.json").exists()


def test_missing_file_names_it_and_what_there_is(run: Run) -> None:
    code, _, err = run("check", "sentimant.jsonl")
    assert code == 2
    assert "sentimant.jsonl" in err
    assert "sentiment" in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--model", "no/such/model"), "no/such/model"),
        (("--model", "./missing.gguf"), "missing.gguf"),
        (("--site", "99"), "blocks 0 to 2"),
        (("--site", "middle"), "middle"),
        (("--site", "-1"), "-1"),
        (("--prompt-type", "4-shot"), "4-shot"),
        (("--scope", "everything"), "everything"),
        (("--strength", "0"), "above 0"),
        (("--strength", "nan"), "above 0"),
        (("--min-effect", "inf"), "0 or more"),
        (("--site", "2-9"), "blocks 0 to 2"),
        (("--dtype", "int8"), "int8"),
        (("--device", "cuda:77"), "cuda:77"),
        (("--device", "cpu", "--device-map", "auto"), "exclude each other"),
        (("--device-map", "meta"), "one of auto, balanced"),
        (("--device-map", "sideways"), "sideways"),
        (("--device-map", "no-such.json"), "no-such.json cannot be read"),
        (("--device-map", " "), "--device-map is empty"),
        (("--quantisation", "gptq-3"), "bitsandbytes-8, bitsandbytes-4"),
        (("--view", "statements"), "a view can be chosen for"),
        (("--view", "sideways"), "sideways"),
        (("--format", "xml"), "xml"),
        (("--read", "first"), "first"),
        (("--require", "perfect"), "perfect"),
        (("--chat-template",), "chat template"),
        (("--positive-instruction", "Be kind."), "negative-instruction"),
        (("--train", "0"), "train"),
        (("--no-such-flag",), "no-such-flag"),
    ],
)
def test_bad_flags_end_with_a_message_and_exit_code_2(
    arguments: tuple[str, ...], word: str, run: Run, tmp_path: Path, tiny_folder: Path
) -> None:
    model = () if "--model" in arguments else ("--model", tiny_folder)
    code, out, err = run("check", "sentiment", *model, *arguments, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert word in err


def test_out_that_is_a_file_is_refused(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert run("check", "sentiment", "--model", tiny_folder, "--out", tmp_path / "file")[0] == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_markup_in_names_and_folders_is_only_text(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    file, out = tmp_path / "x[b]y.jsonl", tmp_path / "[red]z"
    file.write_text(rows(40, **GOOD))
    arguments = ("--model", tiny_folder, "--site", "1", "--prompt-type", "prefilled")
    code, shown, err = run("check", file, *arguments, "--out", out)
    assert code == 0
    assert "x[b]y" in shown
    assert "x[b]y" in err
    assert "[red]z" in shown.replace("\n", "")


def test_a_name_in_a_file_cannot_choose_where_reports_go(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    file = tmp_path / "evil.jsonl"
    file.write_text(json.dumps({"trimtab": "behavior", "name": "../../evil"}) + "\n" + rows(40, **GOOD))
    code, _, err = run("check", file, "null", "--model", tiny_folder, "--out", tmp_path / "a" / "b")
    assert code == 2
    assert "evil.jsonl" in err
    assert [p.name for p in tmp_path.iterdir()] == ["evil.jsonl"]


def test_a_prompt_longer_than_the_context_names_the_row(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    file = tmp_path / "long.jsonl"
    file.write_text(rows(30, **GOOD) + rows(1, **{**GOOD, "prompt": "Z" * 5000}))
    code, _, err = run("check", file, "--model", tiny_folder, "--out", tmp_path / "out")
    assert code == 2
    assert "long.jsonl:31" in err
    assert "1024" in err


def test_non_finite_activations_are_refused(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in tiny_folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = load_file(broken / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"][0, 0] = torch.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    code, _, err = run("check", "sentiment", "--model", broken, "--out", tmp_path / "out")
    assert code == 2
    assert "NaN" in err


def test_few_rows_shrink_the_parts_with_a_note(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(rows(40, **GOOD))
    code, out, _ = run("check", file, "--model", tiny_folder, "--eval", "100", "--out", tmp_path / "out", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["n_eval"] < 100
    assert any("100" in note for note in record["notes"])
    assert record["verdict"]["decision"] in ("inconclusive", "no-go", "caution", "go")


def test_check_writes_four_files_and_json_stands_alone_on_stdout(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    arguments = ("check", "null", "--model", tiny_folder, "--train", "16", "--eval", "20", "--site", "1")
    code, out, _ = run(*arguments, "--out", tmp_path, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "report.json").read_text())
    names = ["classifier.safetensors", "examples.parquet", "report.html", "report.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_require_ends_with_3_below_the_verdict_and_the_report_is_written(
    run: Run, tmp_path: Path, tiny_folder: Path
) -> None:
    arguments = ("check", "null", "--model", tiny_folder, "--train", "16", "--eval", "20", "--site", "1")
    code, out, _ = run(*arguments, "--out", tmp_path, "--require", "go")
    assert code == 3
    assert "null" in out
    assert (tmp_path / "report.html").is_file()


def test_two_behaviors_report_into_a_folder_each(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    arguments = ("--model", tiny_folder, "--train", "12", "--eval", "12", "--site", "1", "--prompt-type", "prefilled")
    code, out, _ = run("check", "null", "sentiment", *arguments, "--quick", "--out", tmp_path, "--json")
    assert code == 0
    assert [r["behavior"] for r in json.loads(out)] == ["null", "sentiment"]
    assert (tmp_path / "null" / "report.json").is_file()
    assert (tmp_path / "sentiment" / "report.json").is_file()


@pytest.mark.parametrize("workers", [1, 2])
def test_several_behaviors_are_shown_each_then_ranked_in_a_table_and_on_a_page(
    workers: int, run: Run, tmp_path: Path, tiny_folder: Path
) -> None:
    arguments = ("--model", tiny_folder, "--train", "12", "--eval", "12", "--site", "1", "--prompt-type", "prefilled")
    code, out, err = run(
        "check", "null", "sentiment", *arguments, "--quick", "--workers", workers, "--out", tmp_path, "--require", "go"
    )
    assert code == 3
    for name in ("null", "sentiment"):
        assert out.count(f"report: {tmp_path / name / 'report.html'}\n") == 1
        assert f"{name}: about " in err
        assert f'href="{name}/report.html"' in (tmp_path / "index.html").read_text()
    assert out.index("report: ") < out.index("2 behaviors, ranked")
    assert out.endswith(f"index: {tmp_path / 'index.html'}\n")


@pytest.mark.parametrize(("flags", "effort"), [((), "default"), (("--quick",), "quick"), (("--thorough",), "thorough")])
def test_flags_for_the_effort_reach_the_check(
    flags: tuple[str, ...], effort: str, run: Run, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, effort: str, **settings: object) -> None:
        raise InputError(f"asked for {effort}")

    monkeypatch.setattr("trimtab.workflows.check", asked)
    code, _, err = run("check", "null", "--model", tiny_folder, *flags, "--out", tmp_path)
    assert code == 2
    assert f"asked for {effort}" in err


def test_quick_and_thorough_exclude_each_other(run: Run, tmp_path: Path, tiny_folder: Path) -> None:
    code, out, err = run("check", "null", "--model", tiny_folder, "--quick", "--thorough", "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "--quick or --thorough, not both" in err
    assert not (tmp_path / "out").exists()


OUT = ("--out", "out")
VERBS_WITH_A_MODEL: dict[str, tuple[str, ...]] = {
    "check": ("null", *OUT),
    "fit": ("null", *OUT),
    "study": ("null", *OUT),
    "predict": ("null",),
    "generate": ("Hello", "--steering", "steering", "--model", "smollm2"),
    "evaluate": ("--task", "behavior:null", "--method", "pca", *OUT),
    "tune": ("--task", "behavior:null", "--method", "pca", *OUT),
    "draft": ("rhymes", "--description", "speaks in rhymes", "--n", "4"),
}


@pytest.mark.parametrize("verb", VERBS_WITH_A_MODEL)
def test_threads_are_as_many_as_asked_for_when_the_model_is_loaded(
    verb: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Steering.from_vector(1, torch.ones(4)).save("steering")

    def load(*_: object, **options: object) -> None:
        raise InputError(f"loaded with {torch.get_num_threads()} threads")

    monkeypatch.setattr("trimtab.models.loading.load", load)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    before = torch.get_num_threads()
    try:
        code, _, err = run(verb, *VERBS_WITH_A_MODEL[verb], "--threads", 3)
    finally:
        compute_with(before)
    assert code == 2
    assert "loaded with 3 threads" in err


@pytest.mark.parametrize(("given", "heeded"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_environment_says_otherwise(given: dict[str, str], heeded: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-m", "trimtab", "doctor"], env={**own, "OMP_DISPLAY_ENV": "TRUE", **given},
        capture_output=True, text=True,
    )  # fmt: skip
    assert f"OMP_WAIT_POLICY = '{heeded}'" in done.stderr


def test_lint_finds_what_is_wrong_and_strict_says_so(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "twice.jsonl"
    file.write_text(rows(20, **GOOD) + rows(2, **GOOD))
    code, out, _ = run("lint", file)
    assert code == 0
    assert "duplicate" in out
    assert run("lint", file, "--strict")[0] == 3
    assert run("lint", "sentiment", "null", "--strict")[0] == 0


def test_doctor_reports_parts_and_fixes(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    code, out, _ = run("doctor", "--json")
    parts = {f["part"]: f for f in json.loads(out)["findings"]}
    assert code == 0
    assert parts["torch"]["state"] == "ok"
    assert str(tmp_path) in parts["cache"]["detail"]
    (tmp_path / "cache").write_text("a file where the folder should be")
    code, out, _ = run("doctor", "--json")
    assert code == 4
    assert any(f["state"] == "broken" and f["fix"] for f in json.loads(out)["findings"])


def test_doctor_looks_at_every_package_that_the_metadata_requires(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    required = {Requirement(line) for line in importlib.metadata.requires("trimtab") or []}
    core = {canonicalize_name(r.name) for r in required if r.marker is None}
    assert {"torch", "httpx2", "scikit-learn"} <= core
    parts = {f["part"]: f for f in json.loads(run("doctor", "--json")[1])["findings"]}
    assert core <= set(parts)
    assert {r.name for r in required if r.marker and "hub" in str(r.marker)} <= set(parts)

    lines = [
        "numpy>=2.0",
        "not-there-at-all>=1",
        "Rich<1.0 ; python_version >= '3.0'",
        "old-python ; python_version < '3'",
    ]
    lines += ["not-there-either>=2; extra == 'hub'", "pytest; extra == 'adapters'", "packaging>=1"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)
    code, out, _ = run("doctor", "--json")
    parts = {f["part"]: f for f in json.loads(out)["findings"]}
    assert code == 4
    assert parts["numpy"]["state"] == parts["pytest"]["state"] == "ok"
    assert parts["not-there-at-all"]["state"] == parts["rich"]["state"] == "broken"
    assert "<1.0" in parts["rich"]["detail"]
    assert "old-python" not in parts
    assert (parts["not-there-either"]["state"], parts["not-there-either"]["fix"]) == (
        "missing",
        "pip install 'trimtab[hub]'",
    )


def test_an_unforeseen_failure_is_one_message_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr("trimtab.doctor.examine", fail)
    code, _, err = run("doctor")
    assert code == 4
    assert "the roof fell in" in err


# --- generated text, earlier reports ---


@pytest.mark.parametrize("status", [400, 401, 404, 307, 503])
@pytest.mark.parametrize("verb", ["check", "draft"])
def test_advice_on_a_server_that_refuses_names_only_flags_that_the_command_has(
    verb: str, status: int, run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    given = {
        "check": ["check", "sentiment", "--model", tiny_folder, "--dtype", "float32", "--site", 1, "--strength", 1],
        "draft": ["draft", "rhymes", "--description", "speaks in rhymes", "--n", 4, "--out", tmp_path / "r.jsonl"],
    }[verb]
    if verb == "check":
        given += ["--train", 12, "--eval", 16, "--generate", 2, "--prompt-type", "prefilled", "--out", tmp_path / "out"]
    url, name = ("--judge", "--judge-model") if verb == "check" else ("--endpoint", "--endpoint-model")
    reply = Reply(status=status, headers={"retry-after": "0"}, body=b'{"error": {"message": "no"}}')
    with serving(lambda request, k: reply) as server:
        code, out, err = run(*given, url, server.url, name, "m")
    assert server.requests
    assert code in (2, 4) or "judge" in out
    known = set(re.findall(r"--[a-z-]+", run(verb, "--help")[1]))
    said = [line for line in (out + err).splitlines() if not line.strip().startswith("trimtab ")]  # what comes next
    assert set(re.findall(r"--[a-z-]+", "\n".join(said))) <= known


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--judge", "http://127.0.0.1:9/v1", "--judge-model", "m", "--quick"), "--generate"),
        (("--judge", "http://127.0.0.1:9/v1", "--generate", "4"), "--judge-model"),
        (("--judge-model", "m"), "--judge, which is missing"),
        (("--against", "/nowhere/report.json"), "/nowhere/report.json"),
        (("--against", "/nowhere", "null"), "one behavior"),
        (("--strength", "much"), "--strength"),
        (("--max-kl", "-1"), "max_kl"),
        (("--max-capability-loss", "2"), "max_capability_loss"),
    ],
)
def test_new_options_that_make_no_sense_end_with_2(
    options: tuple[str, ...], said: str, run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    code, _, err = run("check", "sentiment", *options, "--model", tiny_folder, "--out", tmp_path / "out")
    assert code == 2
    assert said in " ".join(err.split())
    assert not (tmp_path / "out" / "report.json").exists()


def test_an_earlier_report_is_compared_with_and_a_worse_decision_ends_with_3(
    run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    small = ("--train", 16, "--eval", 20, "--site", 1, "--prompt-type", "prefilled", "--strength", 1)
    asked = ("check", "sentiment", "--model", tiny_folder, *small)
    assert run(*asked, "--out", tmp_path / "old")[0] == 0
    code, out, _ = run(*asked, "--out", tmp_path / "new", "--against", tmp_path / "old" / "report.json")
    assert code == 0
    assert "against the earlier report" in " ".join(out.split())
    file = tmp_path / "old" / "report.json"
    record = json.loads(file.read_text())
    record["verdict"]["decision"] = "go"
    file.write_text(json.dumps(record))
    code, out, _ = run(*asked, "--out", tmp_path / "new2", "--against", file.parent, "--json")
    assert code == 3
    assert json.loads(out)["comparison"]["outcome"] == "worse"


def test_the_built_in_behaviors_are_listed_without_torch(run: Run) -> None:
    from trimtab.behaviors import builtin_names

    code, out, _ = run("check", "--list")
    assert code == 0
    assert all(name in out for name in builtin_names())
    rows = json.loads(run("check", "--list", "--json")[1])
    assert {row["behavior"] for row in rows} == set(builtin_names())
    assert run("check")[0] == 2


GOOD_ROW = {"prompt": "Tea?", "positive": "Sure.", "negative": "Never."}


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Thirty rows, of which every tenth cannot be read."""
    rows = [{**GOOD_ROW, "prompt": f"Tea {k}?"} if k % 10 else {"prompt": "Tea?"} for k in range(30)]
    (tmp_path / "mixed.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "mixed.jsonl"


@pytest.mark.parametrize("verb", ["check", "predict", "study", "fit", "lint", "convert-data"])
def test_every_verb_that_takes_a_behavior_can_leave_out_bad_rows(
    run: Run, tmp_path: Path, tiny_folder: Path, mixed: Path, verb: str
) -> None:
    out = ["--out", str(tmp_path / "out")]
    model = ["--model", str(tiny_folder), "--prompt-type", "prefilled", "--site", "1"]
    rest = {
        "check": [*model, *out, "--strength", "1"], "predict": model, "study": [*model, *out], "lint": [],
        "fit": [*model, *out], "convert-data": [str(tmp_path / "out.jsonl")],
    }[verb]  # fmt: skip
    code, _, err = run(verb, str(mixed), *rest)
    assert code == 2
    assert "3 rows of 30 cannot be read; skip_bad leaves them out (--skip-bad)" in err
    code, _, err = run(verb, str(mixed), *rest, "--skip-bad")
    assert (code, "error" in err) == (0, False)


def test_convert_data_writes_what_can_be_read_back_and_says_how_it_was_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("Question;good;bad\nTea?;Sure.;Never.\n")
    target = tmp_path / "new" / "b.jsonl"
    given = ("convert-data", str(tmp_path / "b.csv"), str(target), "--positive", "good", "--negative", "bad")
    code, out, _ = run(*given)
    assert code == 0
    written = f"written: {target}"
    for said in ("b: 1 examples, pairing natural", "positive: ' Sure.'", "semicolons", "'good' as positive", written):
        assert said in out
    assert load(target).digest == load(tmp_path / "b.csv", fields={"positive": "good", "negative": "bad"}).digest
    document = json.loads(run(*given, "--force", "--json")[1])
    assert (document["n"], document["digest"], document["file"]) == (1, load(target).digest, str(target))


def test_convert_data_writes_over_nothing_unless_told(run: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "b.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(GOOD_ROW))
    target.write_text("mine")
    code, _, err = run("convert-data", str(source), str(target))
    assert (code, target.read_text()) == (2, "mine")
    assert "is there already; give another target, or --force" in err
    assert run("convert-data", str(source), str(target), "--force")[0] == 0
    for refused in (source, tmp_path, tmp_path / "b.csv", tmp_path / "none\0"):
        assert run("convert-data", str(source), str(refused), "--force")[0] == 2
    assert json.loads(source.read_text()) == GOOD_ROW


def test_a_refused_source_leaves_no_target(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("{")
    assert run("convert-data", str(tmp_path / "b.jsonl"), str(tmp_path / "out.jsonl"))[0] == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b.jsonl"]


def test_help_speaks_words_and_no_names_of_the_code() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    texts = {name: [command.help, *(p.help for p in command.params)] for name, command in commands.items()}
    found = {(name, word) for name, all_of in texts.items() for text in all_of for word in NAME.findall(text or "")}
    assert len(texts) > 10
    assert not found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("study", "sentiment", "--executor", "dask", "--workers", 2), "ray://HOST:PORT (--executor)"),
        (("study", "sentiment", "--executor", "ray"), "give the number of workers"),
        (("check", "sentiment", "--executor", "ray", "--workers", 2), "shares out several behaviors"),
        (("check", "sentiment", "formality", "--executor", "ray"), "give the number of workers"),
    ],
)
def test_an_executor_that_cannot_be_used_is_refused_before_any_model_is_loaded(
    arguments: tuple[object, ...], said: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.models.loading.load", None)
    code, _, err = run(*arguments, "--model", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert said in err
