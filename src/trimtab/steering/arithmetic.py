"""Combining several steerings into one, and sums and multiples of vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Edit, ModelFacts, Site
from trimtab.steering.edits import Additive, Stack, StoredEdit
from trimtab.steering.steering import Origin, Steering

Parts = list[tuple[StoredEdit, tuple[int, ...]]]


def combined(steerings: Sequence[Steering]) -> Steering:
    """All attributes of several steerings in one; at a site that several edit, their edits act in the order given.

    Presets of the same name are merged. The result is for the model that they were made for.

    Raises:
        InputError: no steering, attributes of the same name, different models, an edit of a custom class.
    """
    if not steerings:
        raise InputError("give at least one steering", code="missing-value", field="steerings")
    if len(steerings) == 1:
        return steerings[0]
    names = [name for s in steerings for name in s.attributes]
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise InputError(
            f"two of the steerings have an attribute {twice!r}; rename one of them: .renamed({{…}})",
            code="repeated-name",
            field="attributes",
        )
    presets: dict[str, dict[str, float]] = {}
    for s in steerings:
        for preset, strengths in s.presets.items():
            presets.setdefault(preset, {}).update(strengths)
    return Steering(
        _side_by_side(steerings, names),
        {name: value for s in steerings for name, value in s.attributes.items()},
        Origin("combined", {"of": _origins(steerings)}, data=_data(steerings)),
        presets,
        _one_model(steerings),
        all(s.allow_mismatch for s in steerings),
        {name: c for s in steerings for name, c in s.conditions.items()},
        {name: texts for s in steerings for name, texts in s.prompts.items()},
    )


def summed(first: Steering, second: Steering, sign: float) -> Steering:
    """The sum of both steerings' vectors at each site, each at its default strength; the sum's default strength is 1.

    Equal attributes are added one by one; two steerings of one attribute each give one attribute named after both.

    Raises:
        InputError: edits that are not plain vectors, different attributes, different models.
    """
    word = "+" if sign > 0 else "-"
    mine, others = list(first.attributes), list(second.attributes)
    if mine != others and (len(mine), len(others)) != (1, 1):
        raise InputError(
            f"attributes {', '.join(mine)} and {', '.join(others)} cannot be added one by one; combine the steerings, "
            "or add those of one attribute",
            code="unsupported",
            field="attributes",
        )
    names = mine if mine == others else [f"{mine[0]} {word} {others[0]}"]
    left, right = _vectors(first), _vectors(second)
    sites = sorted({*left, *right})
    zero = torch.zeros_like(next(iter(left.values())))
    edits = {site: Additive(left.get(site, zero) + sign * right.get(site, zero)) for site in sites}
    origin = Origin("sum", {"of": _origins([first, second]), "signs": ["+", word]}, data=_data([first, second]))
    allowed = first.allow_mismatch and second.allow_mismatch
    return Steering(edits, dict.fromkeys(names, 1.0), origin, None, _one_model([first, second]), allowed)


def times(steering: Steering, factor: Any) -> Steering:
    """Every vector multiplied by a factor; default strengths stay.

    Raises:
        InputError: edits that are not plain vectors, a factor that is not a finite number other than 0.
    """
    if isinstance(factor, bool) or not isinstance(factor, Real) or not isfinite(factor) or factor == 0:
        raise InputError(
            f"a steering is multiplied by a finite number other than 0, not by {factor!r}",
            code="out-of-range",
            field="factor",
        )
    edits = {site: Additive(edit.vectors * float(factor)) for site, edit in _plain(steering).items()}
    hyperparameters = {
        **steering.origin.hyperparameters,
        "times": factor * steering.origin.hyperparameters.get("times", 1),
    }
    origin = replace(steering.origin, hyperparameters=hyperparameters)
    return Steering(
        edits, steering.attributes, origin, steering.presets, steering.made_for, steering.allow_mismatch
    )  # fmt: skip


def _side_by_side(steerings: Sequence[Steering], names: Sequence[str]) -> dict[Site, Edit]:
    parts: dict[Site, Parts] = {}
    first = 0
    for s in steerings:
        for site, edit in s.edits.items():
            parts.setdefault(site, []).extend(_parts(site, edit, first, len(s.attributes)))
        first += len(s.attributes)
    whole = tuple(range(len(names)))
    return {
        site: own[0][0] if len(own) == 1 and own[0][1] == whole else Stack(tuple(own)) for site, own in parts.items()
    }


def _parts(site: Site, edit: Edit, first: int, n: int) -> Parts:
    """An edit's parts with their columns shifted past those of the previous steerings."""
    if isinstance(edit, Stack):
        return [(part, tuple(first + c for c in columns)) for part, columns in edit.parts]
    if isinstance(edit, StoredEdit):
        return [(edit, tuple(range(first, first + n)))]
    raise InputError(
        f"the edit at site {site} ({type(edit).__name__}) is of a custom class and cannot be combined",
        code="unsupported",
        field="edits",
    )


def _plain(steering: Steering) -> Mapping[Site, Additive]:
    plain = {s: e for s, e in steering.edits.items() if isinstance(e, Additive) and not e.keep_norm}
    others = sorted(set(steering.edits) - set(plain))
    if others:
        kinds = ", ".join(steering.kinds[others[0]])
        raise InputError(
            f"the edit at site {others[0]} ({kinds}) is not a plain vector; combine the steerings instead",
            code="unsupported",
            field="edits",
        )
    if steering.conditions or steering.prompts:
        raise InputError(
            "a steering with conditions on prompts or texts in front of them cannot be added; combine it",
            code="unsupported",
            field="conditions",
        )
    return plain


def _vectors(steering: Steering) -> dict[Site, Tensor]:
    """`[A, d_model]` by site, at the default strengths."""
    strengths = torch.tensor(list(steering.attributes.values()))[:, None]
    return {site: edit.vectors * strengths for site, edit in _plain(steering).items()}


def _one_model(steerings: Sequence[Steering]) -> ModelFacts | None:
    known = {s.made_for.digest: s.made_for for s in steerings if s.made_for is not None}
    if len(known) > 1:
        raise InputError(
            f"the steerings were made for {' and '.join(sorted(facts.id for facts in known.values()))}",
            code="conflicting-arguments",
            field="made_for",
        )
    return next(iter(known.values()), None)


def _origins(steerings: Sequence[Steering]) -> list[dict[str, Any]]:
    return [
        {"method": s.origin.method, "attributes": list(s.attributes), "hyperparameters": dict(s.origin.hyperparameters)}
        for s in steerings
    ]


def _data(steerings: Sequence[Steering]) -> dict[str, str]:
    return {name: digest for s in steerings for name, digest in s.origin.data.items()}
