"""What a judge found, at what cost, and how far it agrees with people."""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from trimtab.phrases import Phrase, untranslated, with_semicolons
from trimtab.results.figures import Estimate, Record, Told
from trimtab.results.numbers import estimate, missing, share

# Krippendorff 2004, chapter 11: from 0.8 on data may be relied on, from 2/3 on they allow tentative conclusions.
RELIABLE: Final = 0.8
TENTATIVE: Final = 2 / 3
UNKNOWN: Final = Phrase("no labelled pairs were given, so nobody knows what this judge's figures mean")


class JudgeAgreement(Record):
    """How far a judge agrees with people.

    Args:
        people: where their labels come from; empty where there are none.
        n: what both have judged.
        n_labelled: what people have judged.
        missing: of that, what the judge has not, by reason.
        accuracy: share of pairs with the same verdict.
        kappa: Cohen's κ of the verdicts on pairs.
        alpha: Krippendorff's α of the same.
        among_people: α of the people by themselves.
        by_score: α of the judge's and people's scores of answers, by criterion.
    """

    people: str = ""
    n: int = 0
    n_labelled: int = 0
    missing: Mapping[str, int] = {}
    accuracy: Estimate = Estimate(reason=UNKNOWN)
    kappa: Estimate = Estimate(reason=UNKNOWN)
    alpha: Estimate = Estimate(reason=UNKNOWN)
    among_people: Estimate = Estimate(reason=Phrase("no pairs were labelled by two people"))
    by_score: Mapping[str, Estimate] = {}

    @property
    def sentence(self) -> Phrase:
        """The agreement in plain words, and what it allows."""
        if self.by_score:
            alphas = [Phrase("{name} {figure}", name=name, figure=estimate(a)) for name, a in self.by_score.items()]
            return Phrase(
                "This judge's scores agree with people's ({people}, {n} answers) with α: {found}.",
                people=self.people, n=self.n, found=with_semicolons(alphas),
            )  # fmt: skip
        if self.accuracy.value is None:
            return Phrase("Agreement with people is {missing}.", missing=missing(self.accuracy.reason))
        return Phrase(
            "This judge agrees with people on {share} of {n} pairs ({people}): κ {kappa}, α {alpha}, where 1 is "
            "perfect and 0 is chance. {trust}",
            share=share(self.accuracy.value, self.accuracy.low, self.accuracy.high), n=self.n, people=self.people,
            kappa=estimate(self.kappa), alpha=estimate(self.alpha), trust=self.trust,
        )  # fmt: skip

    @property
    def trust(self) -> Phrase:
        """What the lower end of α allows."""
        low = self.alpha.low
        if low is None:
            return Phrase("What that means cannot be said.")
        if low >= RELIABLE:
            return Phrase("Its verdicts may be relied on.")
        if low >= TENTATIVE:
            return Phrase("Its verdicts allow tentative conclusions.")
        if low > 0:
            return Phrase("That is better than chance, and too little to rest a decision on.")
        return Phrase("It is not shown to be better than chance: take another judge, or people.")


class JudgeCost(Record):
    """What a judge was asked.

    Args:
        requests, prompt_tokens, answer_tokens, cost: as estimated beforehand; cost None without prices.
        most_requests, most_cost: where every question needs all its tries.
        kept: answers that were on disk already.
        spent_requests, spent_prompt_tokens, spent_answer_tokens: on this file in all, earlier runs included.
        spent_cost: money for these.
    """

    requests: int
    prompt_tokens: int
    answer_tokens: int
    cost: float | None
    most_requests: int
    most_cost: float | None
    kept: int
    spent_requests: int = 0
    spent_prompt_tokens: int = 0
    spent_answer_tokens: int = 0
    spent_cost: float | None = None


class Judging(Told):
    """The result of `trimtab judge`.

    Args:
        schema_version: of the document.
        trimtab: version that made it.
        command: that was given; empty from Python.
        seconds: that it took.
        seed: of the sampling.
        file: what was judged.
        kind: pairs of answers, or answers.
        judge: model and server.
        rubric: its name.
        rubric_digest: hash of its words.
        repeats, temperature: of every question.
        cost: what it took.
        n: pairs or answers judged.
        n_rows: all of them.
        missing: not judged, by reason.
        fault: what the last failed question met; empty where none failed.
        n_cut: with a text that was too long to be shown whole.
        wins, losses, ties: of the second answers; None for answers.
        win_rate: of the second answers, ties half.
        disagreed: share of pairs whose two orders had different verdicts.
        shown_first: how often the answer shown first was preferred.
        scores: mean of each, for answers.
        agreement: with people.
        sentence: the same in plain words.
        messages: see `Told`.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    trimtab: str
    command: str = ""
    seconds: float
    seed: int
    file: str
    kind: Literal["pairs", "answers"]
    judge: str
    rubric: str
    rubric_digest: str
    repeats: int
    temperature: float
    cost: JudgeCost
    n: int
    n_rows: int
    missing: Mapping[str, int] = {}
    fault: str = ""
    n_cut: int = 0
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None
    win_rate: Estimate | None = None
    disagreed: Estimate | None = None
    shown_first: float | None = None
    scores: Mapping[str, Estimate] = {}
    agreement: JudgeAgreement = JudgeAgreement()
    sentence: Phrase = untranslated("")
