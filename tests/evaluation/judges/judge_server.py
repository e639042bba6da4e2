"""A judge behind a real server: it reads what it is shown and says what is true of it, or what it is told to."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.chat_server import Reply

from trimtab.evaluation import Pair

Request = dict[str, Any]
_TOKEN = re.compile(r"with the token ([0-9a-f]{24})\.")


def texts_in(request: Request) -> dict[str, str]:
    """What an honest reader finds between the marks."""
    instructions, user = (turn["content"] for turn in request["messages"])
    token = _TOKEN.search(instructions)
    assert token
    return dict(re.findall(rf"^{token[1]} ([A-Z ]+) BEGINS\n(.*?)\n{token[1]} \1 ENDS$", user, re.S | re.M))


def pairs(n: int) -> list[Pair]:
    """Of which the second answer is better, the first, or neither, in turn."""
    sides = [("plain", "lovely"), ("lovely", "plain"), ("plain", "simple")]
    return [Pair(f"p{i}", f"Prompt {i}", *(f"{side} {i}" for side in sides[i % 3])) for i in range(n)]


def truth(n: int) -> list[int]:
    return [(1, -1, 0)[i % 3] for i in range(n)]


def choice(request: Request) -> str:
    """A, B or tie: what is lovely is better."""
    texts = texts_in(request)
    first, second = ("lovely" in texts[f"ANSWER {which}"] for which in "AB")
    return "tie" if first == second else "A" if first else "B"


def score(request: Request) -> int:
    """A score that the answer's length decides."""
    return len(texts_in(request)["ANSWER"]) % 5


def scores(request: Request, names: tuple[str, ...]) -> dict[str, int]:
    return {name: (score(request) + k) % 5 for k, name in enumerate(names)}


def verdict(request: Request) -> str:
    return json.dumps({"reasons": "I have read both.", "better": choice(request)})


def completion(content: str, usage: tuple[int, int] | None = None) -> Reply:
    """A completion with the tokens that it took."""
    message = {"role": "assistant", "content": content}
    body: dict[str, Any] = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return Reply(body=json.dumps(body).encode())


def fair(request: Request, number: int) -> Reply:
    """A judge that knows, and counts a token for every four characters."""
    said, asked = verdict(request), sum(len(turn["content"]) for turn in request["messages"])
    return completion(said, (asked // 4, len(said) // 4))


def by_question(answer: Callable[[Request, int], Reply]) -> Callable[[Request, int], Reply]:
    """`answer` is told how often the same question came before, instead of the request's number."""
    times: Counter[str] = Counter()
    lock = threading.Lock()

    def counted(request: Request, number: int) -> Reply:
        key = json.dumps([sorted(texts_in(request).items()), request["messages"][1]["content"][-200:]])
        with lock:
            times[key] += 1
            before = times[key] - 1
        return answer(request, before)

    return counted
