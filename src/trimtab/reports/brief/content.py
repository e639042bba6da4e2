"""What stands on the page, worked out from the record of a check alone."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from trimtab.phrases import Phrase, with_semicolons
from trimtab.reports.check.tables import worst
from trimtab.results.figures import Estimate
from trimtab.results.numbers import centre, given, in_unit, interval, level, missing, number, share, spread
from trimtab.results.report import IN_WORDS, Effect, PromptTypeResult, Report, Text

N_WORST: Final = 3
ANTI_STEERABLE: Final = "max_anti_steerable"
NATS: Final = Phrase("nats/token")


@dataclass(frozen=True)
class Cost:
    """A row of what it costs elsewhere: name, figure and what was allowed."""

    name: Phrase
    figure: str
    allowed: str


@dataclass(frozen=True)
class Brief:
    """What the page says.

    Args:
        report: what it is about.
        source: the report's file, as it was named.
    """

    report: Report
    source: str

    @property
    def decision(self) -> Phrase:
        """The decision, in a word."""
        return IN_WORDS[self.report.verdict.decision]

    @property
    def passed(self) -> bool:
        """Whether a pilot may begin."""
        return self.report.verdict.decision in ("go", "caution")

    @property
    def answer(self) -> Phrase:
        """May we pilot this?"""
        decision, n = self.report.verdict.decision, len(self.report.verdict.reservations)
        if decision == "go":
            return Phrase("Yes: begin with one user in a hundred.")
        if decision == "no-go":
            return Phrase("No.")
        if decision == "inconclusive":
            return Phrase("Not yet.")
        if n == 1:
            return Phrase("Yes, if you can live with the reservation below: begin with one user in a hundred.")
        return Phrase("Yes, if you can live with the {n} reservations below: begin with one user in a hundred.", n=n)

    @property
    def means(self) -> Phrase:
        """What the decision means."""
        bounds = self.report.verdict.bounds
        failed = with_semicolons([bound.name for bound in bounds if bound.holds is False])
        decision, n = self.report.verdict.decision, self.report.n_eval_clusters
        if decision == "inconclusive" and (failed or all(bound.holds for bound in bounds)):
            return Phrase(
                "A fault of the examples, or the model, keeps what was asked for from being measured or "
                "from counting: see the plan."
            )
        if decision == "inconclusive":
            return Phrase("The {n} examples leave open whether what was asked for holds.", n=n)
        if decision == "no-go":
            return Phrase("What was asked for is missed, with the whole interval: {failed}.", failed=failed or "–")
        if decision == "caution":
            return Phrase(
                "Everything that was asked for holds on {n} examples that nothing was chosen on, but "
                "there is reason to trust it less.",
                n=n,
            )
        return Phrase(
            "Everything that was asked for holds, each with its whole interval, on {n} examples that "
            "nothing was chosen on.",
            n=n,
        )

    @property
    def judged(self) -> Phrase:
        """By what it was judged."""
        if self.report.verdict.basis == "likelihood":
            return Phrase("Judged by how likely the model finds given answers, not yet by text that it writes.")
        return Phrase("Judged by how likely the model finds given answers, and by text that it wrote.")

    @property
    def finished(self) -> Phrase | None:
        """What to bear in mind of a steering that came finished, unless its training data are known to be others."""
        steering = self.report.steering
        if steering is None or steering.trained_on_this is False:
            return None
        return Phrase(
            "The steering came finished. If the {n} examples were in its training, the figures are "
            "better than they should be.",
            n=self.report.n_eval_clusters,
        )

    @property
    def chosen(self) -> PromptTypeResult | None:
        """What was measured of the chosen type; None in a report without it."""
        return self.report.prompt_types.get(self.report.verdict.prompt_type)

    @property
    def effect(self) -> Effect | None:
        """The chosen type's effect."""
        return None if self.chosen is None else self.chosen.effect

    @property
    def wrong(self) -> Phrase:
        """The share pushed the wrong way."""
        found = None if self.chosen is None else self.chosen.anti_steerable
        return Phrase("not measured") if found is None else share(found.share, found.low, found.high)

    @property
    def sure(self) -> Iterator[Phrase]:
        """How sure we are, in sentences."""
        effect, thresholds = self.effect, self.report.thresholds
        if effect is not None:
            factor = spread(*(math.exp(x) for x in (effect.mean, effect.low, effect.high)))
            if self.report.answer_kind == "choice":
                yield Phrase(
                    "The odds of the desired answer change by a factor of {factor} ({figure} logits).",
                    factor=factor,
                    figure=_of(effect),
                )
            else:
                yield Phrase(
                    "With every token the desired answer gains a factor of {factor} over the undesired one "
                    "({figure} nats per token).",
                    factor=factor,
                    figure=_of(effect),
                )
            if ANTI_STEERABLE in thresholds:
                yield Phrase(
                    "{share} of the examples are pushed the wrong way; at most {bound} were allowed.",
                    share=self.wrong,
                    bound=level(thresholds[ANTI_STEERABLE]),
                )
            plus = effect.positive
            if plus.value is not None and plus.low is not None and plus.high is not None:
                if plus.low > 0:
                    direction = Phrase("more")
                elif plus.high < 0:
                    direction = Phrase("less")
                else:
                    direction = Phrase("neither surely more nor surely less")
                yield Phrase(
                    "Desired answers themselves become {direction} likely: {figure}.",
                    direction=direction,
                    figure=self._in(self.report.unit, plus),
                )
        rate = self.report.verdict.error_rate
        if rate is None:
            yield Phrase("How often such a verdict is wrong is not known for this case.")
        else:
            figure = share(rate.value, rate.low, rate.high)
            data = with_semicolons((rate.data, rate.model, *rate.reservations))
            yield Phrase(
                "Of {n} earlier verdicts {kind} {share} {wrong} ({data}).",
                n=rate.n,
                share=figure,
                kind=rate.kind,
                wrong=rate.wrong,
                data=data,
            )
        yield Phrase(
            "Figures in brackets are the range in which the true value lies with a confidence of 95 % or more."
        )

    @property
    def examples(self) -> list[Text]:
        """The examples that were pushed the wrong way hardest."""
        return worst(self.report)[:N_WORST]

    @property
    def about_examples(self) -> Phrase:
        """How many there are of them."""
        n, of = sum(text.effect < 0 for text in self.report.examples), len(self.report.examples)
        if not n:
            return Phrase("No example was pushed away from the desired answer.")
        if n == 1:
            return Phrase("Of {of} examples {n} was pushed away from the desired answer. This one:", of=of, n=n)
        return Phrase("Of {of} examples {n} were pushed away from the desired answer. The hardest ones:", of=of, n=n)

    @property
    def costs(self) -> Iterator[Cost]:
        """What it costs elsewhere."""
        side, thresholds = self.report.side_effects, self.report.thresholds
        kl = self._allowed("max_kl", given)
        for name, drift in (
            (Phrase("Divergence on unrelated text"), side.kl),
            (Phrase("Divergence on unrelated questions"), side.kl_prompts),
        ):
            figure = self._in(NATS, drift.estimate)
            yield Cost(name, figure, kl if drift.value is not None else "")
        if side.capability:
            change = side.capability[-1].change
            lost = (
                self.figure(change)
                if change.value is None or change.low is None or change.high is None
                else share(-change.value, -change.high, -change.low)
            )
            limit = self._allowed("max_capability_loss", level) if "max_capability_loss" in thresholds else ""
            yield Cost(Phrase("Tasks that turned wrong, net"), lost, limit if change.value is not None else "")
        yield Cost(
            Phrase("Harmless requests: change toward answering (below 0: refuses more)"),
            self._in(NATS, side.over_refusal),
            "",
        )
        for other in side.others:
            yield Cost(
                Phrase("Side effect on “{behavior}”", behavior=other.behavior), self._in(other.unit, other.effect), ""
            )

    @property
    def savings(self) -> Iterator[Phrase]:
        """Against prompting and fine-tuning."""
        asked = self.report.prompting_baseline
        unit = self.report.unit
        yield Phrase("Asking for it in the prompt: {figure}.", figure=self._in(unit, asked.effect))
        beats, adds = asked.beats, asked.adds
        if beats.low is not None and beats.high is not None:
            figure = self._in(unit, beats)
            if beats.low > 0:
                yield Phrase("Steering is stronger than asking, by {figure}.", figure=figure)
            elif beats.high < 0:
                yield Phrase("Steering is weaker than asking: the difference is {figure}.", figure=figure)
            else:
                yield Phrase("Steering and asking cannot be told apart ({figure}).", figure=figure)
        if adds.low is not None:
            figure = self._in(unit, adds)
            yield (
                Phrase("On top of asking, steering adds {figure}.", figure=figure)
                if adds.low > 0
                else Phrase("On top of asking, steering adds nothing certain ({figure}).", figure=figure)
            )
        yield Phrase("Fine-tuning was not tried in this check, so nothing can be said of it.")
        r = self.report
        yield Phrase(
            "The check took {seconds} s on {device} (threads: {threads}) and changed no weight of the "
            "model; steering is switched on and off with each request.",
            seconds=number(r.seconds),
            device=r.device,
            threads=r.threads,
        )

    @property
    def plan(self) -> Iterator[Phrase]:
        """The plan of a pilot; nothing where there is none."""
        if self.passed:
            yield Phrase(
                "Share: 1 % of the users, then 5, 25, 50 and 100 %; the next step only when no guardrail shows harm."
            )
            yield Phrase(
                "Metric: what the steering is for, as your users see it; say before the start which "
                "change would matter."
            )
            yield Phrase("Guardrails: refusals and errors, and whatever must not get worse for you.")
            yield Phrase(
                "Stop: a guardrail beyond its margin pauses or takes back the release by itself; after "
                "the agreed number of users without an effect, end it."
            )
            yield Phrase("Back: one command takes it from all users within a second; nothing has to be deployed.")

    @property
    def sentences(self) -> Iterator[Phrase]:
        """Five sentences for the meeting."""
        report, effect = self.report, self.effect
        yield Phrase(
            "We looked at whether “{behavior}” can be steered in {model} without changing its weights.",
            behavior=report.behavior,
            model=report.model.id,
        )
        yield Phrase("The answer is {decision}: {answer}", decision=self.decision, answer=self.answer)
        figure = Phrase("not measured") if effect is None else in_unit(_of(effect), report.unit)
        yield Phrase(
            "On {n} examples that nothing was tuned on, the effect is {figure}, and {share} of the "
            "examples go the wrong way.",
            n=report.n_eval_clusters,
            figure=figure,
            share=self.wrong,
        )
        kl = report.side_effects.kl.estimate
        if kl.value is None or "max_kl" not in report.thresholds:
            yield Phrase("How far unrelated text changes was not measured in this check.")
        else:
            yield Phrase(
                "Unrelated text changes by {kl} of {bound} allowed.",
                kl=self._in(NATS, kl),
                bound=given(report.thresholds["max_kl"]),
            )
        if self.passed:
            yield Phrase("I propose to begin with one user in a hundred, and to go on only while nothing gets worse.")
        else:
            yield Phrase("I propose not to pilot it, and to do first what the plan on this page says.")

    @property
    def doubts(self) -> Iterator[tuple[Phrase, str]]:
        """What a sceptic will ask, and the figure that answers it."""
        report, effect = self.report, self.effect
        chosen = (report.site_chosen, report.strength_chosen, report.prompt_type_chosen)
        if report.steering is not None or "dev" not in chosen:
            yield (
                Phrase("Was the best of many tries picked?"),
                Phrase(
                    "Site, strength and how the vector is made were given, so nothing was chosen. The "
                    "figures come from {n} examples.",
                    n=report.n_eval,
                ),
            )
        else:
            yield (
                Phrase("Was the best of many tries picked?"),
                Phrase(
                    "What was not given (site, prompt type, strength) was chosen on {dev} other examples; "
                    "the figures come from {n} that nothing was chosen on.",
                    dev=report.n_dev,
                    n=report.n_eval,
                ),
            )
        random = report.random_directions
        if random.percentile_95 is None:
            yield Phrase("Would any random change of this size do the same?"), self._none(random.reason)
        elif effect is not None:
            odd = random.figure == "odd part"
            figure = spread(effect.odd, effect.odd_low, effect.odd_high) if odd else _of(effect)
            reached = in_unit(number(random.percentile_95), report.unit)
            yield (
                Phrase("Would any random change of this size do the same?"),
                Phrase(
                    "Random directions of the same size reach {random}; this one {figure}.",
                    random=reached,
                    figure=in_unit(figure, report.unit),
                ),
            )
        figure = self.figure(report.length_auroc)
        answer = Phrase(
            "Length alone tells desired from undesired answers with an AUROC of {figure} (0.5: not at all).",
            figure=figure,
        )
        yield (
            Phrase("Does it just prefer longer or shorter answers?"),
            figure if report.length_auroc.value is None else answer,
        )
        wording = report.wording
        if wording.reason is None and not wording.words:
            yield Phrase("Does it just prefer certain words?"), Phrase("No few words tell both sides apart.")
        else:
            left = wording.without if wording.reason is None else Estimate(reason=wording.reason)
            figure = self._in(report.unit, left)
            answer = Phrase("Without the words that tell both sides apart the effect is {figure}.", figure=figure)
            yield Phrase("Does it just prefer certain words?"), figure if left.value is None else answer
        figure = self._in(report.unit, report.training_variability.effect)
        answer = Phrase("Trained anew on other examples, the effect is {figure}.", figure=figure)
        yield (
            Phrase("Would other training examples give the same?"),
            figure if report.training_variability.effect.value is None else answer,
        )
        written = report.generated
        shift = written.shift if written.n else Estimate(reason=written.reason)
        figure = self.figure(shift)
        answer = Phrase(
            "In {n} texts that it wrote, a classifier's log-odds of the behavior change by {figure} "
            "(above 0: more of it).",
            figure=figure,
            n=written.n,
        )
        yield Phrase("Does the text that it writes change, too?"), figure if shift.value is None else answer

    @property
    def made(self) -> Phrase:
        """Where the page comes from."""
        r = self.report
        return Phrase(
            "Made from {file} by trimtab {version}: {model}, {dtype}, {n_train} training, {dev} choosing, {n} deciding "
            "examples, seed {seed}. Every figure on this page stands in the report.",
            file=self.source, version=r.trimtab, model=r.model.id, dtype=r.dtype, n_train=r.n_train, dev=r.n_dev,
            n=r.n_eval, seed=r.seed,
        )  # fmt: skip

    def figure(self, e: Estimate) -> str:
        """An estimate, or why there is none."""
        if e.value is None:
            return self._none(e.reason)
        return number(e.value) if e.low is None or e.high is None else spread(e.value, e.low, e.high)

    def _in(self, unit: str, e: Estimate) -> str:
        return in_unit(self.figure(e), unit) if e.value is not None else self.figure(e)

    def _none(self, reason: Phrase | None) -> Phrase:
        return missing(reason) if reason else Phrase("not measured")

    def _allowed(self, threshold: str, shown: Callable[[float], str]) -> str:
        limit = self.report.thresholds.get(threshold)
        return "" if limit is None else Phrase("allowed: {bound}", bound=shown(limit))


def _of(effect: Effect) -> str:
    """An effect with its interval."""
    return f"{centre(effect.mean, effect.low, effect.high)} {interval(effect.low, effect.high)}"
