"""Judging a file of pairs or answers, with what people say of them beside it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from trimtab.errors import InputError
from trimtab.evaluation import (
    HELPSTEER,
    Answer,
    AskOptions,
    CostEstimate,
    JudgeInput,
    Pair,
    PairJudge,
    PairVerdict,
    RatedAnswer,
    Rubric,
    ScoreJudge,
    agreement,
    compared,
    mean_scores,
    read_judged,
    read_scores,
    read_verdicts,
    score_agreement,
    verdicts_by_scores,
)
from trimtab.evaluation.judges.judging import n_cut
from trimtab.evaluation.judges.kept import KeptAnswers
from trimtab.experiment.progress import Progress, Silent
from trimtab.phrases import Phrase
from trimtab.results.figures import Estimate, estimate
from trimtab.results.judging import JudgeAgreement, JudgeCost, Judging
from trimtab.results.numbers import NO_REASON
from trimtab.statistics import Interval
from trimtab.version import __version__
from trimtab.workflows.judge.files import ANSWERS, save

Failed = Callable[[str], object]  # is told what a question met

TOO_FEW: Final = Phrase("fewer than 2 clusters have the score")


@dataclass(frozen=True)
class Work:
    """What is to be judged, by whom; `Work.read` makes one from files.

    Args:
        file: that holds the rows, for the record.
        rows: pairs or answers.
        options: of the judge.
        rubric: that it judges by.
        people: people's verdicts on, or scores of, the same rows.
        labelled: pairs with labels, on which the judge is measured instead.
        source: where people's labels come from; empty where there are none.
        folder: where answers and results are kept; None for nowhere.
        seed: of the sampling.
    """

    file: str
    rows: JudgeInput
    options: AskOptions
    rubric: Rubric
    people: tuple[PairVerdict, ...] | tuple[RatedAnswer, ...]
    labelled: JudgeInput
    source: str
    folder: Path | None
    seed: int

    @staticmethod
    def read(
        file: str | Path,
        options: AskOptions,
        *,
        rubric: Rubric = HELPSTEER,
        people: str | Path | None = None,
        labelled: str | Path | None = None,
        folder: Path | None = None,
        seed: int = 0,
    ) -> "Work":
        """Read everything before anything is asked.

        Args:
            file: pairs or answers; see `read_judged`.
            options: of the judge; its file is in the folder.
            rubric: see `Work`.
            people: file of verdicts or scores of the same rows; see `read_verdicts`, `read_scores`.
            labelled: file of other pairs, with the column `label`.
            folder, seed: see `Work`.

        Raises:
            InputError: files that cannot be used, or both kinds of labels.
        """
        if seed < 0:
            raise InputError(f"seed {seed} must not be negative", code="out-of-range", field="seed")
        if people is not None and labelled is not None:
            raise InputError(
                "give people's judgements of the same rows, or other labelled pairs, not both",
                code="conflicting-arguments",
                field="people",
            )
        rows, others = read_judged(file), JudgeInput() if labelled is None else _labelled(labelled)
        source = str(file) if rows.labels else ""
        given: tuple[PairVerdict, ...] | tuple[RatedAnswer, ...] = rows.labels
        if people is not None:
            source = str(people)
            if rows.pairs:
                given = read_verdicts(people, [pair.id for pair in rows.pairs])
            else:
                given = read_scores(people, [answer.id for answer in rows.answers], rubric)
        if labelled is not None:
            source = str(labelled)
        options = options if folder is None else replace(options, file=folder / ANSWERS)
        return Work(str(file), rows, options, rubric, given, others, source, folder, seed)

    def estimate(self) -> JudgeCost:
        """What it will take; nothing is sent."""
        pairs, scores = PairJudge(self.options, self.rubric), ScoreJudge(self.options, self.rubric)
        if self.rows.pairs:
            parts = [pairs.estimate(self.rows.pairs, seed=self.seed)]
            parts += [pairs.estimate(self.labelled.pairs, seed=self.seed)]
        else:
            parts = [scores.estimate(self.rows.answers, seed=self.seed)]
            parts += [scores.estimate(side, seed=self.seed) for side in _sides(self.labelled.pairs)]
        return _cost(parts)


def judge(work: Work, *, progress: Progress | None = None, command: str = "") -> Judging:
    """Judge a file of pairs or answers, and measure the judge against people where they have labelled any.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.clients.chat import Endpoint
        >>> from trimtab.evaluation import AskOptions
        >>> from trimtab.workflows.judge import Work, judge
        >>> _ = Path("same.csv").write_text("prompt,first,second\\nOne?,a,a\\nTwo?,b,b\\n")  # equal texts are ties
        >>> found = judge(Work.read("same.csv", AskOptions(Endpoint("http://localhost:8000/v1", "my-model"))))
        >>> found.win_rate.value, found.cost.requests
        (0.5, 0)

    Args:
        work: what, and by whom.
        progress: is told of the estimate and of finished rows.
        command: for the record.

    Returns:
        The record; with a folder it is written there as `judging.json`, with a row for each judgement in
        `judgements.csv`, and answers as they came in `answers.jsonl`, from which an interrupted run goes on.

    Raises:
        InputError: files that cannot be used, a server that refuses every question.
    """
    if work.options.file is None:  # one place for all that is asked, so that a budget holds for all of it
        with TemporaryDirectory(prefix="trimtab-judge-") as place:
            options = replace(work.options, file=Path(place) / ANSWERS)
            return judge(replace(work, options=options), progress=progress, command=command)
    begun, on = perf_counter(), progress or Silent()
    cost = work.estimate()
    tokens = cost.prompt_tokens + cost.answer_tokens
    on.say(f"{cost.requests:,} requests, about {tokens:,} tokens, to {work.options.endpoint.identity}")
    faults: list[str] = []
    record, judgements = (_pairs if work.rows.pairs else _answers)(work, _Counted(on, work), faults.append)
    on.end()
    with KeptAnswers(work.options.file) as kept:
        spent, prices = kept.spent, work.options.prices
    cost = cost.model_copy(
        update={
            "spent_requests": spent.requests, "spent_prompt_tokens": spent.prompt, "spent_answer_tokens": spent.answer,
            "spent_cost": prices.of(spent.prompt, spent.answer) if prices else None,
        }
    )  # fmt: skip
    about = {"fault": faults[-1] if faults else "", "cost": cost, "command": command, "seconds": perf_counter() - begun}
    record = record.model_copy(update={**about, "sentence": record.agreement.sentence})
    if work.folder is not None:
        save(record, judgements, work.folder)
    return record


class _Counted:
    """Tells of finished rows; how long all of them may take is known once the first is done.

    Args:
        to: that is told.
        work: all rows of which are judged.
    """

    def __init__(self, to: Progress, work: Work) -> None:
        own, labelled = len(work.rows.pairs or work.rows.answers), len(work.labelled.pairs)
        self._to, self._parallel = to, work.options.parallel
        self._n = own + (labelled if work.rows.pairs else 2 * labelled)
        self._started, self._begun = perf_counter(), False

    def done(self, stage: str) -> None:
        """A row of this stage is done."""
        if not self._begun:
            self._begun = True
            each = (perf_counter() - self._started) / self._parallel
            self._to.begin(self._n, each * self._n, "rows to judge")
        self._to.advance(stage, 1)


def _pairs(work: Work, on: _Counted, failed: Failed) -> tuple[Judging, tuple[PairVerdict, ...]]:
    judging, rows = PairJudge(work.options, work.rubric), work.rows
    verdicts = judging.verdicts(rows.pairs, seed=work.seed, done=lambda: on.done("pairs"), failed=failed)
    found = compared(rows.pairs, verdicts)
    pairs, judged, labels = rows.pairs, verdicts, [one for one in work.people if isinstance(one, PairVerdict)]
    if work.labelled.pairs:
        pairs, labels = work.labelled.pairs, list(work.labelled.labels)
        judged = judging.verdicts(
            pairs, seed=work.seed, done=lambda: on.done("labelled pairs"), failed=failed
        )  # fmt: skip
    record = _record(
        work, "pairs", n=found.n, n_rows=found.n_pairs, missing=found.missing,
        n_cut=n_cut(rows.pairs, work.options.longest), wins=found.wins, losses=found.losses, ties=found.ties,
        win_rate=_figure(found.win_rate, found.n, found.reason or NO_REASON),
        disagreed=_figure(found.disagreed, found.n, Phrase("fewer than 2 clusters of pairs were asked in both orders")),
        shown_first=found.shown_first, agreement=_agreement(pairs, judged, labels, work.source),
    )  # fmt: skip
    return record, verdicts


def _answers(work: Work, on: _Counted, failed: Failed) -> tuple[Judging, tuple[RatedAnswer, ...]]:
    judging, answers = ScoreJudge(work.options, work.rubric), work.rows.answers
    scores = judging.scores(answers, seed=work.seed, done=lambda: on.done("answers"), failed=failed)
    means = mean_scores(answers, scores, seed=work.seed)
    agrees, labelled = JudgeAgreement(), [one for one in work.people if isinstance(one, RatedAnswer)]
    if work.labelled.pairs:
        first, second = (
            judging.scores(side, seed=work.seed, done=lambda: on.done("labelled answers"), failed=failed)
            for side in _sides(work.labelled.pairs)
        )
        agrees = _agreement(work.labelled.pairs, verdicts_by_scores(first, second), work.labelled.labels, work.source)
    if labelled:
        alphas = score_agreement(answers, scores, labelled)
        why = Phrase("too few answers, or one score")
        agrees = JudgeAgreement(
            people=work.source, n=max(n for _, n in alphas.values()), n_labelled=len({one.id for one in labelled}),
            by_score={name: _figure(alpha, n, why) for name, (alpha, n) in alphas.items()},
        )  # fmt: skip
    record = _record(
        work, "answers", n=sum(one.missing is None for one in scores), n_rows=len(answers),
        missing=dict(Counter(str(one.missing) for one in scores if one.missing)),
        n_cut=n_cut(answers, work.options.longest), agreement=agrees,
        scores={name: _figure(mean, n, TOO_FEW) for name, (mean, n) in means.items()},
    )  # fmt: skip
    return record, scores


def _record(work: Work, kind: str, **found: object) -> Judging:
    return Judging.model_validate(
        {
            "trimtab": __version__, "seconds": 0.0, "seed": work.seed, "file": work.file, "kind": kind,
            "judge": work.options.endpoint.identity, "rubric": work.rubric.name, "rubric_digest": work.rubric.digest,
            "repeats": work.options.repeats, "temperature": work.options.temperature, "cost": _cost([]), **found,
        }
    )  # fmt: skip


def _agreement(
    pairs: Sequence[Pair], verdicts: Sequence[PairVerdict], labels: Sequence[PairVerdict], people: str
) -> JudgeAgreement:
    if not labels:
        return JudgeAgreement()
    found = agreement(pairs, verdicts, labels, people=people)
    reason = found.reason or Phrase("all verdicts and labels are the same, so chance would agree too")
    return JudgeAgreement(
        people=people, n=found.n, n_labelled=found.n_labelled, missing=found.missing or {},
        accuracy=_figure(found.accuracy, found.n, reason), kappa=_figure(found.kappa, found.n, reason),
        alpha=_figure(found.alpha, found.n, reason),
        among_people=_figure(found.among_people, found.n, Phrase("no pairs were labelled by two people")),
    )  # fmt: skip


def _labelled(file: str | Path) -> JudgeInput:
    found = read_judged(file)
    ids = {label.id for label in found.labels}
    if not ids:
        raise InputError(f"{file}: no labelled pairs; give the columns first, second and label", field="labelled")
    return replace(found, pairs=tuple(pair for pair in found.pairs if pair.id in ids))


def _sides(pairs: Sequence[Pair]) -> tuple[list[Answer], list[Answer]]:
    first = [Answer(pair.id, pair.prompt, pair.first, pair.cluster) for pair in pairs]
    return first, [Answer(pair.id, pair.prompt, pair.second, pair.cluster) for pair in pairs]


def _figure(interval: Interval | None, n: int, reason: Phrase) -> Estimate:
    return Estimate(reason=reason) if interval is None else estimate(interval, n)


def _cost(parts: Sequence[CostEstimate]) -> JudgeCost:
    costs = [part.cost for part in parts if part.cost is not None]
    most = [part.most_cost for part in parts if part.most_cost is not None]
    return JudgeCost(
        requests=sum(part.requests for part in parts), prompt_tokens=sum(part.prompt_tokens for part in parts),
        answer_tokens=sum(part.answer_tokens for part in parts), cost=sum(costs) if costs else None,
        most_requests=sum(part.most_requests for part in parts), most_cost=sum(most) if most else None,
        kept=sum(part.kept for part in parts),
    )  # fmt: skip
