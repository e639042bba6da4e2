"""Text with and without a steering, what the steering saw in each token, and whether it is too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Edit, Scope, prompt_prefixes
from trimtab.measurements.edit_size_ratio import edit_size_ratio_of_texts
from trimtab.models import Encoded, Model, Plan, collate, steer
from trimtab.models.conditions import decided
from trimtab.models.decoding import pieces
from trimtab.models.generate import check_length as check_row_lengths
from trimtab.models.text import with_prefixes
from trimtab.steering import Steering
from trimtab.steering.edits import Stack, StoredEdit
from trimtab.texts import Rendered

MAX_EDIT_SIZE_RATIO = 0.3  # checks choose about a tenth; divergence grows with the square


@dataclass(frozen=True)
class Shade:
    """A token of a text and what the steering saw there, by attribute: a gate or probability, or a cosine."""

    text: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Continued:
    """A prompt with its plain and its steered continuation, and the steered one token by token if that was asked."""

    prompt: str
    plain: str
    steered: str
    shades: tuple[Shade, ...] = ()


def generate(
    model: Model,
    prompts: Sequence[str],
    steering: Steering,
    strength: Any = None,
    *,
    scope: Scope = "all",
    chat_template: bool = False,
    max_new_tokens: int = 64,
    seed: int = 0,
    explain: bool = False,
    options: Mapping[str, Any] | None = None,
) -> list[Continued]:
    """Continue prompts without and with a steering.

    Example:
        >>> import trimtab as tt
        >>> model = tt.load("smollm2")
        >>> warm = tt.vector(model, ["What a joy!", "Well done."], ["What a bore.", "Hopeless."], site=14, name="warm")
        >>> (pair,) = tt.generate(model, ["My day was"], warm, 0.0, max_new_tokens=4)
        >>> pair.plain == pair.steered  # strength 0 is the unsteered model
        True

    Args:
        model: see `trimtab.load`.
        prompts: at least one.
        steering: what steers.
        strength: for all prompts; see `trimtab.models.steer`.
        scope, chat_template, max_new_tokens, seed: as in `Model.generate`.
        explain: tell what the steering sees in each token of the steered text.
        options: further ones of `Model.generate`, such as `do_sample`.

    Raises:
        InputError: no prompts; what `Model.generate` refuses.
    """
    if not prompts:
        raise InputError("give at least one prompt", code="missing-value", field="prompts")
    sampling = {"chat_template": chat_template, "max_new_tokens": max_new_tokens, "seed": seed, **(options or {})}
    plain = model.generate(list(prompts), **sampling)
    steered = model.generate(list(prompts), steering=steering, strength=strength, scope=scope, details=True, **sampling)
    shades: list[tuple[Shade, ...]] = [()] * len(prompts)
    if explain:
        shades = [shaded(model, c.row, steering, strength, scope) for c in steered]
    texts = [c.text for c in steered]
    return [Continued(*row) for row in zip(prompts, plain, texts, shades, strict=True)]


def shaded(model: Model, row: Encoded, steering: Steering, strength: Any, scope: Scope) -> tuple[Shade, ...]:
    """What the steering sees in each token of prompt and continuation, at the lowest site of each attribute."""
    if not steering.edits:
        return ()
    batch = collate([row], model.pad, model.device)
    (steers,) = decided(model, [row], [(steer(steering, strength, scope),)])
    trace = model.forward(batch, Plan(steers, frozenset(steering.edits)))
    names = list(steering.attributes)
    values: dict[str, list[float]] = {}
    for site in sorted(steering.edits):
        for name, own in gates_of(steering.edits[site], trace.activations[site][0], names).items():
            values.setdefault(name, own.tolist())
    parts = pieces(model.tokenizer, row.ids)
    return tuple(Shade(part, {name: values[name][i] for name in values}) for i, part in enumerate(parts))


def gates_of(edit: Edit, h: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """By attribute what an edit sees in `h [T, d_model]`; nothing of edits of one's own class."""
    if isinstance(edit, Stack):
        result: dict[str, Tensor] = {}
        for part, columns in edit.parts:
            result = {**gates_of(part, h, [names[c] for c in columns]), **result}
        return result
    if not isinstance(edit, StoredEdit):
        return {}
    return dict(zip(names, edit.shown(h).T, strict=True))


def check_length(
    model: Model, prompts: Sequence[str], steering: Steering, strength: Any, chat_template: bool, max_new_tokens: int
) -> tuple[str, ...]:
    """Refuse prompts that leave no room for so many new tokens, behind the steering's texts too.

    Returns:
        what was done to the prompts to fit the chat template.

    Raises:
        InputError: they leave no room.
    """
    plain = [Rendered("", p, "") for p in prompts]
    texts = [*plain, *with_prefixes(plain, prompt_prefixes(steering, strength))]
    encoder = model.encoder(chat_template)
    check_row_lengths(model, [row.prompt for row in encoder.encode(texts)], max_new_tokens)
    return encoder.notes


def size_on(model: Model, prompts: Sequence[str], steering: Steering, strength: Any, chat_template: bool) -> float:
    """The dose of a steering, as a check measures it, on the last tokens of the prompts.

    Raises:
        InputError: an edit or an edited activation is beyond what the model computes in.
    """
    rows = [row.prompt for row in model.encoder(chat_template).encode([Rendered("", p, "") for p in prompts])]
    return edit_size_ratio_of_texts(model, rows, steering, strength)
