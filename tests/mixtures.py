"""A behavior that is two, or three: what is wanted of one sort of prompt is not what is wanted of the others."""

import random

from trimtab.behaviors import Behavior, Example

WORDS = (
    "river", "meadow", "candle", "window", "garden", "bridge", "kettle", "violin", "blanket", "harbour", "lantern",
    "orchard", "pebble", "saddle", "thimble", "valley", "whistle", "acorn", "basket", "cottage", "feather", "hammer",
    "island", "jacket", "kitchen", "ladder", "mirror", "needle", "oyster", "pillow", "ribbon", "shovel", "teapot",
)  # fmt: skip
MARKS = "@#%&*+<>~^|{}"
ANSWERS = (" yes!", " no!")  # no labels
OTHER_ANSWERS = (" perhaps?", " again;")  # of marks


def sorts(words: int, numbers: int, seed: int = 0, *, marks: int = 0) -> list[tuple[int, str]]:
    """Prompts of the sorts 0 (words), 1 (numbers) and 2 (marks), spread evenly over the list."""
    rng = random.Random(seed)
    both = [(k / words, 0, " ".join(rng.sample(WORDS, 9)) + ":") for k in range(words)]
    both += [(k / numbers, 1, " ".join(str(rng.randrange(100, 1000)) for _ in range(9)) + " =") for k in range(numbers)]
    both += [(k / marks, 2, " ".join(rng.choice(MARKS) * 2 for _ in range(9)) + " /") for k in range(marks)]
    return [(sort, prompt) for _, sort, prompt in sorted(both)]


def behavior(words: int, numbers: int, *, marks: int = 0, opposed: bool = True, seed: int = 0) -> Behavior:
    """A behavior with prompts of each sort.

    Args:
        words, numbers, marks: how many.
        opposed: whether numbers want the answer that words do not; else all examples want the same.
        seed: of the prompts.
    """
    answers = {0: ANSWERS, 1: ANSWERS[::-1] if opposed else ANSWERS, 2: OTHER_ANSWERS}
    prompts = sorts(words, numbers, seed, marks=marks)
    return Behavior("mood", [Example(prompt, *answers[sort]) for sort, prompt in prompts])
