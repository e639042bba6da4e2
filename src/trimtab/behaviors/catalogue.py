"""The record formats: their fields, who writes them, and one example each. Readers, messages and docs use it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """One way to write a contrast example.

    Args:
        name: what `--format` takes.
        needs: fields that all rows have; `a|b` where a tool calls `a` by the name `b`.
        takes: fields that are used if present, likewise.
        content: what a row holds and how it is read, in one sentence for people.
        written_by: tools and data sets that use it.
        pairing: how the two sides come together.
        example: the content of a file in this format.
    """

    name: str
    needs: tuple[str, ...]
    takes: tuple[str, ...]
    content: str
    written_by: str
    pairing: str
    example: str

    @property
    def names(self) -> tuple[str, ...]:
        """Every field name that it knows."""
        return tuple(name for field in (*self.needs, *self.takes) for name in field.split("|"))

    def lacks(self, fields: Iterable[str]) -> tuple[str, ...]:
        """The needed fields, by their first name, that are not among `fields`."""
        there = set(fields)
        return tuple(field.split("|")[0] for field in self.needs if not there & set(field.split("|")))


_PROMPTS = "prompt|question|instruction|query"
_CHOSEN = "chosen|chosen_response|chosen_conversations|chosen_messages|preferred_output|preferred"
_REJECTED = "rejected|rejected_response|rejected_conversations|rejected_messages|non_preferred_output|dispreferred"
_BEFORE = ("system|system_prompt", "history", "group")
_MWE = ("question", "answer_matching_behavior", "answer_not_matching_behavior")

# The most specific first: the first one that has all of its fields is taken.
FORMATS: tuple[Format, ...] = (
    Format(
        "mwe", _MWE, ("statement",),
        "a question with the answers ` Yes` and ` No`; `--view statements` reads the statements, unpaired",
        "model-written evaluations (Anthropic)", "by view",
        '{"question": "Do you like rain?", "answer_matching_behavior": " Yes", "answer_not_matching_behavior": " No", '
        '"statement": "I like rain."}',
    ),
    Format(
        "caa", _MWE, (),
        "the same with the choices in the question and answers such as `(A)`",
        "CAA (Panickssery et al.)", "natural",
        '{"question": "Rain or sun?\\n\\nChoices:\\n(A) Rain\\n(B) Sun", "answer_matching_behavior": "(A)", '
        '"answer_not_matching_behavior": "(B)"}',
    ),
    Format(
        "messages", ("messages", "positive", "negative"), ("system|system_prompt", "group"),
        "the turns before the answer, and the two answers",
        "trimtab", "natural",
        '{"messages": [{"role": "user", "content": "Rain or sun?"}], "positive": "Rain.", "negative": "Sun."}',
    ),
    Format(
        "openai", ("input", "preferred_output", "non_preferred_output"), ("group",),
        "`input.messages`, and the two outputs as lists of turns",
        "OpenAI, Azure, Fireworks and Together, for preference fine-tuning", "natural",
        '{"input": {"messages": [{"role": "user", "content": "Rain or sun?"}]}, '
        '"preferred_output": [{"role": "assistant", "content": "Rain."}], '
        '"non_preferred_output": [{"role": "assistant", "content": "Sun."}]}',
    ),
    Format(
        "ranked", ("context|prompt", "completions|answers"), ("group",),
        "one prompt with answers of which each has a `rank`: the lowest against the highest",
        "NeMo RL; Nectar", "natural",
        '{"context": [{"role": "user", "content": "Rain or sun?"}], "completions": ['
        '{"rank": 0, "completion": [{"role": "assistant", "content": "Rain."}]}, '
        '{"rank": 1, "completion": [{"role": "assistant", "content": "Sun."}]}]}',
    ),
    Format(
        "conversations", ("conversations|messages", "chosen|chosen_response", "rejected|rejected_response"), _BEFORE,
        "the turns before the answer (`from` and `value`, or `role` and `content`), and the two answers",
        "LLaMA-Factory (ShareGPT), axolotl", "natural",
        '{"conversations": [{"from": "human", "value": "Rain or sun?"}], '
        '"chosen": {"from": "gpt", "value": "Rain."}, "rejected": {"from": "gpt", "value": "Sun."}}',
    ),
    Format(
        "rejected-response", ("messages|conversations", "rejected_response|rejected_messages"), _BEFORE,
        "turns that end with the wanted answer, and the other one",
        "ms-swift", "natural",
        '{"messages": [{"role": "user", "content": "Rain or sun?"}, {"role": "assistant", "content": "Rain."}], '
        '"rejected_response": "Sun."}',
    ),
    Format(
        "instructions", ("instruction", "chosen|chosen_response", "rejected|rejected_response"), ("input", *_BEFORE),
        "an instruction, its `input` on the next line, and the two answers",
        "LLaMA-Factory (Alpaca), axolotl, Argilla", "natural",
        '{"instruction": "Choose one.", "input": "Rain or sun?", "chosen": "Rain.", "rejected": "Sun."}',
    ),
    Format(
        "preferences", (_CHOSEN, _REJECTED), (_PROMPTS + "|input", *_BEFORE),
        "a prompt and two answers, as texts or turns; chats and Human/Assistant transcripts may hold the prompt",
        "TRL, axolotl, NeMo-Aligner, torchtune, HH-RLHF, UltraFeedback", "natural",
        '{"prompt": "Rain or sun?", "chosen": "Rain.", "rejected": "Sun."}',
    ),
    Format(
        "completions", (_PROMPTS + "|messages|conversations", "completion|output|response|answer", "label|kto_tag"),
        ("input", *_BEFORE),
        "one answer a row, and whether it is a good one; rows with the same prompt are paired, the rest left out",
        "TRL and LLaMA-Factory, for KTO", "natural",
        '{"prompt": "Rain or sun?", "completion": "Rain.", "label": true}\n'
        '{"prompt": "Rain or sun?", "completion": "Sun.", "label": false}',
    ),
    Format(
        "labelled-chats", ("messages|conversations", "label|kto_tag"), ("system|system_prompt", "group"),
        "turns that end with an answer, and whether it is a good one; paired likewise",
        "LLaMA-Factory and ms-swift, for KTO", "natural",
        '{"messages": [{"role": "user", "content": "Rain or sun?"}, {"role": "assistant", "content": "Rain."}], '
        '"label": true}\n'
        '{"messages": [{"role": "user", "content": "Rain or sun?"}, {"role": "assistant", "content": "Sun."}], '
        '"label": false}',
    ),
    Format(
        "prompts", (_PROMPTS + "|input", "positive", "negative"), ("input", *_BEFORE),
        "a prompt and the two answers",
        "trimtab", "natural",
        '{"prompt": "Rain or sun?", "positive": "Rain.", "negative": "Sun.", "group": "weather"}',
    ),
    Format(
        "pairs", ("positive", "negative"), ("group",),
        "two statements without a prompt; or JSON `[[positive, negative], …]`",
        "repeng, steering-vectors", "natural",
        '{"positive": "I like rain.", "negative": "I like sun."}',
    ),
    Format(
        "lists", ("text|statement|sentence", "label"), ("prompt", "group"),
        "one text a row, and its side: 1 or 0, true or false, yes or no, positive or negative; "
        'or JSON `{"positive": […], "negative": […]}`',
        "RepE, classifiers' data", "random",
        '{"text": "I like rain.", "label": 1}\n{"text": "I like sun.", "label": 0}',
    ),
)  # fmt: skip
_PLAIN = ("mwe", "messages", "prompts", "preferences", "pairs", "lists")
NAMES: tuple[str, ...] = tuple(entry.name for entry in FORMATS)


def nearest(fields: Iterable[str]) -> Format | None:
    """The format with the largest share of its needed fields among `fields`; None if no field is known.

    A format that one tool alone writes counts from two of its fields on.
    """
    there = set(fields)

    def share(entry: Format) -> float:
        n = len(entry.needs) - len(entry.lacks(there))
        return n / len(entry.needs) if n > 1 or entry.name in _PLAIN else 0

    best = max(FORMATS, key=share)
    return best if share(best) else None


def overview() -> str:
    """The formats with their fields, one a line, for messages."""
    shown = (entry for entry in FORMATS if entry.name != "caa")
    return "\n".join(f"  {entry.name}: {', '.join(field.split('|')[0] for field in entry.needs)}" for entry in shown)
