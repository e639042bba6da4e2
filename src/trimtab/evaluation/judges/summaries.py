"""What judgements come to: win rates with ties, and how far a judge agrees with people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.decimals import decimals
from trimtab.errors import InputError
from trimtab.evaluation.judges.records import Answer, Pair, PairVerdict, RatedAnswer
from trimtab.phrases import Phrase, with_commas
from trimtab.statistics import Interval, bootstrap_mean, cohens_kappa, krippendorffs_alpha, share_interval, win_rate
from trimtab.statistics.inputs import label_codes
from trimtab.texts import shown

MIN_MEASURED = 0.5  # share of pairs that must have a verdict


@dataclass(frozen=True)
class Comparison:
    """Verdicts of one rater on pairs.

    Args:
        rater: who judged.
        n: pairs with a verdict.
        n_pairs: all pairs.
        missing: pairs without one, by reason.
        wins: pairs whose second answer is better.
        losses: pairs whose first is.
        ties: pairs of which neither is.
        win_rate: of the second answer, ties half; 0.5 means no difference. None where it cannot be said.
        disagreed: share of pairs, of those asked in two orders, with different verdicts in at least one repeat.
        shown_first: how often the answer shown first was preferred, ties half; 0.5 means no preference for a place.
        reason: why there is no win rate; None if there is.

    Example:
        >>> from trimtab.evaluation import Pair, PairVerdict, compared
        >>> pairs = [Pair(str(i), f"Prompt {i}", "a", "b") for i in range(4)]
        >>> comparison = compared(pairs, [PairVerdict(str(i), "ada", (v,)) for i, v in enumerate([1, 1, 0, -1])])
        >>> comparison.wins, comparison.ties, comparison.win_rate.value
        (2, 1, 0.625)
    """

    rater: str
    n: int
    n_pairs: int
    missing: Mapping[str, int]
    wins: int
    losses: int
    ties: int
    win_rate: Interval | None = None
    disagreed: Interval | None = None
    shown_first: float | None = None
    reason: Phrase | None = None


@dataclass(frozen=True)
class Agreement:
    """How far a judge agrees with people on pairs.

    Args:
        judge: who is measured.
        people: where the labels come from.
        n: pairs with both.
        n_labelled: pairs with a label.
        accuracy: share of the `n` with the same verdict; a tie is the same only as a tie.
        kappa: Cohen's κ; None where chance could give no disagreement.
        alpha: Krippendorff's α of judge and people, nominal; likewise.
        among_people: α of the people by themselves, where two or more have labelled the same pairs: what can be hoped
            for.
        missing: labelled pairs without a verdict, by reason.
        reason: why there are no figures; None if there are.

    Example:
        >>> from trimtab.evaluation import Pair, PairVerdict, agreement
        >>> pairs = [Pair(str(i), f"Prompt {i}", "a", "b") for i in range(6)]
        >>> ada = [PairVerdict(str(i), "ada", (v,)) for i, v in enumerate([1, 1, 1, -1, -1, -1])]
        >>> judge = [PairVerdict(str(i), "judge", (v,)) for i, v in enumerate([1, 1, -1, -1, -1, 1])]
        >>> found = agreement(pairs, judge, ada, people="labels.csv")
        >>> round(found.accuracy.value, 2), round(found.kappa.value, 2), round(found.alpha.value, 2)
        (0.67, 0.33, 0.39)
    """

    judge: str
    people: str
    n: int
    n_labelled: int
    accuracy: Interval | None = None
    kappa: Interval | None = None
    alpha: Interval | None = None
    among_people: Interval | None = None
    missing: Mapping[str, int] | None = None
    reason: Phrase | None = None


def compared(pairs: Sequence[Pair], verdicts: Sequence[PairVerdict], *, level: float = 0.95) -> Comparison:
    """Win rate of the second answers, by clusters of pairs.

    Args:
        pairs: what was judged.
        verdicts: of one rater, one for each pair, in any order.
        level: of the intervals.

    Raises:
        InputError: a verdict on no pair, two on one, or of several raters.

    Example:
        >>> from trimtab.evaluation import Pair, PairVerdict, compared
        >>> compared([Pair("1", "Hello", "a", "b")], [PairVerdict("1", "ada", missing="unclear")]).missing
        {'unclear': 1}
    """
    by_id = _by_id(pairs, verdicts)
    found = [by_id.get(pair.id, PairVerdict(pair.id, "", missing="not judged")) for pair in pairs]
    rater = verdicts[0].rater if verdicts else "nobody"
    rows = [(pair.cluster, one) for pair, one in zip(pairs, found, strict=True) if one.verdicts]
    counts = Counter(one.verdict for _, one in rows)
    missing = dict(Counter(str(one.missing) for one in found if not one.verdicts))
    labels = label_codes([cluster for cluster, _ in rows])
    in_orders = np.array([one.shown_first is not None for _, one in rows], dtype=np.bool_)
    disagreed = None
    if len(np.unique(labels[in_orders])) > 1:
        flags = np.array([one.disagreed > 0 for _, one in rows])[in_orders]
        disagreed = share_interval(flags, labels[in_orders], level)
    first = [one.shown_first for _, one in rows if one.shown_first is not None]
    rate, reason = None, _why_no_rate(rows, len(pairs), missing, disagreed)
    if reason is None:
        rate = win_rate(np.array([one.verdicts for _, one in rows]), labels, level)
    return Comparison(
        rater, len(rows), len(pairs), missing, counts[1], counts[-1], counts[0], rate, disagreed,
        float(np.mean(first)) if first else None, reason,
    )  # fmt: skip


def agreement(
    pairs: Sequence[Pair],
    judged: Sequence[PairVerdict],
    labelled: Sequence[PairVerdict],
    *,
    people: str,
    level: float = 0.95,
) -> Agreement:
    """How far a judge agrees with people, over the pairs that both have judged.

    Where several people have labelled a pair, their label is the side that most are for, or a tie.

    Args:
        pairs: that were judged; their clusters are resampled whole.
        judged: the judge's verdicts.
        labelled: the people's, of one or several raters.
        people: where the labels come from, for the record.
        level: of the intervals.

    Raises:
        InputError: a verdict on no pair, or two of one rater on one.

    Example:
        >>> from trimtab.evaluation import Pair, PairVerdict, agreement
        >>> pairs = [Pair(str(i), f"Prompt {i}", "a", "b") for i in range(2)]
        >>> agreement(pairs, [], [PairVerdict("0", "ada", (1,))], people="labels.csv").reason
        'fewer than 2 clusters of pairs have both a verdict and a label'
    """
    by_judge = _by_id(pairs, judged)
    raters = sorted({one.rater for one in labelled})
    by_rater = [_by_id(pairs, [one for one in labelled if one.rater == rater]) for rater in raters]
    ratings = np.full((len(pairs), len(raters)), np.nan)  # [n, people]
    for column, given in enumerate(by_rater):
        for row, pair in enumerate(pairs):
            if pair.id in given and given[pair.id].verdict is not None:
                ratings[row, column] = given[pair.id].verdict
    has_label = ~np.isnan(ratings).all(axis=1)
    label = np.sign(np.nansum(ratings, axis=1))
    found = [by_judge.get(pair.id, PairVerdict(pair.id, "", missing="not judged")) for pair in pairs]
    both = has_label & np.array([bool(one.verdicts) for one in found], dtype=np.bool_)
    missing = dict(
        Counter(str(one.missing) for one, ok in zip(found, has_label, strict=True) if ok and not one.verdicts)
    )
    facts = (judged[0].rater if judged else "nobody", people, int(both.sum()), int(has_label.sum()))
    labels = label_codes([pair.cluster for pair in pairs])
    if len(np.unique(labels[both])) < 2:
        reason = Phrase("fewer than 2 clusters of pairs have both a verdict and a label")
        return Agreement(*facts, missing=missing, reason=reason)
    verdict = np.array([0 if one.verdict is None else one.verdict for one in found])[both]
    return Agreement(
        *facts,
        accuracy=share_interval(verdict == label[both], labels[both], level),
        kappa=cohens_kappa(verdict, label[both], labels[both], level=level),
        alpha=krippendorffs_alpha(np.stack([verdict, label[both]], axis=1), labels[both], level=level),
        among_people=_among(ratings, labels, level),
        missing=missing,
    )


def mean_scores(
    answers: Sequence[Answer], scores: Sequence[RatedAnswer], *, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[Interval | None, int]]:
    """Mean of every score with its interval, by clusters of answers.

    Args:
        answers: what was scored.
        scores: of one rater.
        level: of the intervals.
        seed: of the resampling.

    Returns:
        By criterion: the mean, None with fewer than 2 clusters; and how many answers have the score.

    Example:
        >>> from trimtab.evaluation import Answer, LengthScorer, mean_scores
        >>> answers = [Answer(str(i), f"Prompt {i}", "word " * i) for i in range(1, 4)]
        >>> mean, n = mean_scores(answers, LengthScorer().scores(answers))["words"]
        >>> mean.value, n
        (2.0, 3)
    """
    by_id, result = {one.id: one for one in scores}, {}
    for name in dict.fromkeys(name for one in scores for name in one.scores):
        rows = [(a.cluster, by_id[a.id].scores[name]) for a in answers if a.id in by_id and name in by_id[a.id].scores]
        clusters = label_codes([cluster for cluster, _ in rows])
        several, values = len(np.unique(clusters)) > 1, [value for _, value in rows]
        mean = bootstrap_mean(values, clusters, seed=seed, level=level) if several else None
        result[name] = mean, len(rows)
    return result


def score_agreement(
    answers: Sequence[Answer],
    judged: Sequence[RatedAnswer],
    labelled: Sequence[RatedAnswer],
    *,
    level: float = 0.95,
) -> dict[str, tuple[Interval | None, int]]:
    """How far a judge's scores agree with the mean of people's: Krippendorff's α for intervals, by criterion.

    Args:
        answers: that were scored; their clusters are resampled whole.
        judged: the judge's scores.
        labelled: people's, of one or several raters.
        level: of the intervals.

    Returns:
        By criterion: α, None where it cannot be said; and how many answers both have scored.

    Example:
        >>> from trimtab.evaluation import Answer, RatedAnswer, score_agreement
        >>> answers = [Answer(str(i), f"Prompt {i}", "x") for i in range(5)]
        >>> ada, judge = ([RatedAnswer(str(i), who, {"a": float(i)}) for i in range(5)] for who in ("ada", "judge"))
        >>> alpha, n = score_agreement(answers, judge, ada)["a"]
        >>> alpha.value, n
        (1.0, 5)
    """
    by_judge, result, by_id = {one.id: one for one in judged}, {}, dict[str, list[RatedAnswer]]()
    for one in labelled:
        by_id.setdefault(one.id, []).append(one)
    for name in dict.fromkeys(name for one in labelled for name in one.scores):
        rows, clusters = [], []
        for answer in answers:
            people = [one.scores[name] for one in by_id.get(answer.id, []) if name in one.scores]
            judge = by_judge[answer.id].scores.get(name) if answer.id in by_judge else None
            if people and judge is not None:
                rows.append([judge, float(np.mean(people))])
                clusters.append(answer.cluster)
        of = label_codes(clusters)
        alpha = krippendorffs_alpha(rows, of, metric="interval", level=level) if len(set(clusters)) > 1 else None
        result[name] = alpha, len(rows)
    return result


def _by_id(pairs: Sequence[Pair], verdicts: Sequence[PairVerdict]) -> dict[str, PairVerdict]:
    known, found = {pair.id for pair in pairs}, {}
    for one in verdicts:
        if one.id not in known:
            raise InputError(
                f"a verdict on {shown(one.id, 40)!r}, which is no pair's id", code="unknown-choice", field="id"
            )
        if one.id in found:
            raise InputError(
                f"two verdicts on {shown(one.id, 40)!r}; give one a rater and pair", code="repeated-name", field="id"
            )
        found[one.id] = one
    return found


def _why_no_rate(
    rows: Sequence[tuple[str, PairVerdict]], n_pairs: int, missing: Mapping[str, int], disagreed: Interval | None
) -> Phrase | None:
    if len(rows) < MIN_MEASURED * n_pairs or len({cluster for cluster, _ in rows}) < 2:
        without = [Phrase("{count} {why}", count=count, why=why) for why, count in missing.items()]
        return Phrase(
            "{n} of {all} pairs have a verdict ({without}); half of them in 2 clusters are needed",
            n=len(rows), all=n_pairs, without=with_commas(without) if without else Phrase("none missing"),
        )  # fmt: skip
    if disagreed is not None and disagreed.low > 0.5:
        return Phrase(
            "the judge follows the place, not the text: in {share} of the pairs its verdict changes with the order; "
            "take another judge",
            share=decimals(disagreed.value, ".0%"),
        )
    return None


def _among(ratings: np.ndarray, labels: np.ndarray, level: float) -> Interval | None:
    several = (~np.isnan(ratings)).sum(axis=1) >= 2
    if len(np.unique(labels[several])) < 2:
        return None
    return krippendorffs_alpha(ratings, labels, level=level)
