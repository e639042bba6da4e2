"""A classifier in a file: it scores to the last bit as before, and nothing else passes for one."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from trimtab.behaviors import builtin, split
from trimtab.errors import InputError
from trimtab.evaluation import Classifier, HeldOut
from trimtab.evaluation.held_out import NAME

ODD = ["", "   ", "naïve — 日本語です。", "a\n\tb", "x" * 10_000, "1,000 % sure?!"]


@cache
def sentiment() -> HeldOut:
    behavior = builtin("sentiment")
    parts = split(behavior, seed=0)
    train, unseen = (
        ([e.positive for e in part.examples], [e.negative for e in part.examples]) for part in (parts.train, parts.eval)
    )
    classifier = Classifier.fit(train[0], train[1], seed=0, clusters=parts.train.clusters)
    quality = classifier.quality(unseen[0], unseen[1], parts.eval.clusters)
    return HeldOut("sentiment", behavior.digest, classifier, quality)


def texts() -> list[str]:
    return [e.positive for e in builtin("sentiment").examples] + ODD


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return sentiment().save(tmp_path)


def test_what_is_read_is_to_the_last_bit_what_was_written(file: Path) -> None:
    read = HeldOut.load(file)
    assert np.array_equal(read.classifier.scores(texts()), sentiment().classifier.scores(texts()), equal_nan=True)
    assert (read.quality, read.behavior, read.data_digest, read.said) == (
        sentiment().quality, "sentiment", builtin("sentiment").digest, sentiment().said,
    )  # fmt: skip
    some = [e.positive for e in builtin("sentiment").examples], [e.negative for e in builtin("sentiment").examples]
    assert read.classifier.quality(*some) == sentiment().classifier.quality(*some)  # it knows what it has seen
    assert HeldOut.load(file.parent).said.startswith("classifier of 'sentiment': AUROC 0.")


def test_the_file_holds_no_text_of_an_answer(file: Path) -> None:
    content = file.read_bytes()
    assert not [e.positive for e in builtin("sentiment").examples if e.positive.strip().encode() in content]


def contents(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    with safe_open(file, framework="np") as opened:
        return {name: opened.get_tensor(name).copy() for name in opened.keys()}, dict(opened.metadata())  # noqa: SIM118


def damaged(file: Path, tensors: dict[str, Any], facts: dict[str, Any]) -> InputError:
    there, metadata = contents(file)
    kept = {name: value for name, value in (there | tensors).items() if value is not None}
    said = json.loads(metadata["classifier"]) | facts
    save_file(kept, file, metadata={"classifier": json.dumps(said)})
    with pytest.raises(InputError) as error:
        HeldOut.load(file)
    assert (error.value.field, error.value.code) == ("classifier", "damaged-file")
    return error.value


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"intercept": None}, "intercept is missing"),
        ({"intercept": np.zeros(2)}, "intercept is of another shape"),
        ({"intercept": np.array([np.nan])}, "intercept is not finite"),
        ({"intercept": np.zeros(1, dtype=np.float32)}, "intercept is missing, or not"),
        ({"coefficients": np.zeros(3)}, "3 coefficients for"),
        ({"words.idf": np.ones(3)}, "words: 3 weights"),
        ({"words.terms": np.frombuffer(b"a\na", dtype=np.uint8), "words.idf": np.ones(2)}, "1 different terms"),
        ({"words.terms": np.frombuffer(b"\xff", dtype=np.uint8), "words.idf": np.ones(1)}, "no text"),
        ({"training": np.zeros((2, 31), dtype=np.uint8)}, "another shape"),
    ],
)
def test_tensors_that_do_not_fit_together_are_refused(file: Path, tensors: dict[str, Any], words: str) -> None:
    assert words in str(damaged(file, tensors, {}))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"format": 2}, "format"),
        ({"who": "ada"}, "who"),
        ({"behavior": ""}, "behavior"),
        ({"auroc": [0.5, 0.4, 0.6]}, "AUROC"),
        ({"auroc": None}, "AUROC"),
        ({"n_unseen": [1]}, "n_unseen"),
    ],
)
def test_facts_that_do_not_fit_are_refused(file: Path, facts: dict[str, Any], words: str) -> None:
    assert words in str(damaged(file, {}, facts))


def test_other_files_are_no_classifiers(tmp_path: Path) -> None:
    cases = (
        ("nothing", None, "no-such-file"),
        ("pickle", b"\x80\x04N.", "damaged-file"),
        ("other", None, "wrong-file"),
    )
    for name, content, code in cases:
        folder = tmp_path / name
        folder.mkdir()
        if content is not None:
            (folder / NAME).write_bytes(content)
        if name == "other":
            save_file({"a": np.zeros(1)}, folder / NAME)
        with pytest.raises(InputError) as error:
            HeldOut.load(folder)
        assert (error.value.code, error.value.field) == (code, "classifier")
