"""The requests of the soak, drawn by a seed; what each must be answered with, and whether it was."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from served import TEXTS

BOUND: Final = 5e-3  # nats: where the two likeliest tokens are nearer, float32 may choose either in another batch
REPLACED: Final = "\N{REPLACEMENT CHARACTER}"  # stands for a piece of a character
SCOPES: Final = ("all", "prompt", "last", "generated")
Kind = Literal["chat", "completion", "schema", "tool", "compare", "explain"]
KINDS: Final[Mapping[Kind, float]] = {
    "chat": 0.35, "completion": 0.25, "schema": 0.1, "tool": 0.1, "compare": 0.1, "explain": 0.1,
}  # fmt: skip
UPSTREAM: Final[tuple[Kind, ...]] = ("chat", "completion", "schema", "tool", "compare")
"""Kinds that `trimtab serve --upstream` passes on to vLLM."""
LEAVING: Final = 0.1  # share of the requests whose client goes before the end


@dataclass(frozen=True)
class Case:
    """A greedy request whose answer is known: a prompt by a route, with a steering or none.

    Args:
        chat: whether it is a chat.
        text: what is asked.
        steering: the field of the request; None for none.
    """

    chat: bool
    text: str
    steering: str | None = None

    @property
    def plain(self) -> "Case":
        """The same without steering."""
        return Case(self.chat, self.text)

    @property
    def name(self) -> str | None:
        """Of the steering."""
        return None if self.steering is None else str(json.loads(self.steering)["name"])

    def body(self, tokens: int) -> dict[str, Any]:
        """The request."""
        asked = {"messages": [{"role": "user", "content": self.text}]} if self.chat else {"prompt": self.text}
        steered = {} if self.steering is None else {"steering": json.loads(self.steering)}
        return {"model": "soak", "max_tokens": tokens, "temperature": 0, **asked, **steered}

    @property
    def path(self) -> str:
        """Its route."""
        return "/chat/completions" if self.chat else "/completions"


@dataclass(frozen=True)
class Token:
    """A token of a solo answer.

    Args:
        low, high: characters of the answer between which it lies; a piece of a character may lie in the one before.
        gap: how much likelier it was than the second, in nats.
    """

    low: int
    high: int
    gap: float


@dataclass(frozen=True)
class Solo:
    """A case's answer, asked for alone.

    Args:
        text: of the answer.
        tokens: of which it is made.
    """

    text: str
    tokens: tuple[Token, ...]

    @classmethod
    def of(cls, choice: Mapping[str, Any]) -> "Solo":
        """From a choice with the log-probabilities of the two likeliest tokens."""
        given, tokens, at, pieces = choice["logprobs"], [], 0, 0
        if "content" in given:
            named = [(one["token"], [top["logprob"] for top in one["top_logprobs"]]) for one in given["content"]]
        else:
            named = [(t, list(tops.values())) for t, tops in zip(given["tokens"], given["top_logprobs"], strict=True)]
        for text, tops in named:
            best = sorted(tops, reverse=True)
            pieces += text.count(REPLACED)
            gap = best[0] - best[1] if len(best) > 1 else 0.0  # two of one name
            tokens.append(Token(at - pieces, at + len(text), gap))
            at += len(text)
        return cls(choice["message"]["content"] if "message" in choice else choice["text"], tuple(tokens))

    def verdict(self, text: str) -> str:
        """`same`; `parted` where it may, since two tokens were all but equally likely; else `crossed`."""
        if text == self.text:
            return "same"
        at = next((i for i, (a, b) in enumerate(zip(text, self.text, strict=False)) if a != b), None)
        at = min(len(text), len(self.text)) if at is None else at
        return "parted" if any(t.low <= at <= t.high and t.gap < BOUND for t in self.tokens) else "crossed"


@dataclass(frozen=True)
class Planned:
    """Request number `i` of the soak.

    Args:
        i: its number, which its marker holds.
        kind: of what kind.
        case: prompt and steering.
        stream: whether it is streamed.
        leaves: after how many events or hundredths of a second its client goes; None if it stays.
    """

    i: int
    kind: Kind
    case: Case
    stream: bool
    leaves: int | None
    marker: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "marker", f"r-{self.i:05d}")

    def body(self, tokens: int) -> dict[str, Any]:
        """The request; a schema or function makes the answer hold the request's own marker."""
        body = self.case.body(tokens)
        schema = {
            "type": "object", "properties": {"ticket": {"const": self.marker}, "ok": {"type": "boolean"}},
            "required": ["ticket", "ok"], "additionalProperties": False,
        }  # fmt: skip
        if self.kind == "schema":
            form = {"type": "json_schema", "json_schema": {"name": "ticket", "schema": schema}}
            body |= {"response_format": form, "max_tokens": 80}
        if self.kind == "tool":
            tool = {"type": "function", "function": {"name": self.marker, "parameters": schema}}
            body |= {"tools": [tool], "tool_choice": "required", "max_tokens": 120}
        if self.kind in ("compare", "explain"):
            body["steering"] = {**body["steering"], self.kind: True}
        streamed = {"stream": True, "stream_options": {"include_usage": True}} if self.stream else {}
        return body | streamed | {"user": self.marker}

    def verdict(self, answer: "Answer", solos: Mapping[Case, Solo]) -> str:
        """How the answer fits: `same`, `parted` (see `Solo.verdict`), or what is wrong."""
        said = answer.trimtab
        if said.get("steering") != self.case.name or (self.case.name is not None and said["selected"] < 1):
            return "steered otherwise"
        if self.kind in ("schema", "tool"):
            return self._marked(answer)
        # the last token was not run; where an answer ended by itself that is its end, which is not counted
        run = answer.prompt_tokens + answer.completion_tokens - (answer.finish != "stop")
        if self.kind == "explain" and answer.explained != run:
            return "explained otherwise"
        verdicts = [solos[self.case].verdict(answer.text)]
        if self.kind == "compare":
            verdicts.append(solos[self.case.plain].verdict(answer.beside))
        return max(verdicts, key=("same", "parted", "crossed").index)

    def _marked(self, answer: "Answer") -> str:
        tool = self.kind == "tool"
        try:
            found = json.loads(answer.arguments if tool else answer.text)
        except ValueError:
            return "no JSON"
        same = found.get("ticket") == self.marker and (not tool or answer.function == self.marker)
        return "same" if same else "crossed"


@dataclass
class Answer:
    """What came of a request, whole or piece by piece."""

    text: str = ""
    function: str = ""
    arguments: str = ""
    beside: str = ""
    explained: int = 0
    finish: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    trimtab: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def take(self, piece: Mapping[str, Any]) -> None:
        """Add a body, or an event of a stream."""
        if "error" in piece:
            self.error = str(piece["error"]["message"])
            return
        for choice in piece["choices"]:
            said = choice.get("message") or choice.get("delta") or {"content": choice.get("text")}
            self.text += said.get("content") or ""
            self.finish = choice.get("finish_reason") or self.finish
            for call in said.get("tool_calls") or []:
                self.function += call["function"].get("name") or ""
                self.arguments += call["function"]["arguments"]
        usage, told = piece.get("usage"), piece.get("trimtab")
        if usage:
            self.prompt_tokens, self.completion_tokens = usage["prompt_tokens"], usage["completion_tokens"]
        if told and not (usage and not piece["choices"]):  # the last piece of a stream says it again
            self.beside += "".join(one["text"] for one in told.get("unsteered") or [])
            self.explained += sum(len(one["tokens"]) for one in told.get("explained") or [])
            self.trimtab |= {name: value for name, value in told.items() if value is not None}


def cases(attributes: Mapping[str, Sequence[str]], n: int, seed: int) -> list[Case]:
    """Pairs of different cases, each steered case beside its unsteered twin."""
    rng = random.Random(seed)
    found: dict[Case, None] = {}
    while len(found) < n:
        name = rng.choice(sorted(attributes))
        strength = {attribute: rng.choice((-1.0, 0.5, 1.0, 1.5)) for attribute in attributes[name]}
        steering = {"name": name, "strength": strength, "scope": rng.choice(SCOPES)}
        case = Case(rng.random() < 0.5, rng.choice(TEXTS), json.dumps(steering))
        found |= {case: None, case.plain: None}
    return list(found)


def planned(i: int, known: Sequence[Case], seed: int, kinds: Sequence[Kind] = tuple(KINDS)) -> Planned:
    """The soak's request number `i`, of one of these kinds."""
    rng = random.Random(seed * 1_000_003 + i)
    kind = rng.choices(kinds, [KINDS[one] for one in kinds])[0]
    fits = [
        case
        for case in known
        if (case.steering is not None if kind in ("compare", "explain") else case.chat == (kind != "completion"))
    ]
    leaves = rng.randrange(1, 12) if rng.random() < LEAVING else None
    return Planned(i, kind, rng.choice(fits), rng.random() < 0.5, leaves)
