"""Methods on activations whose directions are known: each finds what its paper says it should."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from trimtab import plugins
from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import steer
from trimtab.steering import Additive, Steering
from trimtab.steering.edits import Ablation, Clamp, ClassifierGradient, Gated, Rotation
from trimtab.steering.methods import (
    BUILT_IN,
    Data,
    Sides,
    SidesMethod,
    method_names,
)
from trimtab.steering.methods import method as method_of

D, N, SITE = 24, 200, Site(3)
# some read heads, others tokens or prompts, and prompt methods nothing: they have files of their own
ALL = pytest.mark.parametrize(
    "name", [n for n, m in BUILT_IN.items() if m.reads != "heads" and issubclass(m, SidesMethod)]
)


def method(name: str) -> Any:
    """The class of a method, with what its kind of material needs."""
    return method_of(name)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def direction(seed: int) -> Tensor:
    v = normal(D, seed=seed)
    return v / v.norm()


def sides(v: Tensor, gap: float = 3.0, seed: int = 0, spread: Tensor | None = None) -> Sides:
    """Two clouds, apart by `gap` along `v`; pairs share most of what they are about."""
    scale = torch.ones(D, dtype=torch.float64) if spread is None else spread
    about = 2.0 * normal(N, D, seed=seed) + 5.0
    up, down = (about + 0.5 * scale * normal(N, D, seed=seed + k) for k in (1, 2))
    return Sides(up + gap / 2 * v, down - gap / 2 * v)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0))


def fitted(name: str, data: Mapping[str, Sides] | None = None, **options: Any) -> Any:
    """The edit at the one site."""
    given = data or {"warm": sides(direction(50))}
    return method(name)(**options).fit({a: {SITE: s} for a, s in given.items()}).edits[SITE]


@ALL
def test_every_method_gives_a_steering_that_moves_the_negative_side(name: str, tmp_path: Path) -> None:
    v = direction(50)
    data: Data = {"warm": {SITE: sides(v), Site(5): sides(v, seed=9)}}
    steering = method(name)().fit(data, seed=3, digests={"warm": "a" * 64})
    assert list(steering.edits) == [SITE, Site(5)]
    assert dict(steering.attributes) == {"warm": 1.0}
    assert (steering.method, steering.origin.seed) == (name, 3)
    assert len(method(name).source) > 20
    h = data["warm"][SITE].negative.float()[None]
    moved = steering.edits[SITE](h, steer(steering).strength) - h
    along = float((moved[0].double() @ v).mean())
    if name == "ablation":  # which takes the direction out, wherever a token lies
        assert abs(along + float((h[0].double() @ v).mean())) < 0.1
    else:
        assert along > 0.3  # toward the positive side; a vector moves by 3
    assert Steering.load(steering.save(tmp_path / "s")).id == steering.id


@ALL
def test_the_same_seed_gives_the_same_steering(name: str) -> None:
    unpaired = Sides(sides(direction(50)).positive, sides(direction(50), seed=9).negative[:150], paired=False)
    first, again = (method(name)().fit({"a": {SITE: unpaired}}, seed=5) for _ in range(2))
    assert first.id == again.id


@ALL
def test_attributes_keep_their_order_and_their_own_strengths(name: str) -> None:
    v, w = torch.linalg.qr(torch.stack([direction(50), direction(51)]).T).Q.T
    data = {"a": {SITE: sides(v)}, "b": {SITE: sides(w, seed=20)}}
    steering = method(name)().fit(data)
    assert list(steering.attributes) == ["a", "b"]
    for own, other, strength, key in ((v, w, [1.0, 0.0], "a"), (w, v, [0.0, 1.0], "b")):
        h = data[key][SITE].negative.float()[None]
        moved = (steering.edits[SITE](h, torch.tensor([strength])) - h)[0].double()
        assert abs(float((moved @ own).mean())) > 2 * abs(float((moved @ other).mean()))


# ---- What each one finds -------------------------------------------------------------------------------------------


def test_mean_difference_is_the_difference_of_the_means() -> None:
    data = sides(direction(50))
    edit = fitted("mean-difference", {"warm": data})
    torch.testing.assert_close(edit.vectors[0].double(), (data.positive - data.negative).mean(dim=0), atol=1e-6, rtol=0)


def test_pca_is_scikit_learns_component_of_differences_with_random_signs() -> None:
    data = sides(direction(50))
    signs = torch.where(normal(40, N, seed=8) > 0, 1.0, -1.0)
    flipped = (signs[:, :, None] * (data.positive - data.negative)).reshape(-1, D)
    want = TruncatedSVD(1, algorithm="arpack").fit(flipped.numpy()).components_[0]
    result = fitted("pca", {"warm": data}).vectors[0]
    assert abs(cosine(result, torch.from_numpy(want))) > 1 - 1e-6
    assert cosine(result, direction(50)) > 0.99


def test_pca_points_to_the_positive_side_and_moves_as_far_as_the_classes_lie_apart() -> None:
    for sign in (1.0, -1.0):
        v = sign * direction(50)
        result = fitted("pca", {"warm": sides(v)}).vectors[0]
        assert cosine(result, v) > 0.99
        assert float(result.norm()) == pytest.approx(3.0, rel=0.05)


def test_the_probe_is_scikit_learns_and_finds_the_direction_despite_loud_dimensions() -> None:
    """Where noise is unequal, the best direction is not the difference of the means, but covariance⁻¹ times it."""
    spread = torch.ones(D, dtype=torch.float64)
    spread[:4] = 8.0
    v = direction(50)
    up, down = (spread * normal(400, D, seed=k) + sign * 1.5 * v for k, sign in ((1, 1), (2, -1)))
    data = Sides(up, down)
    result = fitted("logistic-probe", {"warm": data}, c=100.0).vectors[0].double()
    scaler = StandardScaler().fit(torch.cat([up, down]).numpy())
    peer = LogisticRegression(C=100.0, max_iter=1000).fit(
        scaler.transform(torch.cat([up, down])), np.repeat([1, 0], 400)
    )
    assert cosine(result, torch.from_numpy(peer.coef_[0] / scaler.scale_)) > 0.9999
    best = v / spread**2
    assert cosine(result, best) > cosine(fitted("mean-difference", {"warm": data}).vectors[0], best) + 0.1
    assert float(result @ result) == pytest.approx(float((up.mean(0) - down.mean(0)) @ result), rel=1e-4)


def test_gates_open_on_the_negative_side_and_stay_shut_on_the_positive() -> None:
    data = sides(direction(50), gap=8.0)
    edit = fitted("probe-gated", {"warm": data})
    assert isinstance(edit, Gated)
    assert float(edit.gates(data.negative.float()).mean()) > 0.95
    assert float(edit.gates(data.positive.float()).mean()) < 0.05


def test_ablation_takes_out_the_mean_difference() -> None:
    data = sides(direction(50))
    edit, h = fitted("ablation", {"warm": data}), data.positive.float()[None]
    assert isinstance(edit, Ablation)
    v = data.mean_difference / data.mean_difference.norm()
    assert float((edit(h, torch.ones(1, 1))[0].double() @ v).abs().max()) < 1e-4


def test_clamp_brings_the_negative_side_up_to_the_positive_mean_and_leaves_what_is_above() -> None:
    data = sides(direction(50), gap=8.0)
    edit = fitted("clamp", {"warm": data})
    assert isinstance(edit, Clamp)
    v = (data.mean_difference / data.mean_difference.norm()).float()
    after = edit(data.negative.float()[None], torch.ones(1, 1))[0] @ v
    least = float((data.positive.float() @ v).mean())
    assert bool((after >= least - 1e-3).all())
    high = data.positive.float()[data.positive.float() @ v > least]
    torch.testing.assert_close(edit(high[None], torch.ones(1, 1))[0], high)


def test_angular_turns_all_to_the_positive_direction_within_its_plane() -> None:
    data = sides(direction(50))
    edit, h = fitted("angular", {"warm": data}), data.negative.float()[None]
    assert isinstance(edit, Rotation)
    out, v = edit(h, torch.ones(1, 1)), (data.mean_difference / data.mean_difference.norm()).float()
    second = edit.on(h.device)["second"][0]
    assert float((out @ second).abs().max()) < 1e-4  # all that lay in the plane lies along the mean difference
    torch.testing.assert_close((out @ v) ** 2, (h @ v) ** 2 + (h @ second) ** 2, rtol=1e-3, atol=1e-3)
    back = fitted("angular", {"warm": data}, degrees=180.0)(h, torch.ones(1, 1)) @ v
    assert bool((back < 1e-3).all())


def test_icv_weighs_sites_by_what_they_hold_and_keeps_lengths() -> None:
    """The component lies where the differences are: one site with a wide gap, one with a narrow one."""
    v, w = direction(50), direction(51)
    data = {"warm": {Site(1): sides(v, gap=6.0), Site(2): sides(w, gap=1.0, seed=9)}}
    steering = method("icv")().fit(data)
    wide, narrow = steering.edits[Site(1)], steering.edits[Site(2)]
    assert isinstance(wide, Additive)
    assert isinstance(narrow, Additive)
    assert cosine(wide.vectors[0], v) > 0.99
    assert float(wide.vectors.norm()) == pytest.approx(6.0, rel=0.1)
    assert float(narrow.vectors.norm()) == pytest.approx(1.0, rel=0.3)
    h = data["warm"][Site(1)].negative.float()[None]
    torch.testing.assert_close(wide(h, torch.ones(1, 1)).norm(dim=-1), h.norm(dim=-1))


def test_k_steering_tells_what_no_line_tells_and_moves_tokens_there() -> None:
    """Positive where two coordinates have the same sign: class means are equal, a vector finds nothing."""
    x = normal(4000, 4, seed=1)
    same = (x[:, 0] * x[:, 1]) > 0
    data = Sides(x[same] + torch.tensor([0.05, 0, 0, 0]), x[~same], paired=False)
    edit = fitted("k-steering", {"same": data}, epochs=60, steps=8)
    assert isinstance(edit, ClassifierGradient)
    logits = edit.logits(x.float())[:, 0]
    assert float(((logits > 0) == same).double().mean()) > 0.93
    h = data.negative.float()[None]
    before = edit.logits(h)[0, :, 0]
    after = edit.logits(edit(h, torch.full((1, 1), 20.0)))[0, :, 0]
    assert float((after > before).double().mean()) > 0.95
    assert float((after > 0).double().mean()) > 0.5 > float((before > 0).double().mean())
    line = fitted("logistic-probe", {"same": data}).vectors[0]
    assert float(((x.float() @ line > 0) == same).double().mean()) < 0.6


# ---- Bad data, own methods -----------------------------------------------------------------------------------------


def with_noise_of(dtype: torch.dtype, share: float, paired: bool = True) -> Sides:
    """The same rows twice, the second time with relative noise as two batch shapes give it, in another order if not
    paired."""
    rows = 3 + normal(50, D, seed=1)
    again = rows * (1 + share * normal(50, D, seed=2))
    if not paired:
        again = again[torch.randperm(50, generator=torch.Generator().manual_seed(3))]
    return Sides(rows.to(dtype), again.to(dtype), paired)


@ALL
@pytest.mark.parametrize(
    ("dtype", "share"), [(torch.float64, 0.0), (torch.float32, 2e-6), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)]
)
@pytest.mark.parametrize("paired", [True, False])
def test_sides_that_differ_by_rounding_only_are_refused(
    name: str, dtype: torch.dtype, share: float, paired: bool
) -> None:
    with pytest.raises(InputError, match=r"'warm'.* same mean but for rounding.* give examples"):
        fitted(name, {"cold": sides(direction(1)), "warm": with_noise_of(dtype, share, paired)})


@pytest.mark.parametrize(("dtype", "gap"), [(torch.float32, 1e-3), (torch.bfloat16, 0.2)])
def test_a_small_difference_in_one_coordinate_is_fitted(dtype: torch.dtype, gap: float) -> None:
    """Also beside a coordinate that is a thousand times larger, and the same on both sides."""
    rows = 3 + normal(50, D, seed=1)
    rows[:, 0] = 3000
    moved = rows.clone()
    moved[:, 5] += gap
    vector = fitted("mean-difference", {"warm": Sides(moved.to(dtype), rows.to(dtype))}).vectors[0]
    assert int(vector.abs().argmax()) == 5
    assert float(vector[5]) == pytest.approx(gap, rel=0.05)


def test_a_site_without_a_difference_is_left_to_the_others() -> None:
    same, apart = with_noise_of(torch.float32, 2e-6), sides(direction(1))
    made = method("mean-difference")().fit({"warm": {Site(0): same, Site(1): apart}})
    assert list(made.edits) == [Site(0), Site(1)]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Sides(torch.zeros(0, 3), torch.zeros(2, 3)), "at least one row"),
        (lambda: Sides(torch.zeros(2, 3), torch.zeros(2, 4)), "wide"),
        (lambda: Sides(torch.zeros(2, 3), torch.zeros(3, 3)), "cannot be pairs"),
        (lambda: Sides(torch.full((2, 3), torch.nan), torch.zeros(2, 3)), "NaN"),
        (lambda: method("pca")().fit({}), "at least one attribute"),
        (lambda: method("pca")().fit({"a": {}}), "same sites"),
        (
            lambda: method("pca")().fit({"a": {SITE: sides(direction(1))}, "b": {Site(4): sides(direction(1))}}),
            "same sites",
        ),
        (lambda: fitted("logistic-probe", c=0.0), "c 0.0"),
        (lambda: fitted("angular", degrees=float("nan")), "degrees"),
        (lambda: fitted("k-steering", hidden=0), "at least 1"),
        (lambda: method("guess"), "there are mean-difference, pca"),
    ],
)
def test_what_cannot_be_fitted_is_refused(make: Any, word: str) -> None:
    with pytest.raises(InputError, match=word):
        make()


class Shout(SidesMethod):
    """Somebody's own method."""

    name: ClassVar[str] = "shout"
    source: ClassVar[str] = "made up for this test"

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Additive:
        return Additive(torch.stack([10 * side.mean_difference for side in sides.values()]).float())


class _Point:
    def __init__(self, name: str, loads: object) -> None:
        self.name, self.loads, self.value = name, loads, f"somewhere:{name}"

    def load(self) -> object:
        if isinstance(self.loads, Exception):
            raise self.loads
        return self.loads


def test_own_methods_come_in_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        _Point("shout", Shout),
        _Point("broken", ImportError("no module")),
        _Point("odd", 7),
        _Point("pca", Shout),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "trimtab.methods" else [])
    assert method_names() == (*BUILT_IN, "broken", "odd", "shout")
    assert method("shout") is Shout
    assert fitted("shout").vectors.norm() > 20
    assert method("pca") is BUILT_IN["pca"]  # nobody takes a built-in name
    with pytest.raises(InputError, match="cannot be loaded: no module"):
        method("broken")
    with pytest.raises(InputError, match="SidesMethod"):
        method("odd")
