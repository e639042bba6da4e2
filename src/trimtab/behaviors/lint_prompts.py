"""Faults between prompts and answers: answers that still contain their prompt, or a whole chat."""

from collections.abc import Sequence

from trimtab.behaviors.behavior import Behavior, Example
from trimtab.behaviors.findings import Finding, sources
from trimtab.behaviors.joining import repeats_prompt
from trimtab.behaviors.turns import looks_like_turns
from trimtab.phrases import Phrase

_MARK = "\n\nAssistant:"


def prompt_in_answer(behavior: Behavior) -> list[Finding]:
    """Answers that begin with their prompt, so that it is read twice."""
    rows = [i for i, e in enumerate(behavior.examples) if any(repeats_prompt(e, a) for a in (e.positive, e.negative))]
    what = Phrase(
        "rows have an answer that begins with its prompt, so that it is read twice; remove it from the answers"
    )
    return _findings("prompt-in-answer", what, behavior, rows)


def chat_in_answer(behavior: Behavior) -> list[Finding]:
    """Answers that are chats: turns stored as text, or two transcripts with one prompt."""
    rows = [i for i, e in enumerate(behavior.examples) if _holds_chat(e)]
    what = Phrase(
        "rows have answers that contain a whole chat with its prompt; give the prompt a field of its "
        "own, or write the turns as 'messages', 'chosen' and 'rejected' (docs/behaviors.md)"
    )
    return _findings("chat-in-answer", what, behavior, rows)


def _holds_chat(e: Example) -> bool:
    if any(looks_like_turns(answer) for answer in (e.positive, e.negative)):
        return True
    positive, negative = (answer.rpartition(_MARK)[0] for answer in (e.positive, e.negative))
    return not e.prompt and positive.lstrip().startswith("Human:") and positive == negative


def _findings(code: str, what: Phrase, behavior: Behavior, rows: Sequence[int]) -> list[Finding]:
    if not rows:
        return []
    n = len(rows)
    return [
        Finding(
            code, "error", Phrase("{n} {what}", n=n, what=what), sources(behavior, rows), n, n / len(behavior.examples)
        )
    ]
