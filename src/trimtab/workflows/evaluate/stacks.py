"""Two methods of a comparison put together: the edits of one, and the text that the other puts in front of prompts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.phrases import Phrase
from trimtab.results.evaluation import MethodPlan, Point
from trimtab.steering import Steering
from trimtab.steering.methods import method
from trimtab.workflows.evaluate.cell_task import CellTask
from trimtab.workflows.evaluate.contenders import LITO
from trimtab.workflows.evaluate.specs import MethodSpec

STACK: Final = "stack"


def stack_plan(spec: MethodSpec) -> MethodPlan:
    """What a stack is, as the protocol has it.

    Raises:
        InputError: not two parts, or options, which belong to the parts.
    """
    if len(spec.stacked) != 2 or not all(spec.stacked) or spec.options:
        raise InputError(
            f"method {spec.method!r}: write LABEL+LABEL, two methods of the comparison; options belong to these",
            code="invalid-input",
            field="methods",
        )
    source = "The edits of one method at its strengths of the first damage, with the text of the other in front."
    return MethodPlan(
        label=spec.label or spec.method, method=STACK, settings=({},), source=source, stacked=spec.stacked
    )


def checked(plan: MethodPlan, plans: Sequence[MethodPlan]) -> MethodPlan:
    """A plan; the parts of a stack with the one that edits first.

    Raises:
        InputError: a stack that is not made of two others of the comparison, one that edits and one that asks, or that
            stands there twice.
    """
    if not plan.stacked:
        return plan
    single = {other.label: other for other in plans if not other.stacked}
    for part in plan.stacked:
        if part not in single:
            raise InputError(
                f"method {plan.label!r} puts together {part!r}, which is not in the comparison; {meant(part, single)}"
                f"there are {', '.join(single) or 'none'}",
                code="unknown-choice",
                field="methods",
            )
    same = [other.label for other in plans if set(other.stacked) == set(plan.stacked)]
    if len(same) > 1:
        raise InputError(
            f"methods {' and '.join(map(repr, same))} are the same: the order of parts means nothing; leave one out",
            code="repeated-name",
            field="methods",
        )
    texts = [part for part in plan.stacked if _asks(single[part])]
    chosen = [part for part in plan.stacked if single[part].method == LITO]
    if len(texts) != 1 or chosen:
        raise InputError(
            f"method {plan.label!r}: a stack is of one method that edits activations and one that puts text in front "
            "of prompts, such as mat-steer+instruction; lito, which chooses between answers, is no part of one",
            code="unsupported",
            field="methods",
        )
    return plan.model_copy(update={"stacked": tuple(sorted(plan.stacked, key=lambda part: part in texts))})


def stacked(task: CellTask, plan: MethodPlan) -> tuple[Steering, Point]:
    """Both parts of a seed together, at the strengths of the first damage, and the point that these are of.

    Raises:
        InputError: one of them gave nothing in this seed.
    """
    points, made = {}, {}
    for part in plan.stacked:
        own = replace(task, contender=part)
        cell = own.kept()
        if cell is None or not cell.points:
            why = Phrase("it was not measured") if cell is None or cell.reason is None else cell.reason
            raise InputError(Phrase("{part} gave nothing in this seed: {why}", part=part, why=why), field="methods")
        points[part], made[part] = cell.points[0], Steering.load(own.home)
    edits, texts = plan.stacked
    # without the presets, which are called after damages that the edits do by themselves
    both = made[edits].changed(attributes=dict(points[edits].strengths), presets={}, prompts=made[texts].prompts)
    return both, points[edits]


def _asks(plan: MethodPlan) -> bool:
    """Whether a method puts text in front of prompts and edits nothing."""
    return plan.method != LITO and method(plan.method).material == "text"
