"""Control sets with nothing to steer toward, made from other sets: a verdict that one is steerable is a false alarm."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from trimtab.behaviors.behavior import Behavior, Example
from trimtab.behaviors.splits import clusters
from trimtab.behaviors.words import count_words
from trimtab.errors import InputError
from trimtab.texts import NAME_BYTES


def shuffled(behavior: Behavior, seed: int = 0) -> Behavior:
    """The same texts with meaningless labels.

    Where rows belong together (pairing `natural`) the two answers are exchanged in half of the clusters, at random,
    so that rows of one question keep together. Otherwise the texts of both classes are dealt at random.

    Args:
        behavior: any with at least two clusters.
        seed: of the random choice.

    Raises:
        InputError: a single cluster, whose labels cannot be permuted.

    Example:
        >>> from trimtab.behaviors import builtin, shuffled
        >>> behavior = builtin("sentiment")
        >>> rows = zip(behavior.examples, shuffled(behavior).examples)
        >>> sum(before.positive != after.positive for before, after in rows), len(behavior.examples)
        (130, 260)
    """
    rng = np.random.default_rng(seed)
    examples = behavior.examples
    if behavior.pairing == "random":
        # each text once, so that none is dealt to both classes; there may then be fewer rows
        texts = list(dict.fromkeys(text for e in examples for text in (e.positive, e.negative)))
        dealt = [texts[i] for i in rng.permutation(len(texts))]
        pairs = zip(examples, dealt[::2], dealt[1::2], strict=False)
        return replace(behavior, examples=[replace(e, positive=p, negative=n) for e, p, n in pairs])
    cluster_of = clusters(behavior)
    names = sorted(set(cluster_of))
    if len(names) < 2:
        raise InputError(f"behavior {behavior.name!r} has a single cluster; its labels cannot be shuffled")
    exchanged = {names[i] for i in rng.permutation(len(names))[: len(names) // 2]}
    rows = [_exchanged(e) if cluster in exchanged else e for e, cluster in zip(examples, cluster_of, strict=True)]
    return replace(behavior, examples=rows)


def shuffled_copy(behavior: Behavior, k: int) -> Behavior:
    """The k-th `shuffled` copy, under a name of its own and with the instructions of the original.

    The name is the behavior's with ` shuffled k`; a name that would become too long is cut and marked with some digits
    of its hash, so that copies of names that begin alike still differ.
    """
    end = f" shuffled {k}"
    if len((behavior.name + end).encode()) > NAME_BYTES:
        end = f"… {sha256(behavior.name.encode()).hexdigest()[:8]}{end}"
    head = behavior.name.encode()[: NAME_BYTES - len(end.encode())].decode(errors="ignore")
    return replace(
        shuffled(behavior, k),
        name=head + end,
        positive_instruction=behavior.instruction("positive"),
        negative_instruction=behavior.instruction("negative"),
    )


def by_length(behavior: Behavior) -> Behavior:
    """The longer answer (in words, then in characters) of every row as the positive one.

    From a set whose sides do not differ this makes one whose sides differ only in length. Rows whose answers have the
    same length are left out.

    Raises:
        InputError: pairing `random`, labels as answers, or no row whose answers differ in length.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.behaviors import by_length
        >>> rows = [tt.Example("Tea?", " No.", " Yes, please."), tt.Example("Jam?", " Yes, a lot.", " No.")]
        >>> [e.positive for e in by_length(tt.Behavior("any", rows)).examples]
        [' Yes, please.', ' Yes, a lot.']
    """
    if behavior.pairing == "random" or behavior.answer_kind == "choice":
        raise InputError(f"behavior {behavior.name!r} has no pairs of texts whose lengths could be compared")
    rows = []
    for e in behavior.examples:
        plus, minus = ((count_words(text), len(text.strip())) for text in (e.positive, e.negative))
        if plus != minus:
            rows.append(e if plus > minus else _exchanged(e))
    if not rows:
        raise InputError(f"behavior {behavior.name!r}: in no row do the answers differ in length")
    return replace(behavior, examples=rows, expected=("length-words", "length-characters"))


def _exchanged(e: Example) -> Example:
    return replace(e, positive=e.negative, negative=e.positive)


@dataclass(frozen=True)
class Control:
    """A built-in control: what it is made from, and how."""

    source: str
    make: Callable[[Behavior], Behavior]
    description: str


CONTROLS: Mapping[str, Control] = {
    "shuffled": Control(
        "sentiment",
        shuffled,
        "A control: the texts of `sentiment`, with the two answers exchanged in a random half of the rows.",
    ),
    "length-only": Control(
        "null",
        by_length,
        "A control: the texts of `null`, ordinary continuations, always the longer one as the positive answer.",
    ),
}
