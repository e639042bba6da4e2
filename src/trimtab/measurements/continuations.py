"""What the model writes after the evaluation prompts, without and with a steering."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trimtab.behaviors import Example, render_bare
from trimtab.behaviors.chats import flatten
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.steps import Step
from trimtab.interventions import prompt_prefixes
from trimtab.models import Completion
from trimtab.models.encoding import continuable
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays
from trimtab.texts import Rendered

CONTINUATION_TOKENS = 40


@dataclass(frozen=True)
class Continuation:
    """A continuation.

    Args:
        text: what follows the prompt.
        ids: its tokens, as they were written.
    """

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class ContinuationPair:
    """A prompt with what was written after it.

    Args:
        prompt: as people and judges are shown it.
        ids: its tokens, without what a steering puts in front.
        base, steered: the plain and the steered continuation.
    """

    prompt: str
    ids: tuple[int, ...]
    base: Continuation
    steered: Continuation


@dataclass(frozen=True)
class Continuations(Step):
    """Evaluation prompts, as they are scored, with their plain and their steered continuation.

    Args:
        steering: at a strength.
        strength: of it.
        start, stop: which prompts, in the order of the part.
    """

    steering: Steering
    strength: float
    start: int
    stop: int
    title = "continuations"

    def cost(self, on: Experiment) -> float:
        return 2.0 * CONTINUATION_TOKENS * len(on.splits.eval.examples[self.start : self.stop])

    def compute(self, on: Experiment) -> Arrays:
        model, examples, chat = on.model, on.splits.eval.examples[self.start : self.stop], on.instrument.chat_template
        texts = _prompts(examples)
        strengths = self.steering.scaled(self.strength)
        (prompt_prefix,) = prompt_prefixes(self.steering, strengths)
        rows = model.encoder(chat).encode([replace(text, context=prompt_prefix) for text in texts])
        space = model.context_length - max(len(row.prompt.ids) for row in rows)
        options = {"chat_template": chat, "max_new_tokens": max(1, min(CONTINUATION_TOKENS, space))}
        base = model.generate(texts, details=True, **options)
        steered_options = {"steering": self.steering, "strength": strengths, "scope": on.scope, **options}
        steered = model.generate(texts, details=True, **steered_options)
        rows_written = [
            (_shown(on, e, b), b.row.prompt.ids, b.text, b.written, s.text, s.written)
            for e, b, s in zip(examples, base, steered, strict=True)
        ]
        return {"json": np.frombuffer(json.dumps(rows_written).encode(), dtype=np.uint8)}


def _prompts(examples: Sequence[Example]) -> list[Rendered]:
    """What is continued: the prompt, or the first third of a bare statement."""
    return [continuable(render_bare(e, "positive")) for e in examples]


def unwritten(on: Experiment, n: int) -> tuple[ContinuationPair, ...]:
    """The first n evaluation prompts, with nothing behind them, for forecasts."""
    rows = on.model.encoder(on.instrument.chat_template).encode(_prompts(on.splits.eval.examples[:n]))
    nothing = Continuation("", ())
    return tuple(ContinuationPair("", row.prompt.ids, nothing, nothing) for row in rows)


def continuations(on: Experiment, steering: Steering, start: int, stop: int) -> list[ContinuationPair]:
    """Evaluation prompts, those from `start` to before `stop`, with both continuations at the experiment's strength."""
    if start >= min(stop, len(on.splits.eval)):
        return []
    kept = on.run(Continuations(steering, on.strength, start, stop))["json"]
    return [
        ContinuationPair(shown, tuple(prompt), Continuation(base, tuple(a)), Continuation(steered, tuple(b)))
        for shown, prompt, base, a, steered, b in json.loads(kept.tobytes().decode())
    ]


def _shown(on: Experiment, example: Example, completion: Completion) -> str:
    """The prompt as people and judges are shown it: all of its turns, or the beginning of a bare statement."""
    if example.messages and on.instrument.chat_template:
        return flatten(example.messages)
    return example.prompt or completion.prompt
