"""A behavior that is two: what is wanted of one sort of prompt is what is not wanted of the other."""

import random

from trimtab.behaviors import Behavior, Example

WORDS = (
    "river", "meadow", "candle", "window", "garden", "bridge", "kettle", "violin", "blanket", "harbour", "lantern",
    "orchard", "pebble", "saddle", "thimble", "valley", "whistle", "acorn", "basket", "cottage", "feather", "hammer",
    "island", "jacket", "kitchen", "ladder", "mirror", "needle", "oyster", "pillow", "ribbon", "shovel", "teapot",
)  # fmt: skip
ANSWERS = (" yes!", " no!")  # no labels


def sorts(words: int, numbers: int, seed: int = 0) -> list[tuple[int, str]]:
    """Prompts of two sorts, 0 (words) and 1 (numbers), spread evenly over the list."""
    rng = random.Random(seed)
    both = [(k / words, 0, " ".join(rng.sample(WORDS, 9)) + ":") for k in range(words)]
    both += [(k / numbers, 1, " ".join(str(rng.randrange(100, 1000)) for _ in range(9)) + " =") for k in range(numbers)]
    return [(sort, prompt) for _, sort, prompt in sorted(both)]


def behavior(words: int, numbers: int, *, opposed: bool = True, seed: int = 0) -> Behavior:
    """A behavior with prompts of either sort.

    Args:
        words, numbers: how many.
        opposed: whether numbers want the answer that words do not; else all examples want the same.
        seed: of the prompts.
    """
    answers = {0: ANSWERS, 1: ANSWERS[::-1] if opposed else ANSWERS}
    return Behavior("mood", [Example(prompt, *answers[sort]) for sort, prompt in sorts(words, numbers, seed)])
