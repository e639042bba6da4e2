"""Put a task to a model, steered or not: batched, and resumable where finished parts are kept."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trimtab.errors import InputError
from trimtab.evaluation.tasks.base import Answered, Task, Unit
from trimtab.evaluation.tasks.scores import TaskScores, UnitScore
from trimtab.interventions import Scope, Strength, prompt_prefixes, strength_rows
from trimtab.models import Encoded, Model, Unsteered, ensure_fits, steer
from trimtab.models.scoring import choice_variants, score
from trimtab.models.text import fork, with_prefixes
from trimtab.steering import Steering
from trimtab.storage.keys import name_of
from trimtab.storage.steps import Arrays, Ledger
from trimtab.texts import Rendered

CHUNK = 64  # units that are kept as one step


@dataclass(frozen=True)
class Treatment:
    """What a task is put to the model under.

    Args:
        steering: None for the unsteered model.
        strength: as `trimtab.interventions.strength_rows` takes it; None for the attributes' defaults.
        scope: which tokens are edited.
        chat_template: put each prompt into a user turn.
        seed: of what is sampled; continuations are greedy unless `temperature` is above 0.
        temperature: of continuations.
        flatten: what logits are divided by: above 1 all next tokens become more alike, as in a broken model. Greedy
            continuations stay as they are.

    Example:
        >>> from trimtab.evaluation.tasks import Treatment
        >>> Treatment().steering is None
        True
    """

    steering: Steering | None = None
    strength: Strength | None = None
    scope: Scope = "all"
    chat_template: bool = False
    seed: int = 0
    temperature: float = 0.0
    flatten: float = 1.0


def run(
    task: Task[Any], model: Model, treatment: Treatment | None = None, *, ledger: Ledger | None = None,
    unsteered: Unsteered | None = None,
) -> TaskScores:  # fmt: skip
    """Scores of a model on all units of a task.

    Args:
        task: loaded.
        model: the model.
        treatment: how it is steered, if it is.
        ledger: keeps finished parts, so that an interrupted run goes on; not for a steering with an edit of one's own
            class, which has no id.
        unsteered: what earlier runs of the same task on the same model left behind, so that blocks below the edits are
            not run again.

    Raises:
        InputError: a text that is too long for the model, or leaves nothing to score; names the unit's file and line.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.evaluation.tasks import BehaviorTask, run
        >>> task = BehaviorTask.load("sentiment")
        >>> scores = run(task.part(task.units[:8]), tt.load("smollm2"))
        >>> len(scores.rows), scores.mean("propensity") is not None
        (16, True)
    """
    treatment = treatment or Treatment()
    answered: list[Answered] = []
    for number, some in enumerate(_chunks(task.units)):
        below = None if unsteered is None else unsteered.part(number)
        answered += _kept(task, some, model, treatment, ledger, below)
    return scores_of(task, answered)


def scores_of(task: Task[Any], answered: Sequence[Answered]) -> TaskScores:
    """Scores of given answers to all units of a task, in their order.

    Example:
        >>> import numpy as np
        >>> from trimtab.evaluation.tasks import Answered, BehaviorTask, scores_of
        >>> task = BehaviorTask.load("sentiment")
        >>> scores = scores_of(task.part(task.units[:1]), [Answered(np.array([-4.0, -9.0]), np.array([4, 3]))])
        >>> scores.mean("propensity")
        2.0
    """
    rows: list[UnitScore] = []
    texts: dict[str, str] = {}
    for unit, own in zip(task.units, answered, strict=True):
        if own.text is not None:
            texts[unit.id] = own.text
        rows += [UnitScore(unit.id, unit.cluster, name, v) for name, v in task.score(unit, own).items()]
    return TaskScores(task.name, task.figures, tuple(rows), texts)


def answers(
    task: Task[Any], units: Sequence[Unit], model: Model, treatment: Treatment, unsteered: Unsteered | None = None
) -> list[Answered]:
    """What the model answers to some units of a task, in order; `unsteered` as of `run`, of the same units.

    Raises:
        InputError: as `run`.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.evaluation.tasks import BehaviorTask, Treatment, answers
        >>> task = BehaviorTask.load("sentiment")
        >>> (answered,) = answers(task, task.units[:1], tt.load("smollm2"), Treatment())
        >>> answered.total.shape
        (2,)
    """
    try:
        return _answers(task, units, model, treatment, unsteered)
    except InputError:
        for unit in units:  # name the unit
            try:
                rows = _encoded(unit.texts, model, treatment)
                if task.asks == "first-token":
                    fork(*rows)
            except InputError as error:
                raise error.at(unit.source or f"unit {unit.id}") from error
        raise


def _answers(
    task: Task[Any], units: Sequence[Unit], model: Model, treatment: Treatment, unsteered: Unsteered | None
) -> list[Answered]:
    if task.asks == "text":
        written = _written(task, units, model, treatment)
        return [Answered(np.empty(0), np.empty(0, dtype=np.int64), text) for text in written]
    steers = _steers(model, treatment)
    rows = _encoded([text for unit in units for text in unit.texts], model, treatment)
    if treatment.steering is not None and treatment.steering.prompts:
        unsteered = None  # behind another text the same answers are other rows
    if task.asks == "first-token":
        (both,) = choice_variants(model, rows[::2], rows[1::2], [steers], treatment.flatten, unsteered)
        return [Answered(pair, np.ones(2, dtype=np.int64)) for pair in both.double().cpu().numpy()]
    scores = score(model, rows, steers, temperature=treatment.flatten, unsteered=unsteered)
    total, n_tokens = scores.total.double().cpu().numpy(), scores.n_tokens.cpu().numpy()
    ends = np.cumsum([len(unit.texts) for unit in units])[:-1]
    return [Answered(t, n) for t, n in zip(np.split(total, ends), np.split(n_tokens, ends), strict=True)]


def _written(task: Task[Any], units: Sequence[Unit], model: Model, treatment: Treatment) -> list[str]:
    prompts = [unit.texts[0] for unit in units]
    options: dict[str, Any] = {"stop_strings": list(task.stops)} if task.stops else {}
    if treatment.temperature > 0:
        options |= {"do_sample": True, "temperature": treatment.temperature * treatment.flatten}
    texts = model.generate(
        prompts, steering=treatment.steering, strength=treatment.strength, scope=treatment.scope,
        chat_template=treatment.chat_template, max_new_tokens=task.max_new_tokens, seed=treatment.seed, **options,
    )  # fmt: skip
    for stop in task.stops:
        texts = [text.split(stop, 1)[0] for text in texts]
    return texts


def _encoded(texts: Sequence[Rendered], model: Model, treatment: Treatment) -> list[Encoded]:
    steering = treatment.steering
    prefixes = [""] if steering is None else prompt_prefixes(steering, treatment.strength)
    rows = model.encoder(treatment.chat_template).encode(with_prefixes(texts, prefixes))
    for text, row in zip(texts, rows, strict=True):
        if text.answer and len(row.ids) <= row.prompt_len:
            raise InputError("the answer has no tokens of its own to score; lengthen it or remove the row")
    return rows


def _steers(model: Model, treatment: Treatment) -> Any:
    if treatment.steering is None:
        if treatment.strength is not None:
            raise InputError("a strength without a steering has no effect; give a steering too", field="strength")
        return ()
    ensure_fits(treatment.steering, model)
    return (steer(treatment.steering, treatment.strength, treatment.scope),)


# --- keeping ---


def _chunks(units: Sequence[Unit]) -> Iterator[Sequence[Unit]]:
    yield from (units[start : start + CHUNK] for start in range(0, len(units), CHUNK))


def _kept(
    task: Task[Any], units: Sequence[Unit], model: Model, treatment: Treatment, ledger: Ledger | None,
    unsteered: Unsteered | None,
) -> list[Answered]:  # fmt: skip
    name = None if ledger is None else _key(task, units, model, treatment)
    if ledger is None or name is None:
        return answers(task, units, model, treatment, unsteered)
    return _unpacked(ledger.step(name, lambda: _packed(answers(task, units, model, treatment, unsteered))))


def _key(task: Task[Any], units: Sequence[Unit], model: Model, treatment: Treatment) -> str | None:
    """Everything that decides the answers; None where the steering has no id."""
    steering, t = treatment.steering, replace(treatment, steering=None)
    identity, strength = None, None
    if steering is not None:
        try:
            identity = steering.id
        except InputError:
            return None
        strength = strength_rows(steering, t.strength)
    asked = [[[u.context, u.prompt, u.answer, [[m.role, m.content] for m in u.messages], u.bare] for u in unit.texts]
             for unit in units]  # fmt: skip
    how = [task.asks, task.max_new_tokens, task.stops, t.scope, t.chat_template, t.seed, t.temperature, t.flatten]
    return name_of("task", model.digest, str(model.dtype), identity, strength, how, asked, length=64)


def _packed(answered: Sequence[Answered]) -> Arrays:
    texts = json.dumps([a.text for a in answered])
    return {
        "total": np.concatenate([a.total for a in answered]),
        "n_tokens": np.concatenate([a.n_tokens for a in answered]),
        "n": np.array([len(a.total) for a in answered]), "texts": np.frombuffer(texts.encode(), dtype=np.uint8),
    }  # fmt: skip


def _unpacked(kept: Arrays) -> list[Answered]:
    ends, texts = (np.cumsum(kept["n"])[:-1], json.loads(kept["texts"].tobytes().decode()))
    parts = zip(np.split(kept["total"], ends), np.split(kept["n_tokens"], ends), texts, strict=True)
    return [Answered(total, n_tokens, text) for total, n_tokens, text in parts]
