"""What stands on the page, worked out from the record of a check alone."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from trimtab.reports.brief.language import Words
from trimtab.reports.check.tables import worst
from trimtab.results.figures import Estimate
from trimtab.results.numbers import centre, given, interval, level, number, share, spread
from trimtab.results.report import Effect, PromptTypeResult, Report, Text

N_WORST: Final = 3
ANTI_STEERABLE: Final = "max_anti_steerable"


@dataclass(frozen=True)
class Cost:
    """A row of what it costs elsewhere: name, figure and what was allowed."""

    name: str
    figure: str
    allowed: str


@dataclass(frozen=True)
class Brief:
    """The page in one language.

    Args:
        report: what it is about.
        source: the report's file, as it was named.
        say: the words.
    """

    report: Report
    source: str
    say: Words

    @property
    def decision(self) -> str:
        """The decision, in the reader's language."""
        return self.say(f"decision.{self.report.verdict.decision}")

    @property
    def passed(self) -> bool:
        """Whether a pilot may begin."""
        return self.report.verdict.decision in ("go", "caution")

    @property
    def answer(self) -> str:
        """May we pilot this?"""
        return self.say(f"answer.{self.report.verdict.decision}", n=len(self.report.verdict.reservations))

    @property
    def means(self) -> str:
        """What the decision means."""
        bounds = self.report.verdict.bounds
        failed = "; ".join(bound.name for bound in bounds if bound.holds is False)
        if self.report.verdict.decision == "inconclusive" and (failed or all(bound.holds for bound in bounds)):
            return self.say("means.fault")
        return self.say(f"means.{self.report.verdict.decision}", n=self.report.n_eval_clusters, failed=failed or "–")

    @property
    def judged(self) -> str:
        """By what it was judged."""
        return self.say("judged.likelihood" if self.report.verdict.basis == "likelihood" else "judged.written")

    @property
    def finished(self) -> str | None:
        """What to bear in mind of a steering that came finished, unless its training data are known to be others."""
        steering = self.report.steering
        if steering is None or steering.trained_on_this is False:
            return None
        return self.say("finished", n=self.report.n_eval_clusters)

    @property
    def chosen(self) -> PromptTypeResult | None:
        """What was measured of the chosen type; None in a report without it."""
        return self.report.prompt_types.get(self.report.verdict.prompt_type)

    @property
    def effect(self) -> Effect | None:
        """The chosen type's effect."""
        return None if self.chosen is None else self.chosen.effect

    @property
    def wrong(self) -> str:
        """The share pushed the wrong way."""
        found = None if self.chosen is None else self.chosen.anti_steerable
        return self.say("not-measured.bare") if found is None else share(found.share, found.low, found.high)

    @property
    def sure(self) -> Iterator[str]:
        """How sure we are, in sentences."""
        effect, thresholds = self.effect, self.report.thresholds
        if effect is not None:
            factor = spread(*(math.exp(x) for x in (effect.mean, effect.low, effect.high)))
            kind = "choice" if self.report.answer_kind == "choice" else "token"
            yield self.say(f"sure.effect.{kind}", factor=factor, figure=_of(effect))
            if ANTI_STEERABLE in thresholds:
                yield self.say("sure.wrong", share=self.wrong, bound=level(thresholds[ANTI_STEERABLE]))
            plus = effect.positive
            if plus.value is not None and plus.low is not None and plus.high is not None:
                way = "more" if plus.low > 0 else "less" if plus.high < 0 else "open"
                direction = self.say(f"sure.desired.{way}")
                yield self.say("sure.desired", direction=direction, figure=self._in(self.report.unit, plus))
        rate = self.report.verdict.error_rate
        if rate is None:
            yield self.say("sure.rate.none")
        else:
            figure = share(rate.value, rate.low, rate.high)
            data = "; ".join((rate.data, rate.model, *rate.reservations))
            yield self.say("sure.rate", n=rate.n, share=figure, kind=rate.kind, wrong=rate.wrong, data=data)
        yield self.say("sure.interval")

    @property
    def examples(self) -> list[Text]:
        """The examples that were pushed the wrong way hardest."""
        return worst(self.report)[:N_WORST]

    @property
    def about_examples(self) -> str:
        """How many there are of them."""
        n, of = sum(text.effect < 0 for text in self.report.examples), len(self.report.examples)
        return self.say("worst.about", n=n, of=of) if n else self.say("worst.none")

    @property
    def costs(self) -> Iterator[Cost]:
        """What it costs elsewhere."""
        side, thresholds = self.report.side_effects, self.report.thresholds
        kl = self._allowed("max_kl", given)
        for name, drift in (("kl", side.kl), ("prompts", side.kl_prompts)):
            figure = self._in(drift.unit, drift.estimate)
            yield Cost(self.say(f"cost.{name}"), figure, kl if drift.value is not None else "")
        if side.capability:
            change = side.capability[-1].change
            lost = (
                self.figure(change)
                if change.value is None or change.low is None or change.high is None
                else share(-change.value, -change.high, -change.low)
            )
            limit = self._allowed("max_capability_loss", level) if "max_capability_loss" in thresholds else ""
            yield Cost(self.say("cost.capability"), lost, limit if change.value is not None else "")
        yield Cost(self.say("cost.refusal"), self._in("nats/token", side.over_refusal), "")
        for other in side.others:
            yield Cost(self.say("cost.other", behavior=other.behavior), self._in(other.unit, other.effect), "")

    @property
    def savings(self) -> Iterator[str]:
        """Against prompting and fine-tuning."""
        asked = self.report.prompting_baseline
        unit = self.report.unit
        yield self.say("saves.prompting", figure=self._in(unit, asked.effect))
        beats, adds = asked.beats, asked.adds
        if beats.low is not None and beats.high is not None:
            kind = "beats" if beats.low > 0 else "falls" if beats.high < 0 else "even"
            yield self.say(f"saves.{kind}", figure=self._in(unit, beats))
        if adds.low is not None:
            yield self.say("saves.adds" if adds.low > 0 else "saves.adds-nothing", figure=self._in(unit, adds))
        yield self.say("saves.tuning")
        r = self.report
        yield self.say("saves.compute", seconds=number(r.seconds), device=r.device, threads=r.threads)

    @property
    def plan(self) -> Iterator[str]:
        """The plan of a pilot; nothing where there is none."""
        if self.passed:
            for step in ("share", "metric", "guardrail", "stop", "back"):
                yield self.say(f"plan.{step}")

    @property
    def steps(self) -> Iterator[str]:
        """What the report says to do next, in the reader's language where it has the step."""
        for step in self.report.next_steps:
            try:
                yield self.say(f"step.{step.code}", **step.values)
            except (KeyError, IndexError):  # no words for it here, or none for its figures
                yield step.what

    @property
    def sentences(self) -> Iterator[str]:
        """Five sentences for the meeting."""
        report, effect = self.report, self.effect
        yield self.say("say.what", behavior=report.behavior, model=report.model.id)
        yield self.say("say.verdict", decision=self.decision, answer=self.answer)
        figure = self.say("not-measured.bare") if effect is None else f"{_of(effect)} {report.unit}"
        yield self.say("say.effect", n=report.n_eval_clusters, figure=figure, share=self.wrong)
        kl = report.side_effects.kl.estimate
        if kl.value is None or "max_kl" not in report.thresholds:
            yield self.say("say.cost.none")
        else:
            yield self.say("say.cost", kl=self._in("nats/token", kl), bound=given(report.thresholds["max_kl"]))
        yield self.say("say.next.go" if self.passed else "say.next.no")

    @property
    def doubts(self) -> Iterator[tuple[str, str]]:
        """What a sceptic will ask, and the figure that answers it."""
        report, effect = self.report, self.effect
        chosen = (report.site_chosen, report.strength_chosen, report.prompt_type_chosen)
        if report.steering is not None or "dev" not in chosen:
            yield self.say("ask.chance"), self.say("ask.chance.given", n=report.n_eval)
        else:
            yield self._doubt("chance", dev=report.n_dev, n=report.n_eval)
        random = report.random_directions
        if random.percentile_95 is None:
            yield self.say("ask.random"), self._none(random.reason)
        elif effect is not None:
            odd = random.figure == "odd part"
            figure = spread(effect.odd, effect.odd_low, effect.odd_high) if odd else _of(effect)
            reached = f"{number(random.percentile_95)} {report.unit}"
            yield self._doubt("random", random=reached, figure=f"{figure} {report.unit}")
        yield self.say("ask.length"), self._answer("length", report.length_auroc)
        wording = report.wording
        if wording.reason is None and not wording.words:
            yield self.say("ask.words"), self.say("ask.words.none")
        else:
            left = wording.without if wording.reason is None else Estimate(reason=wording.reason)
            yield self.say("ask.words"), self._answer("words", left, report.unit)
        yield self.say("ask.training"), self._answer("training", report.training_variability.effect, report.unit)
        written = report.generated
        shift = written.shift if written.n else Estimate(reason=written.reason)
        yield self.say("ask.written"), self._answer("written", shift, n=written.n)

    @property
    def made(self) -> str:
        """Where the page comes from."""
        r = self.report
        return self.say(
            "made", file=self.source, version=r.trimtab, model=r.model.id, dtype=r.dtype, n_train=r.n_train,
            dev=r.n_dev, n=r.n_eval, seed=r.seed,
        )  # fmt: skip

    def figure(self, e: Estimate) -> str:
        """An estimate, or why there is none."""
        if e.value is None:
            return self._none(e.reason)
        return number(e.value) if e.low is None or e.high is None else spread(e.value, e.low, e.high)

    def _in(self, unit: str, e: Estimate) -> str:
        return f"{self.figure(e)} {unit}" if e.value is not None else self.figure(e)

    def _none(self, reason: str | None) -> str:
        return self.say("not-measured", reason=reason) if reason else self.say("not-measured.bare")

    def _answer(self, name: str, e: Estimate, unit: str = "", **values: object) -> str:
        figure = self._in(unit, e) if unit else self.figure(e)
        return figure if e.value is None else self.say(f"ask.{name}.answer", figure=figure, **values)

    def _doubt(self, name: str, **values: object) -> tuple[str, str]:
        return self.say(f"ask.{name}"), self.say(f"ask.{name}.answer", **values)

    def _allowed(self, threshold: str, shown: Callable[[float], str]) -> str:
        limit = self.report.thresholds.get(threshold)
        return "" if limit is None else self.say("cost.bound", bound=shown(limit))


def _of(effect: Effect) -> str:
    """An effect with its interval."""
    return f"{centre(effect.mean, effect.low, effect.high)} {interval(effect.low, effect.high)}"
