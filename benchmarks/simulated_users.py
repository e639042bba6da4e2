"""Simulated users whose wishes are known: what they ask, how they rate and correct, and which of two they prefer."""

import asyncio
import random
import re
from collections.abc import Sequence
from typing import Any, Final

import httpx2

from trimtab.statistics import bootstrap_mean

CLIENTS: Final = 8
TOKENS: Final = 28
CORRECT: Final = 0.2  # share of users who also write what the answer should have been
OPENINGS: Final = ("The {} was", "I have to say that the {}")
ASKED: Final = (
    "concert", "hotel", "soup", "train ride", "museum", "new teacher", "garden", "wedding", "morning", "bookshop",
    "football match", "dentist", "old bridge", "bakery", "holiday", "film", "neighbour's dog", "market", "exam",
    "birthday party", "boat trip", "office", "doctor's advice", "play", "park", "long walk", "phone call", "novel",
    "swimming pool", "restaurant",
)  # fmt: skip
HELD_OUT: Final = (
    "weather", "library", "bus driver", "painting", "village", "song", "meeting", "kitchen", "festival", "letter",
    "coffee", "school trip", "beach", "interview", "theatre", "evening class", "zoo", "lecture", "new bicycle",
    "dinner",
)  # fmt: skip
WARM: Final = frozenset({
    "amazing", "beautiful", "best", "bright", "brilliant", "charming", "cheerful", "clean", "comfortable", "cosy",
    "delicious", "delight", "delighted", "delightful", "easy", "enjoy", "enjoyable", "enjoyed", "excellent",
    "exciting", "fantastic", "favorite", "favourite", "fine", "fresh", "friendly", "fun", "generous", "gentle",
    "glad", "good", "great", "happy", "helpful", "impressive", "incredible", "inspiring", "interesting", "joy",
    "kind", "laugh", "love", "loved", "lovely", "magical", "memorable", "nice", "peaceful", "perfect", "pleasant",
    "pleased", "pleasure", "proud", "relaxing", "smile", "special", "success", "superb", "surprised", "sweet",
    "thank", "thrilled", "unforgettable", "warm", "welcome", "welcoming", "wonderful", "worth",
})  # fmt: skip
COLD: Final = frozenset({
    "angry", "annoying", "ashamed", "awful", "bad", "boring", "broken", "cold", "confused", "crowded", "damage",
    "dark", "dead", "difficult", "dirty", "disappointed", "disappointing", "disaster", "dull", "expensive", "fail",
    "failed", "failure", "fear", "filthy", "hard", "hate", "hated", "horrible", "hurt", "late", "lonely", "lost",
    "mess", "mistake", "nasty", "nightmare", "noisy", "not", "pain", "painful", "poor", "problem", "rude", "sad",
    "scared", "sick", "slow", "sorry", "strange", "stressful", "terrible", "tired", "trouble", "ugly", "unhappy",
    "unpleasant", "upset", "waste", "worried", "worse", "worst", "wrong",
})  # fmt: skip
CORRECTIONS: Final = (
    "a real pleasure from beginning to end, and we went home happy.",
    "wonderful, with friendly people and a warm welcome for everyone.",
    "lovely, and I would gladly do it all again.",
    "a delight, bright and cheerful, and well worth the time.",
    "excellent in every way, kind and helpful people and a great day.",
)
Row = dict[str, Any]


def prompts(subjects: Sequence[str]) -> list[str]:
    """What is asked about them."""
    return [opening.format(subject) for subject in subjects for opening in OPENINGS]


def liking(answer: str) -> int:
    """The users' rule."""
    words = re.findall(r"[a-z]+", answer.lower())
    return sum(word in WARM for word in words) - sum(word in COLD for word in words)


async def each(work: Sequence[Any], act: Any) -> list[Any]:
    """What some clients make of a list of work, in its order."""
    waiting, found = iter(list(enumerate(work))), [None] * len(work)
    async with httpx2.AsyncClient(timeout=120) as client:

        async def one() -> None:
            for k, item in waiting:
                found[k] = await act(client, k, item)

        await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return found


def users(url: str, seed: int, per_prompt: int) -> list[int]:
    """All ask, so many the same, rate what they got, and agree that it is used; some correct it. Their ratings."""
    rng = random.Random(seed)
    asked = [(prompt, rng.random() < CORRECT, rng.choice(CORRECTIONS)) for prompt in prompts(ASKED) * per_prompt]

    async def act(client: httpx2.AsyncClient, k: int, item: tuple[str, bool, str]) -> int:
        prompt, corrects, correction = item
        body = {"model": "smollm2", "prompt": prompt, "max_tokens": TOKENS, "temperature": 0.9, "seed": seed + k}
        said = (await client.post(f"{url}/completions", json=body | {"user": f"user-{k}"})).raise_for_status().json()
        answer, request = said["choices"][0]["text"], said["trimtab"]["request_id"]
        assert said["trimtab"]["steering"] == "former", said["trimtab"]
        feedback: Row = {"request_id": request, "metric": "rating", "score": liking(answer), "consent": True}
        if corrects and liking(answer) <= 0 and prompt.endswith("was"):
            feedback["corrected_text"] = f" {correction}"
        (await client.post(f"{url}/feedback", json=feedback)).raise_for_status()
        return liking(answer)

    return asyncio.run(each(asked, act))


def answers(url: str, arm: Row, samples: int, seed: int) -> list[str]:
    """Of an arm to the held-out prompts, the same seeds in every arm."""
    work = [prompt for prompt in prompts(HELD_OUT) for _ in range(samples)]

    async def act(client: httpx2.AsyncClient, k: int, prompt: str) -> str:
        body = {
            "model": "smollm2",
            "prompt": prompt,
            "max_tokens": TOKENS,
            "temperature": 0.9,
            "seed": 10_000 + seed + k,
        }
        said = (await client.post(f"{url}/completions", json=body | arm)).raise_for_status().json()
        return str(said["choices"][0]["text"])

    return asyncio.run(each(work, act))


def preference(new: Sequence[str], old: Sequence[str], samples: int) -> Row:
    """How often the users' rule prefers the first answer of a pair, ties half; subjects are the clusters."""
    wins = [(1 + (a > b) - (a < b)) / 2 for a, b in zip(map(liking, new), map(liking, old), strict=True)]
    subjects = [subject for subject in HELD_OUT for _ in OPENINGS for _ in range(samples)]
    share = bootstrap_mean(wins, subjects, seed=0)
    means = [sum(map(liking, side)) / len(side) for side in (new, old)]
    return {
        "share": share.value, "low": share.low, "high": share.high, "n": len(wins), "ties": wins.count(0.5),
        "means": means,
    }  # fmt: skip
