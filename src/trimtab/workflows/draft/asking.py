"""What a writer is asked for, and what is made of its answers."""

import re
from collections.abc import Sequence

import numpy as np

from trimtab.behaviors.words import count_words
from trimtab.clients.chat import Turn

PER_REQUEST = 10  # openings asked for at a time
SHORTEST, LONGEST = 3, 60  # words of an opening or an answer
_LENGTHS = (12, 30)  # words asked for, drawn for each row and the same for both sides

_SUBJECTS = (
    "work and colleagues", "cooking and food", "travel and transport", "health and exercise", "money and shopping",
    "school and studying", "books, films and music", "family and relationships", "pets and wild animals",
    "houses, repairs and neighbours", "computers and phones", "science and nature", "history and politics",
    "sports and games", "gardens and farming", "clothes and looks", "weather and seasons", "hobbies and crafts",
    "language and writing", "plans, worries and decisions", "law and public offices", "cars, bicycles and machines",
    "parties and holidays", "towns, maps and buildings", "children and teaching", "art and museums",
    "sleep, habits and time", "medicine and hospitals", "job applications and careers", "small everyday mishaps",
)  # fmt: skip
_SHAPES = (
    "questions", "requests for help with a task", "opinions that invite a reply", "short accounts of something that "
    "happened", "requests for advice", "statements of a plan", "requests to explain something",
)  # fmt: skip

_MARK = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.):]|\"(?=\w))\s*")
_QUOTES = "\"'“”‘’*_` "
_END = re.compile(r"(?:[.!?…](?=[\"'”’)]*(?:\s|$))|[。！？])[\"'”’)」』]*")
_INSTRUCTION = re.compile(r"^\W*(positive|negative)\W+(you .+)$", re.IGNORECASE | re.MULTILINE)


def for_instructions(description: str) -> list[Turn]:
    """Ask for the two instructions that make an assistant show the behavior, and its opposite."""
    return [
        {
            "role": "user",
            "content": (
                f"A behavior of an assistant: {description}\n\n"
                "Write two instructions to the assistant, one sentence each, that begin with 'You are' and have the "
                "same length and form. The first makes it show this behavior in everything that it says, the second "
                "makes it do the opposite. Answer with two lines and nothing else:\nPOSITIVE: You are …\n"
                "NEGATIVE: You are …"
            ),
        }
    ]


def instructions_in(text: str) -> tuple[str, str] | None:
    """The two instructions of an answer; None if it has not both, or they are alike."""
    result = {side.lower(): " ".join(given.split()).strip(_QUOTES) for side, given in _INSTRUCTION.findall(text)}
    positive, negative = result.get("positive", ""), result.get("negative", "")
    return (positive, negative) if positive and negative and positive != negative else None


def for_openings(description: str, number: int, seed: int) -> list[Turn]:
    """Ask for messages that both sides could answer; `number` and `seed` decide subject and shape."""
    order = np.random.default_rng(seed).permutation(len(_SUBJECTS) * len(_SHAPES))
    subject, shape = divmod(int(order[number % len(order)]), len(_SHAPES))
    return [
        {
            "role": "user",
            "content": (
                f"Write {PER_REQUEST} short messages that different people might send to an assistant: "
                f"{_SHAPES[shape]}, about {_SUBJECTS[subject]}. One or two sentences each, all different in subject "
                f"and wording. Somebody will answer each of them twice: once like this: {description}; once in the "
                "opposite way. So both must be possible, and no message may mention it. One message a line, without "
                "numbers, headings or answers."
            ),
        }
    ]


def openings_in(text: str) -> list[str]:
    """The messages of an answer: one a line, without bullets, numbers and headings."""
    lines = (_MARK.sub("", line).strip(_QUOTES) for line in text.splitlines())
    return [
        line
        for line in lines
        if count_words(line) >= SHORTEST and len(line.split()) <= LONGEST and not line.endswith((":", "："))
    ]


def for_answer(instruction: str, opening: str, number: int, seed: int) -> list[Turn]:
    """Ask for the answer of one side; both sides of a row are asked for the same number of words."""
    words = int(np.random.default_rng([seed, number]).integers(*_LENGTHS, endpoint=True))
    given = f"{instruction} Answer in plain prose, in one or two complete sentences of about {words} words in all."
    return [{"role": "system", "content": given}, {"role": "user", "content": opening}]


def answer_in(text: str) -> str | None:
    """The answer in one line, cut behind its last complete sentence; None where nothing complete is left."""
    words = " ".join(text.split()).strip('"“”*_` ').split()
    ends = [match.end() for match in _END.finditer(" ".join(words[:LONGEST]))]
    whole = " ".join(words[:LONGEST])[: ends[-1]] if ends else ""
    return whole if count_words(whole) >= SHORTEST else None


def one_turn(turns: Sequence[Turn]) -> str:
    """A conversation as a single user turn, for templates without a system's."""
    return "\n\n".join(turn["content"] for turn in turns)
