"""What a server that speaks OpenAI's chat protocol sends back: an answer, a refusal, a wish to be left alone."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
# Parameters that some servers do not accept, and what to send instead (None: nothing).
REPLACEMENTS: Mapping[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "seed": None,
    "response_format": None,
}

_MOST_TOKENS = 10**9  # of one answer; a server that says more does not count


@dataclass(frozen=True)
class Usage:
    """Tokens that a server says an answer took.

    Args:
        prompt: tokens read.
        answer: tokens written, reasoning included.
    """

    prompt: int
    answer: int


@dataclass(frozen=True)
class Completion:
    """A chat model's next turn.

    Args:
        text: without its reasoning.
        usage: None where the server does not say.
    """

    text: str
    usage: Usage | None = None


class RetryError(Exception):
    """An answer that cannot be used, and may come better: the request is sent again.

    Args:
        why: for the message, if none comes better.
        wait: seconds that the server asks to be left alone; None for no wish.
        usage: what it took; None where nobody can know.
    """

    def __init__(self, why: str, wait: float | None = None, usage: Usage | None = None) -> None:
        super().__init__(why)
        self.wait, self.usage = wait, usage


def content_of(body: str) -> str:
    """The text of a chat completion."""
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise RetryError(
            f"an answer that is not a chat completion ({type(error).__name__}): {shown(body)[:80]}"
        ) from None
    if not isinstance(text, str):
        raise RetryError("a completion without text")
    text = _THOUGHT.sub("", text).strip()
    if not text:
        raise RetryError("an empty completion")
    if "\0" in text or text != text.encode(errors="ignore").decode():
        raise RetryError("a completion that is not text: it contains a null character or half a surrogate pair")
    return text


def usage_of(body: str) -> Usage | None:
    """The tokens that a completion took; None unless both are said as whole numbers that can be."""
    try:
        said = json.loads(body)["usage"]
        counts = [said["prompt_tokens"], said["completion_tokens"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not all(type(count) is int and 0 <= count <= _MOST_TOKENS for count in counts):
        return None
    return Usage(*counts)


def refused_parameter(status: int, error: Mapping[str, Any], body: str) -> str:
    """The parameter that a server does not take; few name `response_format` in the field for it."""
    if status in (400, 422) and "response_format" in body:
        return "response_format"
    return str(error.get("param") or "") if status == 400 else ""


def error_of(body: str) -> Mapping[str, Any]:
    """The error that a server reports: `{"error": {…}}`, `{"error": "…"}`, `{"message": "…"}` or nothing."""
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = error.get("error", error) if isinstance(error, dict) else {}
    return error if isinstance(error, dict) else {"message": error}


def shown(text: str) -> str:
    """The beginning of a server's message, without control characters."""
    words = " ".join(text[:1000].split())[:300]
    return "".join(c if c.isprintable() else "?" for c in words)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the server wishes, given as a number or as a date."""
    wish = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(wish))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(wish).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
