"""Scores of given answers, with a steering and without it: the library's own scoring, a few texts at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import AnswerScore, Edit, ScoreRequest, Steerable, prompt_prefixes
from trimtab.models import Encoded, Model, Steer, ensure_fits, steer
from trimtab.models.capture import capture
from trimtab.models.conditions import acts
from trimtab.models.divergence import divergence_behind, divergences
from trimtab.models.scoring import check_scorable, choice_variants
from trimtab.models.thinking import needed_marks
from trimtab.serving.engines.prompts import Preparation, strengths_of
from trimtab.steering import Steering
from trimtab.steering.edits import Stack, StoredEdit

AT_ONCE: Final = 256
"""Tokens that are scored before answers in flight go on; a longer text is scored alone."""


class Scoring:
    """A request for scores, prepared: nothing is run yet.

    Args:
        model: that scores.
        preparation: turns texts into tokens.
        request: what is asked for.
        steering: of the request.

    Raises:
        InputError: see `Engine.score`.
    """

    def __init__(self, model: Model, preparation: Preparation, request: ScoreRequest, steering: Steerable) -> None:
        ensure_fits(steering, model)
        strengths = strengths_of(request.steering, steering)
        (prefix,) = prompt_prefixes(steering, strengths)
        self._model, self._steering, self._choices = model, steering, request.choices
        self._rows = preparation.answers(request, "")
        self._behind = preparation.answers(request, prefix) if prefix else self._rows
        for rows in (self._rows, self._behind):
            check_scorable(rows)
        preparation.check_sites(steering)
        scope = request.steering.scope
        self._variants: list[tuple[Steer, ...]] = [(steer(steering, strengths, scope),)]
        if request.random is not None and isinstance(steering, Steering):
            with suppress(InputError):  # no directions that could be random ones
                self._variants.append((steer(steering.randomised(request.random), strengths, scope),))
        for variant in self._variants:
            needed_marks(model, variant)
        self._directions = {site: found for site, edit in steering.edits.items() if (found := directions_of(edit))}

    @property
    def pieces(self) -> Iterator[slice]:
        """The texts in pieces that are scored at a time; pairs stay together."""
        step, start, tokens = (2 if self._choices else 1), 0, 0
        for i in range(0, len(self._rows), step):
            more = sum(len(row.ids) for row in self._behind[i : i + step])
            if i > start and tokens + more > AT_ONCE:
                yield slice(start, i)
                start, tokens = i, 0
            tokens += more
        yield slice(start, len(self._rows))

    def scores(self, some: slice) -> list[AnswerScore]:
        """Run the model on a piece.

        Raises:
            InputError: a figure is not finite.
        """
        rows, behind = self._rows[some], self._behind[some]
        measured = self._of_choices(rows, behind) if self._choices else self._of_answers(rows, behind)
        projections, acting = self._projections(rows), self._acting(behind)
        out = []
        for (n, base, each), own, acted in zip(measured, projections, acting, strict=True):
            steered, kl = each[0]
            along, along_kl = each[1] if len(each) > 1 else (None, None)
            out.append(AnswerScore(n, base, steered, kl, along, along_kl, own, acted))
        return out

    def _acting(self, rows: Sequence[Encoded]) -> list[bool]:
        """One for each row: whether the steering acts there."""
        if not self._steering.conditions:
            return [True] * len(rows)
        ((own,), *_) = self._variants
        return list(map(bool, acts(self._model, rows, own).tolist()))

    def _of_answers(self, rows: Sequence[Encoded], behind: Sequence[Encoded]) -> "list[_Measured]":
        if self._behind is self._rows:
            each = divergences(self._model, rows, self._variants)
        else:
            each = [divergence_behind(self._model, rows, behind, variant) for variant in self._variants]
        kl, log_prob = (torch.stack([getattr(one, name) for one in each], 1) for name in ("kl", "log_prob"))
        figures = torch.stack([log_prob, kl], dim=2).tolist()  # [n, variants, 2]
        return list(zip(each[0].n_tokens.tolist(), each[0].base_log_prob.tolist(), figures, strict=True))

    def _of_choices(self, rows: Sequence[Encoded], behind: Sequence[Encoded]) -> "list[_Measured]":
        if self._behind is self._rows:
            base, *each = choice_variants(self._model, rows[::2], rows[1::2], [(), *self._variants])
        else:
            (base,) = choice_variants(self._model, rows[::2], rows[1::2], [()])
            each = choice_variants(self._model, behind[::2], behind[1::2], self._variants)
        log_probs = torch.stack([one.flatten() for one in each], dim=1).tolist()  # [n, variants]
        found = zip(base.flatten().tolist(), log_probs, strict=True)
        return [(1, plain, [(value, None) for value in values]) for plain, values in found]

    def _projections(self, rows: Sequence[Encoded]) -> list[dict[str, dict[str, float]]]:
        """One for each row; empty where all tokens of an answer are massive activations, or nothing has a direction."""
        out: list[dict[str, dict[str, float]]] = [{} for _ in rows]
        if not self._directions:
            return out
        names = list(self._steering.attributes)
        for row, own in zip(rows, out, strict=True):
            with suppress(InputError):
                captured = capture(self._model, [row], list(self._directions), "mean")
                for site, directions in self._directions.items():
                    for column, value in projected(captured.activations[site][0], directions).items():
                        own.setdefault(names[column], {})[str(site)] = value
        return out


_Measured = tuple[int, float, list[tuple[float, float | None]]]
"""Tokens of an answer, its log-probability, and by variant that and the divergence."""


def directions_of(edit: Edit) -> dict[int, Tensor]:
    """By column of the strengths, the direction `[d_model]` of an edit that has one for each."""
    if isinstance(edit, Stack):
        found: dict[int, Tensor] = {}
        for part, columns in edit.parts:
            for own, direction in directions_of(part).items():
                found.setdefault(columns[own], direction)
        return found
    if not isinstance(edit, StoredEdit):
        return {}
    rows = edit.tensors[edit.directions_in[0]]
    return {i: row for i, row in enumerate(rows) if bool(row.any())} if len(rows) == edit.n_attributes else {}


def projected(h: Tensor, directions: Mapping[int, Tensor]) -> dict[int, float]:
    """κ without its constant, 2 a · s / ‖s‖², of an activation `[d_model]` on each direction."""
    each = {column: s.to(h) for column, s in directions.items()}
    return {column: float(2 * (h @ s) / (s @ s)) for column, s in each.items()}
