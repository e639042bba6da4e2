"""Conditions from prompts of known kinds, and what artifacts keep of them and of texts."""

import json
from hashlib import sha256

import numpy as np
import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Condition, Site
from trimtab.models.conditions import cosines
from trimtab.steering import Additive, Steering
from trimtab.steering.artifact import read
from trimtab.steering.conditions import balanced_accuracy, fit_condition
from trimtab.steering.methods import Sides

D = 12


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


AXIS = normal(D, seed=50) / normal(D, seed=50).norm()


def prompts(gap: float, seed: int, n: int = 80) -> Sides:
    common = 6.0 * normal(D, seed=99)
    positive, negative = (common + normal(k, D, seed=seed + i) for i, k in enumerate((n, n // 2)))
    return Sides(positive + gap * AXIS, negative - gap * AXIS, paired=False)


def test_the_site_where_prompts_part_best_is_found_with_its_direction() -> None:
    train = {Site(k): prompts(gap, seed=10 * k) for k, gap in ((1, 0.2), (2, 3.0), (3, 0.5))}
    dev = {Site(k): prompts(gap, seed=10 * k + 5) for k, gap in ((1, 0.2), (2, 3.0), (3, 0.5))}
    result = fit_condition(train, dev)
    assert result.site == Site(2)
    assert float(torch.cosine_similarity(torch.tensor(result.direction).double(), AXIS, dim=0)) > 0.95
    assert balanced_accuracy(result, prompts(3.0, seed=77)) > 0.97


def test_the_threshold_is_that_of_a_search_over_all() -> None:
    sides = prompts(0.4, seed=3)
    result = fit_condition({Site(0): sides}, {Site(0): sides})
    pair = [cosines(result, s).double().numpy() for s in (sides.positive, sides.negative)]
    best = max(((pair[0] > t).mean() + (pair[1] <= t).mean()) / 2 for t in np.concatenate(pair))
    assert balanced_accuracy(result, sides) == pytest.approx(best, abs=1e-9)


def test_prompts_that_are_alike_give_no_condition() -> None:
    rows = normal(20, D, seed=1)
    same = {Site(0): Sides(rows, rows)}
    with pytest.raises(InputError, match="same mean"):
        fit_condition(same, same)
    with pytest.raises(InputError, match="at least one"):
        fit_condition({}, {})


def made() -> Steering:
    condition = Condition(1, torch.arange(1.0, D + 1), 0.25, above=False)
    return Steering(
        {2: Additive(torch.ones(2, D))},
        {"a": 1.0, "b": 0.5},
        conditions={"b": condition},
        prompts={"a": ("Be kind.\n\n", "")},
    )


def test_conditions_and_texts_are_kept_and_named_by_the_identity(tmp_path) -> None:
    made().save(tmp_path / "s")
    again = Steering.load(tmp_path / "s")
    assert again.id == made().id
    assert again.prompts == {"a": ("Be kind.\n\n", "")}
    (kept,) = again.conditions["b"]
    assert (kept.site, kept.threshold, kept.above) == (Site(1), 0.25, False)
    assert kept.direction.tobytes() == made().conditions["b"][0].direction.tobytes()
    card = (tmp_path / "s" / "README.md").read_text()
    assert "Be kind." in card
    assert "below 0.25" in card
    others = [
        made().changed(conditions={}),
        made().changed(prompts={}),
        made().changed(prompts={"a": ("Be kind.\n\n", "Be rude.\n\n")}),
        made().changed(conditions={"b": Condition(1, torch.arange(1.0, D + 1), 0.26, above=False)}),
        made().changed(conditions={"b": Condition(1, torch.arange(2.0, D + 2), 0.25, above=False)}),
    ]
    assert len({s.id for s in [made(), *others]}) == 6


def several() -> Steering:
    """An attribute with three conditions beside one with one."""
    bounds = [Condition(1, normal(D, seed=k), 0.1 * k, above=k != 2) for k in range(3)]
    return made().changed(conditions={"a": bounds, "b": bounds[0]})


def test_several_conditions_of_an_attribute_are_format_2_and_others_stay_format_1(tmp_path) -> None:
    several().save(tmp_path / "s")
    stored, again = read(tmp_path / "s"), Steering.load(tmp_path / "s")
    assert stored.manifest.format == 2
    assert stored.id == again.id == several().id
    for name in ("a", "b"):
        assert [len(s.conditions[name]) for s in (stored, again)] == [len(several().conditions[name])] * 2
        for kept, own in zip(again.conditions[name], several().conditions[name], strict=True):
            assert (kept.site, kept.threshold, kept.above) == (own.site, own.threshold, own.above)
            assert kept.direction.tobytes() == own.direction.tobytes()
    assert "below 0.2 with a stored direction" in (tmp_path / "s" / "README.md").read_text()
    fewer = several().changed(conditions={"a": several().conditions["a"][:2], "b": several().conditions["b"]})
    others = [made(), fewer, several().changed(conditions={"a": list(reversed(several().conditions["a"]))})]
    assert len({s.id for s in [several(), *others]}) == 4
    made().save(tmp_path / "one")
    assert read(tmp_path / "one").manifest.format == 1
    assert several().changed(conditions={"a": [], "b": []}).conditions == {}


@pytest.mark.parametrize(
    ("steering", "number", "word"),
    [
        (several, 1, "two are for the same attribute, which is format 2, not 1"),
        (made, 2, "no two are for the same attribute, which is format 1, not 2"),
        (several, 3, "format 3, written by trimtab .*; this version reads 1 to 2. Update trimtab"),
    ],
)
def test_a_format_that_says_more_or_less_than_is_there_is_refused(tmp_path, steering, number, word) -> None:
    steering().save(tmp_path / "s")
    file = tmp_path / "s" / "steering.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": number}))
    lines = (tmp_path / "s" / "MANIFEST").read_text().splitlines()
    sums = [f"{sha256(file.read_bytes()).hexdigest()}  {file.name}" if file.name in line else line for line in lines]
    (tmp_path / "s" / "MANIFEST").write_text("".join(f"{line}\n" for line in sums))
    with pytest.raises(InputError, match=word):
        read(tmp_path / "s")


def test_names_and_combinations_take_them_along() -> None:
    renamed = made().renamed({"a": "x", "b": "y"})
    assert list(renamed.prompts) == ["x"]
    assert list(renamed.conditions) == ["y"]
    both = Steering.combined([made(), renamed])
    assert list(both.conditions) == ["b", "y"]
    assert list(both.prompts) == ["a", "x"]
    with pytest.raises(InputError, match="combine it"):
        made() + made()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"conditions": {"c": Condition(1, torch.ones(D), 0.0)}}, "'c'"),
        ({"conditions": {"a": "always"}}, "must be a Condition"),
        ({"prompts": {"c": ("x", "")}}, "'c'"),
        ({"prompts": {"a": ("", "x")}}, "empty"),
        ({"prompts": {"a": "x"}}, "two texts"),
        ({"prompts": {"a": ("x" * 100_001, "")}}, "at most"),
    ],
)
def test_odd_conditions_and_texts_are_refused(change, word) -> None:
    with pytest.raises(InputError, match=word):
        made().changed(**change)
