"""The artifact in careless and hostile hands: every kind in a new process, odd paths, odd origins, odd options."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.steering.every_kind import EDITS, steering_of

import trimtab as tt
from trimtab.errors import InputError
from trimtab.steering import Origin, Steering
from trimtab.steering.artifact import MANIFEST, REPORT, STEERING, read
from trimtab.steering.edits import Additive, Clamp, ClassifierGradient, Gated, Stack, StoredEdit

PROMPTS = ["Well", "The day", "I cannot"]
GIVEN: dict[str, Any] = {"strength": [1.0, {"a": 0.0, "b": 2.0}, {"a": -1.5, "b": 0.0}], "max_new_tokens": 12}


def plain(**changes: Any) -> Steering:
    return Steering({1: Additive(torch.ones(1, 4))}, {"a": 1.0}, **changes)


# ---- A new process -------------------------------------------------------------------------------------------------

_LATER = """
import json, sys, trimtab as tt
model = tt.load(sys.argv[1], dtype="float32")
prompts, given = json.loads(sys.argv[3])
told = {}
for folder in sorted(__import__("pathlib").Path(sys.argv[2]).iterdir()):
    steering = tt.Steering.load(folder)
    rows = model.score(prompts, [" and then"] * len(prompts), steering=steering, strength=given["strength"])
    text = model.generate(prompts, steering=steering, **given)
    told[folder.name] = [steering.id, text, [x.hex() for x in rows.total.tolist()]]
print(json.dumps(told))
"""


def test_every_kind_gives_bit_identical_texts_and_scores_in_a_new_process(tiny_folder: Path, tmp_path: Path) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    expected, unsteered = {}, model.generate(PROMPTS, max_new_tokens=12)
    for kind in EDITS:
        made = steering_of(kind).changed(made_for=model.facts)
        made.save(tmp_path / kind)
        rows = model.score(PROMPTS, [" and then"] * 3, steering=made, strength=GIVEN["strength"])
        text = model.generate(PROMPTS, steering=made, **GIVEN)
        assert text != unsteered
        expected[kind] = [made.id, text, [x.hex() for x in rows.total.tolist()]]
    env = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    given = [str(tiny_folder), str(tmp_path), json.dumps([PROMPTS, GIVEN])]
    done = subprocess.run([sys.executable, "-c", _LATER, *given], capture_output=True, text=True, env=env, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == expected


# ---- Odd paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a**b", "a[b]?", "-rf", "~", "ä 漢 🙂", "x/../y", "new/deep/er", "s" * 200])
def test_folders_of_any_name_are_written_replaced_and_read(name: str, tmp_path: Path) -> None:
    for _ in range(2):
        plain().save(tmp_path / name)
    assert Steering.load(tmp_path / name).id == plain().id
    assert not [p for p in tmp_path.rglob(".*") if p.is_dir()]


@pytest.mark.parametrize("name", ["s" * 300, "a\0b", "file/below"])
def test_paths_that_cannot_be_are_refused_in_words(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write the steering|a folder of its own"):
        plain().save(tmp_path / name)
    with pytest.raises(InputError, match=r"no folder|cannot be read"):
        Steering.load(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_the_folder_one_stands_in_is_not_replaced(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="by its name"):
        plain().save(name)
    assert [p.name for p in tmp_path.rglob("*")] == ["here"]


@pytest.mark.parametrize("own", ["notes.txt", ".git"])
def test_what_somebody_put_beside_a_steering_is_not_lost(own: str, tmp_path: Path) -> None:
    plain().save(tmp_path / "s")
    (tmp_path / "s" / own).mkdir()
    (tmp_path / "s" / own / "work").write_text("of years")
    with pytest.raises(InputError, match=f"'{own}'; give a folder of its own"):
        plain(presets={"x": {}}).save(tmp_path / "s")
    assert (tmp_path / "s" / own / "work").read_text() == "of years"


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_the_older_steering_is_back_if_the_new_one_cannot_take_its_place(
    failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain().save(tmp_path / "s")
    real, calls = os.rename, []

    def rename(a: Path, b: Path) -> None:
        calls.append(a)
        if len(calls) == 2:
            raise failure
        real(a, b)

    monkeypatch.setattr("trimtab.steering.artifact.exchange.os.rename", rename)
    with pytest.raises((InputError, KeyboardInterrupt)):
        plain(presets={"x": {}}).save(tmp_path / "s")
    assert len(calls) == 3
    assert Steering.load(tmp_path / "s").id == plain().id
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


# ---- Odd values ----------------------------------------------------------------------------------------------------


def _nested(depth: int) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for _ in range(depth):
        given = {"a": given}
    return given


@pytest.mark.parametrize(
    ("origin", "word"),
    [
        (Origin(method=None), "method None cannot be stored"),  # type: ignore[arg-type]
        (Origin(seed="7"), "seed '7' cannot be stored"),  # type: ignore[arg-type]
        (Origin(data={"a": 5}), "data.a 5 cannot be stored"),  # type: ignore[dict-item]
        (Origin(method="\udcff"), "cannot be stored"),
        (Origin(hyperparameters={"file": "\udcff"}), "cannot be stored"),
        (Origin(hyperparameters={"x": {1, 2}}), "JSON values"),
        (Origin(hyperparameters=_nested(500)), "cannot be stored"),
        (Origin(hyperparameters=_nested(100_000)), "JSON values"),
    ],
)
def test_origins_that_cannot_be_stored_are_refused_in_words(origin: Origin, word: str, tmp_path: Path) -> None:
    for use in (lambda s: s.id, lambda s: s.save(tmp_path / "s")):
        with pytest.raises(InputError, match=word):
            use(plain(origin=origin))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("odd", [{"origin": Origin(hyperparameters=_nested(240))}, {"site": 10_000}])
def test_what_could_not_be_read_back_is_not_written(odd: dict[str, Any], tmp_path: Path) -> None:
    made = Steering({tt.Site(odd.get("site", 1)): Additive(torch.ones(1, 4))}, {"a": 1.0}, odd.get("origin"))
    with pytest.raises(InputError, match="not read back"):
        made.save(tmp_path / "s")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Steering({1: torch.ones(4)}, {"a": 1.0}), "a Tensor is not an edit; for a vector"),  # type: ignore[dict-item]
        (lambda: Steering({1: None}, {"a": 1.0}), "a NoneType is not an edit"),  # type: ignore[dict-item]
        (lambda: Steering.from_vector(1, torch.ones(4, dtype=torch.complex64)), "real numbers"),
        (lambda: Steering.from_vector(1, torch.tensor([1e300], dtype=torch.float64)), "beyond float32"),
    ],
)
def test_what_is_no_edit_or_vector_is_refused_in_words(make: Callable[[], Steering], word: str) -> None:
    with pytest.raises(InputError, match=word):
        make()


def test_strengths_beyond_all_floats_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="is not a finite number"):
        Steering({1: Additive(torch.ones(1, 4))}, {"a": 10**400})


@pytest.mark.parametrize("odd", [[1], "abc", {"a": float("nan")}, {"a": {1, 2}}, {"a": "\ud800"}, _nested(100_000)])
def test_reliability_documents_that_are_no_json_are_refused_in_words(odd: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reliability document must be"):
        plain().save(tmp_path / "s", odd)
    assert not list(tmp_path.iterdir())


def test_keys_that_are_no_words_become_words_in_report_and_card(tmp_path: Path) -> None:
    plain().save(tmp_path / "s", {"attributes": {1: {"decision": "go", "sentence": "It holds."}}})
    assert read(tmp_path / "s").reliability == {"attributes": {"1": {"decision": "go", "sentence": "It holds."}}}
    assert "- **go**, 1: It holds." in (tmp_path / "s" / "README.md").read_text()


def _sealed(folder: Path) -> Path:
    files = sorted(p.name for p in folder.iterdir() if p.name != MANIFEST)
    lines = [f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (folder / MANIFEST).write_text("".join(lines))
    return folder


ONE: dict[str, Callable[[], StoredEdit]] = {
    "additive": lambda: Additive(torch.ones(1, 4)),
    "gated": lambda: Gated(torch.ones(1, 4), torch.ones(1, 4), torch.zeros(1)),
    "clamp": lambda: Clamp(torch.ones(1, 4), torch.zeros(1)),
    "classifier-gradient": lambda: ClassifierGradient(
        torch.zeros(4), torch.ones(4), torch.ones(3, 4), torch.zeros(3), torch.ones(1, 3), torch.zeros(1)
    ),
}
ODD: list[Any] = ["0.5", "", None, [], {}, [0.5], -1, -0.5, 2, 1.5, 1e308, 10**400, True, False, "both ", "\u0000"]


@pytest.mark.parametrize(
    ("kind", "option"), [(kind, option) for kind, make in ONE.items() for option in make().options]
)
def test_options_of_odd_types_and_sizes_are_refused_or_run(kind: str, option: str, tmp_path: Path) -> None:
    """Never another exception than InputError; and what is let in computes without NaN, and is stored again."""
    Steering({1: ONE[kind]()}, {"a": 1.0}).save(tmp_path / "s")
    document = json.loads((tmp_path / "s" / STEERING).read_text())
    refused = 0
    for odd in ODD:
        document["edits"][0]["options"][option] = odd
        (tmp_path / "s" / STEERING).write_text(json.dumps(document))
        try:
            result = Steering.load(_sealed(tmp_path / "s"))
        except InputError:
            refused += 1
            continue
        for edit in result.edits.values():
            assert edit(torch.ones(1, 2, 4), torch.ones(1, 1)).isfinite().all()
        result.save(tmp_path / "again")
        assert Steering.load(tmp_path / "again").id == result.id
    assert refused >= 10


@pytest.mark.parametrize(("file", "match"), [(STEERING, "hyperparameters|finite"), (REPORT, "not a finite number")])
def test_numbers_beyond_all_bounds_are_refused(file: str, match: str, tmp_path: Path) -> None:
    """`1e999` is JSON, but it is read as infinity, which cannot be written again nor have an identity."""
    plain(origin=Origin("x", {"rate": 0.125})).save(tmp_path / "s", {"rate": 0.125})
    given = (tmp_path / "s" / file).read_text()
    (tmp_path / "s" / file).write_text(given.replace("0.125", "1e999"))
    with pytest.raises(InputError, match=match):
        Steering.load(_sealed(tmp_path / "s"))


def test_stacks_of_any_order_come_back_as_they_were(tmp_path: Path) -> None:
    vector, h = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.ones(2, 3, 4)
    stack = Stack(((Clamp(vector, torch.tensor([2.0])), (1,)), (Additive(vector), (1,)), (Additive(-vector), (0,))))
    made = Steering({1: stack}, {"a": 1.0, "b": 0.5})
    made.save(tmp_path / "s")
    strength = torch.tensor([[0.5, 1.0], [0.0, 2.0]])
    assert torch.equal(Steering.load(tmp_path / "s").edits[tt.Site(1)](h, strength), stack(h, strength))
    assert Steering.load(tmp_path / "s").id == made.id


def test_one_edit_at_several_sites_is_stored_at_each(tmp_path: Path) -> None:
    edit = Additive(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    made = Steering({1: edit, "mlp:2": edit, 3: Stack(((edit, (0,)), (edit, (0,))))}, {"a": 1.0})
    made.save(tmp_path / "s")
    result, h = Steering.load(tmp_path / "s"), torch.ones(1, 3, 4)
    assert result.id == made.id
    assert all(
        torch.equal(result.edits[s](h, torch.ones(1, 1)), made.edits[s](h, torch.ones(1, 1))) for s in made.edits
    )
