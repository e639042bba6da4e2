"""Checks of a steering's parts other than its edits: names, strengths, presets, sites, conditions and texts."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite
from numbers import Real
from typing import Any

from trimtab.errors import InputError
from trimtab.interventions import Condition, ModelFacts, Site
from trimtab.texts import checked_text

Conditions = Condition | Sequence[Condition]  # of an attribute, which acts where all hold

MAX_NAME = 200
MAX_PROMPT = 100_000


def named(name: object) -> str:
    """A name of an attribute or preset.

    Raises:
        InputError: empty, too long, or not printable.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InputError(
            f"{name!r} is not a name; give up to {MAX_NAME} printable characters", code="invalid-input", field="name"
        )
    return name


def strength(value: object, name: str) -> float:
    """A strength as a float.

    Raises:
        InputError: not a finite number.
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):  # a whole number beyond all floats
            if isfinite(float(value)):
                return float(value)
    raise InputError(
        f"strength {value!r} of {name!r} is not a finite number", code="not-finite", field=f"strength.{name}"
    )


def checked_attributes(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Default strengths by name.

    Raises:
        InputError: an invalid name or strength.
    """
    return {named(name): strength(value, name) for name, value in attributes.items()}


def checked_presets(
    presets: Mapping[str, Mapping[str, Any]], attributes: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Strengths by attribute for each preset's name.

    Raises:
        InputError: an invalid name or strength, or an unknown attribute.
    """
    checked = {named(preset): dict(values) for preset, values in presets.items()}
    for preset, values in checked.items():
        unknown = sorted(set(values) - set(attributes))
        if unknown:
            raise InputError(
                f"preset {preset!r} names attribute {unknown[0]!r}, which the steering does not have",
                code="unknown-attribute",
                field=f"presets.{preset}",
            )
        checked[preset] = {name: strength(value, name) for name, value in values.items()}
    return checked


def check_site(site: Site, made_for: ModelFacts | None) -> None:
    """Check that an edit's site exists in the model it was made for and can be edited.

    Raises:
        InputError: it does not, or cannot.
    """
    if site.component == "heads":
        raise InputError(
            f"site {site}: heads are read, not edited; edit attention:{site.block}",
            code="no-such-site",
            field=f"edits.{site}",
        )
    if made_for is not None and site.block >= made_for.n_blocks:
        raise InputError(
            f"site {site}: {made_for.id} has blocks 0 to {made_for.n_blocks - 1}",
            code="no-such-site",
            field=f"edits.{site}",
        )


def checked_conditions(
    conditions: Mapping[str, Conditions], attributes: Mapping[str, float], made_for: ModelFacts | None
) -> dict[str, tuple[Condition, ...]]:
    """Conditions as tuples, in the order of the attributes.

    Raises:
        InputError: one is for no attribute, is no condition, or reads no site of the model it was made for.
    """
    unknown = [name for name in conditions if name not in attributes]
    if unknown:
        raise InputError(
            f"a condition is for attribute {unknown[0]!r}, which the steering does not have",
            code="unknown-attribute",
            field=f"conditions.{unknown[0]}",
        )
    found = {name: _several(name, conditions[name]) for name in attributes if name in conditions}
    for name, condition in ((name, one) for name, several in found.items() for one in several):
        if made_for is None:
            continue
        if condition.site.block >= made_for.n_blocks or len(condition.direction) != made_for.d_model:
            raise InputError(
                f"the condition of {name!r} reads {len(condition.direction)} values at site {condition.site}; "
                f"{made_for.id} has {made_for.n_blocks} blocks and is {made_for.d_model} wide",
                code="wrong-shape",
                field=f"conditions.{name}",
            )
    return {name: several for name, several in found.items() if several}


def _several(name: str, given: Any) -> tuple[Condition, ...]:
    several = tuple(given) if isinstance(given, list | tuple) else (given,)
    for one in several:
        if not isinstance(one, Condition):
            raise InputError(
                f"the condition of {name!r} must be a Condition, not {type(one).__name__}",
                code="wrong-type",
                field=f"conditions.{name}",
            )
    return several


def check_prompts(prompts: Mapping[str, tuple[str, str]], attributes: Mapping[str, float]) -> None:
    """Check that texts in front of prompts are for known attributes: two each, of which the second may be empty.

    Raises:
        InputError: they are not.
    """
    for name, texts in prompts.items():
        if name not in attributes:
            raise InputError(
                f"a text is for attribute {name!r}, which the steering does not have",
                code="unknown-attribute",
                field=f"prompts.{name}",
            )
        if not isinstance(texts, tuple) or len(texts) != 2:
            raise InputError(
                f"prompts of {name!r}: give two texts, for strengths above and below 0, not {texts!r}",
                code="wrong-type",
                field=f"prompts.{name}",
            )
        for text in texts:
            checked_text(text, f"attribute {name!r}", "prompts")
            if len(text) > MAX_PROMPT:
                raise InputError(
                    f"a text of {name!r} has {len(text):,} characters; at most {MAX_PROMPT:,}",
                    code="out-of-range",
                    field=f"prompts.{name}",
                )
        if not texts[0]:
            raise InputError(
                f"prompts of {name!r}: the first text is empty", code="missing-value", field=f"prompts.{name}"
            )
