"""The artifact on disk: the same steering comes back, and nothing else does."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.steering.test_edits import MAKE, A, D, rand

import trimtab as tt
from trimtab.errors import InputError
from trimtab.interventions import ModelFacts, Site
from trimtab.models import Model
from trimtab.steering import Origin, Steering, stored
from trimtab.steering.artifact import MANIFEST, MAX_BYTES, STEERING, TENSORS, read, unpacked
from trimtab.steering.edits import Additive, Clamp, Stack

FACTS = ModelFacts("org/model", "abc123", "LlamaForCausalLM", D, 4, "0" * 64, "1" * 64)


def steering(kind: str = "gated") -> Steering:
    """Edits of one kind at one site, a stack at another."""
    stack = Stack(
        ((Clamp(rand(1, D), torch.tensor([0.5]), side="below"), (1,)), (Additive(rand(2, D, seed=4)), (0, 1)))
    )
    return Steering(
        {"attention:2": MAKE[kind](), 1: stack},
        {"warm": 1.0, "brief": 0.25},
        Origin("by-hand", {"layers": [1, 2], "rate": 0.1}, 7, {"warm": "a" * 64}),
        {"gentle": {"warm": 0.5}},
        FACTS,
    )


def test_every_kind_comes_back_bit_for_bit(tmp_path: Path) -> None:
    h, strength = rand(2, 3, D, seed=9), torch.tensor([[0.5, 1.0], [0.0, 2.0]])
    for kind in MAKE:
        before = steering(kind)
        before.save(tmp_path / kind)
        after = Steering.load(tmp_path / kind)
        assert list(after.edits) == [Site(1), Site(2, "attention")]
        for site, edit in after.edits.items():
            assert torch.equal(edit(h, strength), before.edits[site](h, strength))
        assert (after.attributes, after.presets, after.origin) == (before.attributes, before.presets, before.origin)
        assert list(after.attributes) == ["warm", "brief"]
        assert after.made_for == FACTS
        assert after.id == before.id


def test_the_identity_is_of_what_it_does_and_of_nothing_else(tmp_path: Path) -> None:
    first = steering()
    assert first.id == steering().id
    first.save(tmp_path / "a", {"warm": {"decision": "go", "sentence": "It holds."}})
    assert Steering.load(tmp_path / "a", allow_mismatch=True).id == first.id
    others = [
        first.changed(attributes={"warm": 2.0}),
        first.renamed({"warm": "cold"}),
        first.changed(presets={}),
        first.changed(origin=Origin("other")),
        first.changed(made_for=None),
        steering("ablation"),
        Steering({**first.edits, Site(3): Additive(rand(2, D))}, first.attributes, first.origin, first.presets, FACTS),
    ]
    assert len({first.id, *(other.id for other in others)}) == 1 + len(others)


def test_golden_bytes() -> None:
    """The format does not change unawares: what is written today is read in a year."""
    plain = Steering({2: Additive(torch.tensor([[1.0, -2.0, 0.5]]))}, {"a": 1.5}, Origin("manual"))
    assert plain.id == "4a7e4c79d398029d55a8a3f62e30c9a8bb61b9d62394c62477e3418cfaf26884"


def test_golden_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "__version__", "0.1.0")
    monkeypatch.setattr(torch, "__version__", "2.13.0")
    Steering({2: Additive(torch.tensor([[1.0, -2.0, 0.5]]))}, {"a": 1.5}).save(tmp_path / "a")
    result = {p.name: sha256(p.read_bytes()).hexdigest()[:16] for p in (tmp_path / "a").iterdir()}
    assert {name: result[name] for name in (STEERING, TENSORS)} == {
        STEERING: "d0389d5d92a8e0dd",
        TENSORS: "f333c357b8881148",
    }


def test_manifest_is_checked_by_sha256sum_too(tmp_path: Path) -> None:
    steering().save(tmp_path / "a")
    done = subprocess.run(["sha256sum", "-c", MANIFEST], cwd=tmp_path / "a", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_saved_steering_gives_the_same_text_in_a_new_process(tiny_folder: Path, tmp_path: Path) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    v = torch.randn(model.d_model, generator=torch.Generator().manual_seed(1))
    edits = {1: Additive(v[None]), "attention:2": Additive(-v[None])}
    made = Steering(edits, {"odd": 3.0}, made_for=model.facts)
    made.save(tmp_path / "s")
    code = (
        "import json, sys, trimtab as tt\n"
        f"model = tt.load({str(tiny_folder)!r}, dtype='float32')\n"
        f"steering = tt.Steering.load({str(tmp_path / 's')!r})\n"
        "print(json.dumps([model.generate(['Well', 'The day'], steering=steering, max_new_tokens=20), steering.id]))"
    )
    env = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    given, identity = json.loads(done.stdout.splitlines()[-1])
    assert given == model.generate(["Well", "The day"], steering=made, max_new_tokens=20)
    assert given != model.generate(["Well", "The day"], max_new_tokens=20)
    assert identity == made.id


# ---- Fit -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


def test_the_weights_it_was_made_for_are_steered_and_others_refused(
    model: Model, tiny_folder: Path, tmp_path: Path
) -> None:
    made = Steering.from_vector(1, torch.ones(model.d_model), made_for=model.facts)
    made.save(tmp_path / "s")
    made = Steering.load(tmp_path / "s")
    assert model.facts.fit(model) == "exact"
    model.generate("Well", steering=made, max_new_tokens=2)
    other = tt.load(tiny_folder, dtype="float32")
    with torch.no_grad():
        other.hf.model.layers[0].mlp.up_proj.weight.add_(1.0)
    assert model.facts.fit(other) == "architecture"
    for use in (
        lambda s: other.generate("Well", steering=s, max_new_tokens=2),
        lambda s: other.score(["Well"], [" then"], steering=s),
        lambda s: other.capture(["Well"], [2], steering=s),
        lambda s: other.steered(s).__enter__(),
    ):
        with pytest.raises(InputError, match=r"other weights .* allow_mismatch"):
            use(made)
    assert other.generate("Well", steering=Steering.load(tmp_path / "s", allow_mismatch=True), max_new_tokens=2)


def test_another_architecture_is_refused_even_so(model: Model) -> None:
    wider = ModelFacts(**{**model.facts.__dict__, "digest": "0" * 64, "shapes": "1" * 64, "n_blocks": 99})
    made = Steering.from_vector(1, torch.ones(model.d_model), made_for=wider).changed(allow_mismatch=True)
    with pytest.raises(InputError, match="n_blocks 99 instead of 3"):
        model.generate("Well", steering=made)


# ---- Writing -------------------------------------------------------------------------------------------------------


def test_an_older_steering_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    steering().save(tmp_path / "a", {"warm": {"decision": "go"}})
    steering("ablation").save(tmp_path / "a")
    assert read(tmp_path / "a").reliability is None
    assert Steering.load(tmp_path / "a").id == steering("ablation").id
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("years of work")
    (tmp_path / "c").write_text("a file")
    (tmp_path / "d").symlink_to(tmp_path / "a")
    for name in "bcd":
        with pytest.raises(InputError, match="a folder of its own"):
            steering().save(tmp_path / name)
    assert (tmp_path / "b" / "thesis.tex").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c", "d"]


def test_the_card_is_read_with_the_rest_and_may_be_missing(tmp_path: Path) -> None:
    steering().save(tmp_path / "a")
    assert read(tmp_path / "a").card == (tmp_path / "a" / "README.md").read_text()
    assert unpacked({name: (tmp_path / "a" / name).read_bytes() for name in (STEERING, TENSORS)}).card == ""


def test_a_failed_write_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steering().save(tmp_path / "a")

    def full(file: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trimtab.steering.artifact.exchange._write", full)
    with pytest.raises(InputError, match="No space left"):
        steering("ablation").save(tmp_path / "a")
    assert Steering.load(tmp_path / "a").id == steering().id
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_killed_between_two_renames_the_older_one_comes_back(tmp_path: Path) -> None:
    """The worst moment: the older steering is moved aside, the new one not yet in place."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from tests.steering.test_artifact import steering\n"
        "real, seen = os.rename, []\n"
        "def rename(a, b):\n"
        "    real(a, b)\n"
        "    os.kill(os.getpid(), 9)\n"
        "steering().save(Path(sys.argv[1]))\n"
        "os.rename = rename\n"
        "steering('ablation').save(Path(sys.argv[1]))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"},
    )
    assert done.returncode == -9
    assert not (tmp_path / "a").exists()
    assert Steering.load(tmp_path / "a").id == steering().id
    steering("clamp").save(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_has_no_stored_form_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Own:
        def __call__(self, h: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
            return h

    for odd, word in (
        (Steering({1: Own()}, {"a": 1.0}), "cannot be stored"),
        (steering().changed(origin=Origin("x", {"f": object()})), "JSON values"),
        (steering().changed(origin=Origin("x", {"f": float("nan")})), "JSON values"),
    ):
        with pytest.raises(InputError, match=word):
            odd.save(tmp_path / "a")
    with pytest.raises(InputError, match="must be JSON"):
        steering().save(tmp_path / "a", {"x": object()})
    assert list(tmp_path.iterdir()) == []


def test_the_card_takes_names_as_words(tmp_path: Path) -> None:
    nasty = steering().renamed({"warm": "<script>alert(1)</script> | `x` [y](z)"})
    nasty = nasty.changed(made_for=ModelFacts(**{**FACTS.__dict__, "id": 'a"\nlicense: mit\n---\n`b`'}))
    nasty.save(tmp_path / "a", {"attributes": {"brief": {"decision": "go", "sentence": "**It** holds & how."}}})
    given = (tmp_path / "a" / "README.md").read_text()
    assert "<script>" not in given
    assert given.split("---\n")[1].count("\n") == 5  # nothing got into the front matter
    assert "\\*\\*It\\*\\* holds &amp; how." in given
    table = [line for line in given.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in table)


# ---- Reading what is hostile ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return steering().save(tmp_path / "s", {"warm": {"decision": "go"}})


def sealed(folder: Path) -> Path:
    """With a MANIFEST that fits: who makes a hostile folder can count digests too."""
    files = sorted(p.name for p in folder.iterdir() if p.name != MANIFEST and p.is_file())
    lines = [f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (folder / MANIFEST).write_text("".join(lines))
    return folder


def test_a_thousand_bit_flips_are_refused(folder: Path) -> None:
    rng, files = random.Random(0), sorted(folder.iterdir())
    whole = {file: file.read_bytes() for file in files}
    for _ in range(1000):
        file = rng.choice(files)
        broken = bytearray(whole[file])
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        file.write_bytes(broken)
        with pytest.raises(InputError, match=re.escape(str(folder))):
            Steering.load(folder)
        file.write_bytes(whole[file])
    assert Steering.load(folder).id == steering().id


def test_cut_off_files_are_refused(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            with pytest.raises(InputError):
                Steering.load(folder)
        file.write_bytes(whole)


def linked(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_bytes((folder / TENSORS).read_bytes())
    (folder / TENSORS).unlink()
    (folder / TENSORS).symlink_to(outside)


def piped(folder: Path) -> None:
    (folder / TENSORS).unlink()
    os.mkfifo(folder / TENSORS)


def nested(folder: Path) -> None:
    (folder / TENSORS).unlink()
    (folder / TENSORS).mkdir()


def huge(folder: Path) -> None:
    os.truncate(folder / STEERING, MAX_BYTES[STEERING] + 1)


def pickled(folder: Path) -> None:
    (folder / "weights.pt").write_bytes(b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.")


def listed(folder: Path) -> None:
    pickled(folder)
    sealed(folder)


def climbing(folder: Path) -> None:
    with (folder / MANIFEST).open("a") as out:
        out.write(f"{'0' * 64}  ../outside\n")


def twice(folder: Path) -> None:
    lines = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(lines + lines.splitlines()[0] + "\n")


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (linked, "links are not followed"),
        (piped, "not a regular file"),
        (nested, "not a regular file|cannot be read"),
        (huge, "at most"),
        (pickled, "weights.pt.*does not belong"),
        (listed, "not the digest of a file"),
        (climbing, "not the digest of a file"),
        (twice, "not the digest of a file"),
        (lambda f: (f / TENSORS).unlink(), f"no {TENSORS}"),
        (lambda f: (f / MANIFEST).unlink(), f"no {MANIFEST}"),
    ],
)
def test_a_hostile_folder_is_refused_without_harm(folder: Path, harm: Callable[[Path], object], word: str) -> None:
    harm(folder)
    before = sorted(p.name for p in folder.parent.rglob("*"))
    with pytest.raises(InputError, match=word):
        Steering.load(folder)
    assert sorted(p.name for p in folder.parent.rglob("*")) == before


def entry(document: dict[str, Any], **changes: Any) -> None:
    document["edits"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d.update(format=2), "format"),
        (lambda d: d.update(kind="pickle"), "kind"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d.pop("edits"), "edits"),
        (lambda d: entry(d, kind="os.system"), "'os.system' is unknown"),
        (lambda d: entry(d, site="-1"), "not understood"),
        (lambda d: entry(d, site="9"), "blocks 0 to 3"),
        (lambda d: entry(d, attributes=["nobody"]), "'nobody' is not an attribute"),
        (lambda d: entry(d, attributes=["warm", "brief", "warm"]), "attributes"),
        (lambda d: entry(d, options={"side": "left"}), "side"),
        (lambda d: entry(d, options={}), "side is missing"),
        (lambda d: entry(d, tensors=["directions"]), "tensor"),
        (lambda d: d["attributes"].append(d["attributes"][0]), "same name"),
        (lambda d: d["attributes"][0].update(strength="1"), "strength"),
        (lambda d: d["presets"].update({"\u202e": {}}), "not a name"),
        (lambda d: d["presets"].update(x={"nobody": 1.0}), "nobody"),
        (lambda d: d["model"].update(d_model=D + 1), "wide"),
        (lambda d: d["model"].update(d_model="6"), "d_model"),
        (lambda d: d.update(model={}), "model"),
    ],
)
def test_a_manifest_of_odd_parts_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], word: str
) -> None:
    document = json.loads((folder / STEERING).read_text())
    change(document)
    (folder / STEERING).write_text(json.dumps(document))
    with pytest.raises(InputError, match=word):
        Steering.load(sealed(folder))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"{} {}",
        b'{"format": NaN}',
        b'{"format": 1, "format": 1}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"1e999",
    ],
)
def test_a_manifest_that_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / STEERING).write_bytes(content)
    with pytest.raises(InputError, match=STEERING):
        Steering.load(sealed(folder))


def tensors(**held: torch.Tensor) -> bytes:
    from safetensors.torch import save

    return bytes(save({name.replace("_dot_", "."): value for name, value in held.items()}))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not a valid safetensors"),
        (b"\x80\x04cos\nsystem\n(S'id'\ntR.", "not a valid safetensors"),
        (b"PK\x03\x04" + b"\0" * 100, "not a valid safetensors"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "not a valid safetensors"),
        (tensors(x=torch.ones(1)), "is missing|in no edit"),
        (tensors(**{"0_dot_directions": torch.ones(1, D).half()}), "float32 only"),
    ],
)
def test_tensors_that_are_none_are_refused(folder: Path, content: bytes, word: str) -> None:
    (folder / TENSORS).write_bytes(content)
    with pytest.raises(InputError, match=word):
        Steering.load(sealed(folder))


def test_nan_in_a_tensor_is_refused(folder: Path) -> None:
    from safetensors.torch import load, save

    held = load((folder / TENSORS).read_bytes())
    held["0.directions"][0, 0] = torch.nan
    (folder / TENSORS).write_bytes(save(held))
    with pytest.raises(InputError, match="edit 0: clamp: directions holds a NaN"):
        Steering.load(sealed(folder))


def test_names_with_a_dot_in_front_are_left_alone(folder: Path) -> None:
    (folder / ".gitattributes").write_text("x")
    assert Steering.load(folder).id == steering().id


def test_attribute_counts(folder: Path) -> None:
    assert A == 2
    with pytest.raises(InputError, match="takes 2 strengths, and there are 1"):
        Steering({1: Additive(rand(2, D))}, {"one": 1.0})
    with pytest.raises(InputError, match="more strengths"):
        Steering({1: Stack(((Additive(rand(1, D)), (3,)),))}, {"one": 1.0})
